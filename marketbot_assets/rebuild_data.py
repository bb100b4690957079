"""From bodies as received to tidy tables: one function per data asset, which the asset calls and the replay calls again.

`FROM_BODY`: assets made from bodies as received, `REBUILDS`: those made from stored tables alone. No arithmetic stands here.
Not here: fetching (`ingestion`, `normalization`), the assets of the decision (`rebuild`), versions (`replay`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from marketbot_resources.errors import SessionRefused
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Json
from marketbot_resources.provider import Body, Refusal
from marketbot_resources.rows import CSV, PARQUET
from marketbot_resources.sessions import BookOpen, book_open, cutoff_of, last_cutoff_before, recorded_cutoffs
from marketbot_resources.store.reader import Reader
from marketbot_resources.store.scratch import in_order, joined, kept_bytes

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.normalization.restatement import Split

PANEL_SESSIONS = 65


@dataclass(frozen=True, slots=True)
class ReceivedBody:
    """A body as received: its bytes, who served them, their SHA-256, what reads them and what that must know of the request."""

    content: bytes | memoryview
    provider: str
    sha256: str
    parser: str
    asked: Mapping[str, str]


Received = Sequence[ReceivedBody]


def received_body(sha256: str, body: Body) -> ReceivedBody:
    """A body that was kept; the bytes of a large one, which Arrow reads from anywhere, lie in a file."""
    content = kept_bytes(body.content) if body.parser in (CSV, PARQUET) else body.content
    return ReceivedBody(content, body.provider, sha256, body.parser, body.asked)


def received_facts(
    received: Sequence[ReceivedBody],
    refused: Sequence[str],
    refusals: Sequence[Refusal],
    kept: Sequence[tuple[str, Body]] = (),
) -> dict[str, Json]:
    """What a manifest says of the bodies of a raw or bootstrap asset; `kept` by hash, and only where there are such."""
    used: list[Json] = [
        {"blob_sha256": body.sha256, "provider": body.provider, "parser": body.parser, "asked": dict(body.asked)}
        for body in received
    ]
    told: list[Json] = [{"provider": x.provider, "subject": x.subject, "reason": x.reason} for x in refusals]
    facts: dict[str, Json] = {"received": used, "refused_blobs": list(refused), "refusals": told}
    if kept:
        facts["kept"] = [{"blob_sha256": name, "provider": body.provider, "parser": body.parser} for name, body in kept]
    return facts


def rows_of(raw: str, bodies: Received) -> "pd.DataFrame":
    """The rows of a raw table in some bodies, in their order; repeats of a page are one row.

    Raises ProviderError for a body that is not what its parser expects, or for two bodies that contradict each other.
    """
    import pandas as pd

    from marketbot_assets.ingestion.parse import PARSERS, no_rows

    if not bodies:
        return no_rows(raw)
    frames = [
        PARSERS[raw](body.content, source=body.provider, blob_sha256=body.sha256, parser=body.parser, asked=body.asked)
        for body in bodies
    ]
    if len(frames) == 1:
        return frames[0]
    rows = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    return rows.drop_duplicates([name for name in rows.columns if name != "blob_sha256"], ignore_index=True)


def _raw(asset: str, read: Reader, ledger: Ledger, bodies: Received) -> "pd.DataFrame":
    return rows_of(asset, bodies)


def instruments(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """INSTRUMENTS as of the cutoff, those that are served no more included."""
    from marketbot_assets.normalization.identity import normalize_instruments

    before = read.previous("instruments")
    known = read.read("instrument_history") if before is None else before
    return normalize_instruments(read.read("raw_instruments"), read.mandate().universe.listings, read.cutoff, known)


def price_overlays(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """PRICE_OVERLAYS: every correction accepted before the cutoff."""
    from marketbot_assets.normalization.overlays import overlay_rows

    accepted = [(entry.seq, entry.body) for entry in ledger.entries("price_overlay")]
    own = ledger.get("session_cutoff", read.part)
    assert own is not None, f"session {read.part}: expected a recorded cutoff, found none"
    return overlay_rows(accepted, recorded_cutoffs(ledger), until=own.seq)


def corporate_actions(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """CORPORATE_ACTIONS announced since the last cutoff, and those that overlays corrected since."""
    from marketbot_assets.normalization.overlays import corrected_actions, with_corrected
    from marketbot_assets.normalization.series import normalize_corporate_actions

    instruments = read.read("instruments")
    currencies = dict(zip(instruments["instrument"], instruments["currency"], strict=True))
    received = normalize_corporate_actions(read.read("raw_corporate_actions"), instruments)
    overlays = read.read("price_overlays")
    new = overlays[overlays["known_at"] > last_cutoff_before(ledger, read.session)]
    return with_corrected(received, corrected_actions(new, currencies))


def identifiers(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """IDENTIFIERS after the session: those of the session before, with what this one says."""
    from marketbot_assets.normalization.master import identifiers as advance

    before, actions = read.previous("identifiers"), read.as_of("corporate_actions")
    return advance(before, read.read("instruments"), actions, read.session, read.cutoff)


def recent(read: Reader) -> "pd.DataFrame":
    """Bars of the sessions before, the yardstick of the session's own."""
    from marketbot_assets.normalization.quality import recent_bars

    return recent_bars(read.panel("prices", PANEL_SESSIONS, with_session=False), read.session)


