"""The S&P 500 from Yahoo's chart service, as a macro series: FRED shows a close only after the session's decision. Pure.

Units: points. known_at: DELAY after New York's close. How a body is read: `yahoo_chart.py`. Other series are FRED's.
"""

import math
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.question import Listing, Question, first_date, local_instant
from marketbot_resources.market.yahoo import ADDRESS, DELAY, NAME, PRESENT
from marketbot_resources.market.yahoo_chart import read_chart
from marketbot_resources.provider import Columns, Request, Response, Subject, Window
from marketbot_resources.vendor_body import in_window

SERIES, MIC, SYMBOL, UNIT = "SP500", "XNYS", "^GSPC", "points"


class YahooIndex:
    """raw_macro: the index's closes."""

    name = NAME
    table = "raw_macro"
    parser = "yahoo-index/1"

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request when the index is asked for."""
        found = []
        for subject in subjects:
            if subject.source_id == SERIES:
                listing = Listing(SERIES, MIC, SYMBOL, SYMBOL, "USD")
                asked = Question(NAME, (listing,), window.since, window.until).asked()
                first = local_instant(MIC, first_date(window, [MIC]), 0)
                params = {"period1": str(int(first.timestamp())), "period2": str(PRESENT), "interval": "1d"}
                found.append(((subject,), Request(ADDRESS + quote(SYMBOL, safe=""), params, asked=asked)))
        return found

    def following(self, request: Request, response: Response) -> Request | None:
        """There is one page."""
        return None

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Closes that became known in the window. Raises ProviderError when the body holds no finished bar."""
        question = Question.read(NAME, asked)
        listing = question.only
        chart = read_chart(NAME, content, listing)
        if not chart.bars:
            raise ProviderError(f"{NAME}: expected finished bars of {listing.symbol}, found none")
        window = Window(question.since, question.until)
        told = [(bar.session, bar.close, listing.close_at(bar.session) + DELAY) for bar in chart.bars]
        rows = [row for row in told if in_window(row[2], window)]
        wrong = [str(day) for day, close, _ in rows if not close > 0.0]
        if wrong:
            raise ProviderError(f"{NAME}: expected a positive close of {listing.symbol} on {wrong[0]}, found none")
        assert all(math.isfinite(close) for _, close, _ in rows)
        return {
            "series": [SERIES] * len(rows),
            "period": [day for day, _, _ in rows],
            "value": [close for _, close, _ in rows],
            "unit": [UNIT] * len(rows),
            "known_at": [at for _, _, at in rows],
            "synthetic": [False] * len(rows),
        }


VENDORS = (YahooIndex(),)