def _split(read: Reader) -> "Split":
    """What raw_prices brings that is new, and what it says again of bars that we have."""
    from marketbot_assets.normalization.restatement import split_bars
    from marketbot_assets.normalization.series import normalize_prices

    bars = normalize_prices(read.read("raw_prices"), read.read("instruments"))
    known = read.panel("prices", PANEL_SESSIONS, with_session=False)
    if len(bars) and len(known) and bars["session"].min() < known["session"].min():
        known = read.panel("prices", with_session=False)
    return split_bars(bars, known, read.cutoff)


def prices(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """PRICES known since the last cutoff; bars that a quality rule rejects are flagged, overlays stand beside them."""
    from marketbot_assets.normalization.overlays import corrected_bars
    from marketbot_assets.normalization.quality import judged_bars

    split, before, overlays = _split(read), recent(read), read.read("price_overlays")
    previous = read.previous_session("prices")
    since = None if previous is None else cutoff_of(ledger, previous)
    new = overlays if since is None else overlays[overlays["known_at"] > since]
    corrected = corrected_bars(read.panel("prices", with_session=False) if len(new) else before, new)
    actions = read.panel("corporate_actions")
    return judged_bars(split.fresh, corrected, before, split.restatements, actions, read.session)[0]


def restatements(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """RESTATEMENTS: bars that were sent again, compared with what we have."""
    return _split(read).restatements


def fx(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """FX in base currency."""
    from marketbot_assets.normalization.series import normalize_fx

    return normalize_fx(read.read("raw_fx"), read.mandate().base_currency)


def macro(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """MACRO observations released since the last cutoff."""
    from marketbot_assets.normalization.series import normalize_macro

    return normalize_macro(read.read("raw_macro"))


def fundamentals(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """FUNDAMENTALS filed since the last cutoff."""
    from marketbot_assets.normalization.series import normalize_fundamentals

    return normalize_fundamentals(read.read("raw_fundamentals"), read.read("instruments"))


def news(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """NEWS crawled since the last cutoff."""
    from marketbot_assets.normalization.series import normalize_news

    return normalize_news(read.read("raw_news"), read.read("instruments"))


def data_quality(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """DATA_QUALITY: every rule on every instrument, currency and table."""
    from marketbot_assets.normalization.quality import Tables, assess

    tables = Tables(
        bars=read.read("prices"),
        recent=recent(read),
        restatements=read.read("restatements"),
        actions=read.panel("corporate_actions"),
        instruments=read.read("instruments"),
        fx=read.panel("fx", PANEL_SESSIONS),
        raw_fx=read.read("raw_fx"),
        macro=read.panel("macro", PANEL_SESSIONS),
    )
    before = last_cutoff_before(ledger, read.session)
    mandate = read.mandate()
    return assess(
        tables,
        session=read.session,
        cutoff=read.cutoff,
        previous_cutoff=before,
        base=mandate.base_currency,
        off=mandate.calendar.closed,
    )


def opened(ledger: Ledger) -> BookOpen:
    """How the book of the home was opened. Raises SessionRefused before it is."""
    found = book_open(ledger)
    if found is None:
        raise SessionRefused("the book of this home is not open yet; run `marketbot run`")
    return found


def opening_balance(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """OPENING_BALANCE: cash, what the decision makes of the sessions since go-live, or what a real broker was seen to hold."""
    from marketbot_assets.opening import opening_at_broker, opening_of
    from marketbot_resources.broker.opening_snapshot import opening_snapshot

    mandate = read.mandate()
    if mandate.broker.name == "paper":
        return opening_of(read, opened(ledger))
    held = opening_snapshot(ledger, mandate.account.id)
    if held is None:
        raise SessionRefused(
            f"account {mandate.account.id}: what the broker holds was not written down yet; run `marketbot run`"
        )
    return opening_at_broker(read, opened(ledger), held.cash, held.shares, held.costs)


def instrument_history(read: Reader, ledger: Ledger, bodies: Received) -> "pd.DataFrame":
    """INSTRUMENTS as of the end of the bootstrap."""
    from marketbot_assets.normalization.identity import normalize_instruments

    listed, until = read.mandate().universe.listings, opened(ledger).history_until
    return normalize_instruments(rows_of("raw_instruments", bodies), listed, until)


def price_history(read: Reader, ledger: Ledger, bodies: Received) -> "pd.DataFrame":
    """PRICES known before the home's first session, flagged as its sessions would have flagged them."""
    from marketbot_assets.normalization.scan import flag_history
    from marketbot_assets.normalization.schema import PRICES

    known = read.read("instrument_history")
    bars = in_order([joined([part]) for part in _bars_in_parts(bodies, known)], PRICES.key)
    return flag_history(bars, read.read("corporate_action_history"))


def _bars_in_parts(bodies: Received, known: "pd.DataFrame") -> "Iterator[pd.DataFrame]":
    """Bars of whole tables a part at a time, those of several pages of a vendor at once: a page may repeat another."""
    from marketbot_assets.ingestion.parse import parse_in_parts
    from marketbot_assets.ingestion.schema import RAW_PRICES
    from marketbot_assets.normalization.series import normalize_prices

    if len(bodies) != 1 and not all(body.parser == PARQUET for body in bodies):
        yield normalize_prices(rows_of("raw_prices", bodies), known)
        return
    for body in bodies:
        told = {"source": body.provider, "blob_sha256": body.sha256, "parser": body.parser}
        for part in parse_in_parts(RAW_PRICES, body.content, asked=body.asked, **told):
            yield normalize_prices(part, known)


def corporate_action_history(read: Reader, ledger: Ledger, bodies: Received) -> "pd.DataFrame":
    """CORPORATE_ACTIONS known before it."""
    from marketbot_assets.normalization.series import normalize_corporate_actions

    return normalize_corporate_actions(rows_of("raw_corporate_actions", bodies), read.read("instrument_history"))


def fx_history(read: Reader, ledger: Ledger, bodies: Received) -> "pd.DataFrame":
    """FX known before it."""
    from marketbot_assets.normalization.series import normalize_fx

    return normalize_fx(rows_of("raw_fx", bodies), read.mandate().base_currency)


def macro_history(read: Reader, ledger: Ledger, bodies: Received) -> "pd.DataFrame":
    """MACRO observations known before it."""
    from marketbot_assets.normalization.series import normalize_macro

    return normalize_macro(rows_of("raw_macro", bodies))


def fundamentals_history(read: Reader, ledger: Ledger, bodies: Received) -> "pd.DataFrame":
    """FUNDAMENTALS filed before it."""
    from marketbot_assets.normalization.series import normalize_fundamentals

    return normalize_fundamentals(rows_of("raw_fundamentals", bodies), read.read("instrument_history"))


def news_history(read: Reader, ledger: Ledger, bodies: Received) -> "pd.DataFrame":
    """NEWS crawled before it."""
    from marketbot_assets.normalization.series import normalize_news

    return normalize_news(rows_of("raw_news", bodies), read.read("instrument_history"))


def intraday_quotes(read: Reader, ledger: Ledger, bodies: Received) -> "pd.DataFrame":
    """INTRADAY_QUOTES of the bodies of a day, of the listings of the last decided session."""
    from marketbot_assets.ingestion.quotes import quotes_frame

    listings = read.previous("instruments")
    if listings is None:
        raise SessionRefused(f"session {read.session}: expected listings of a session before, found none")
    return quotes_frame(rows_of("raw_quotes", bodies), listings, read.mandate().calendar.closed)


def llm_answers(read: Reader, ledger: Ledger, bodies: Received) -> "pd.DataFrame":
    """LLM_ANSWERS: the tries of this session as they were received."""
    from marketbot_assets.insight.exchange import answers_frame

    return answers_frame([bytes(body.content) for body in bodies], read.read("context_pack"), read.mandate())


RAW = (
    "raw_instruments",
    "raw_prices",
    "raw_corporate_actions",
    "raw_fx",
    "raw_macro",
    "raw_fundamentals",
    "raw_news",
)
HISTORIES: Mapping[str, "Callable[[Reader, Ledger, Received], pd.DataFrame]"] = {
    function.__name__: function
    for function in (
        instrument_history,
        price_history,
        corporate_action_history,
        fx_history,
        macro_history,
        fundamentals_history,
        news_history,
    )
}
FROM_BODY: Mapping[str, "Callable[[Reader, Ledger, Received], pd.DataFrame]"] = {
    **{asset: partial(_raw, asset) for asset in RAW},
    **HISTORIES,
    intraday_quotes.__name__: intraday_quotes,
    llm_answers.__name__: llm_answers,
}
REBUILDS: Mapping[str, "Callable[[Reader, Ledger], pd.DataFrame]"] = {
    function.__name__: function
    for function in (
        opening_balance,
        instruments,
        price_overlays,
        corporate_actions,
        identifiers,
        prices,
        restatements,
        fx,
        macro,
        fundamentals,
        news,
        data_quality,
    )
}
