"""Twenty small context packs that are always the same: what a model says of them tells whether it is still the same model.

Pure and made by code alone; every pack names two invented shares, their sector and country, with facts and headlines that point up
or down, strongly or weakly, or contradict each other. Not here: asking (`llm_probe`).
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from marketbot_assets.insight.schema import CONTEXT_PACK

if TYPE_CHECKING:
    import pandas as pd

COUNT = 20
_KNOWN_AT = dt.datetime(2000, 1, 3, 22, 45, tzinfo=dt.UTC)
_GOOD = ("raises its outlook after record orders", "beats estimates and lifts its dividend", "wins a large contract")
_BAD = ("cuts its outlook as orders fall", "misses estimates and halves its dividend", "loses its largest customer")
_DULL = ("names a new head of accounting", "holds its annual meeting", "moves its headquarters")
_STRENGTHS = (-24.0, -9.0, 0.5, 8.0, 23.0)


@lru_cache(maxsize=1)
def golden_packs() -> "tuple[pd.DataFrame, ...]":
    """The packs, CONTEXT_PACK rows each, in their order. Four pairings of news for each of five returns."""
    import pandas as pd

    names = [column.name for column in CONTEXT_PACK.columns]
    frames = []
    for number in range(COUNT):
        rows = [{"place": place, **row} for place, row in enumerate(_rows(number))]
        frames.append(pd.DataFrame(rows, columns=names))
    return tuple(frames)


@lru_cache(maxsize=1)
def golden_version() -> str:
    """Changes when any text of the packs does: answers to different questions are never compared."""
    told = json.dumps([list(_rows(number)) for number in range(COUNT)], default=str, sort_keys=True)
    return f"golden-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def _rows(number: int) -> "Iterator[dict[str, object]]":
    strength, pairing = _STRENGTHS[number % 5], number // 5
    shares = (f"GOLD{number:02d}A", f"GOLD{number:02d}B")
    sector, country = "INDUSTRIALS", "US"
    for place, share in enumerate(shares):
        text = f"{share}, Invented Company, {sector}, {country}"
        yield _row(f"S{place + 1}", "SUBJECT", share, "INSTRUMENT", text)
    yield _row("S3", "SUBJECT", sector, "SECTOR", "sector of 2 names")
    yield _row("S4", "SUBJECT", country, "COUNTRY", "country of 2 names")
    yield _row("M1", "MACRO", "RATE", "SERIES", "policy rate 2.50 percent, before 2.50", 2.5, "percent")
    for place, (share, value) in enumerate(zip(shares, (strength, -strength), strict=True)):
        yield _row(f"F{place + 1}", "FACT", share, "INSTRUMENT", f"{share} return 63d {value:.1f} %", value, "%")
    told = (_GOOD, _BAD) if strength > 1.0 else (_BAD, _GOOD) if strength < -1.0 else (_DULL, _DULL)
    told = told if pairing < 2 else (told[1], told[0])  # the second half contradicts the returns
    for place, (share, texts) in enumerate(zip(shares, told, strict=True)):
        for copy in range(1 + pairing % 2):
            text = f"{share} {texts[(number + copy) % len(texts)]}"
            item = f"H{2 * place + copy + 1}"
            yield _row(item, "HEADLINE", share, "INSTRUMENT", text, publisher=("First Wire", "Second Wire")[copy])


def _row(
    item: str,
    kind: str,
    subject: str,
    level: str,
    text: str,
    value: float = float("nan"),
    unit: str = "",
    publisher: str = "",
) -> dict[str, object]:
    return {
        "item": item,
        "kind": kind,
        "subject": subject,
        "level": level,
        "text": text,
        "value": value,
        "unit": unit,
        "publisher": publisher,
        "known_at": _KNOWN_AT,
        "source_ids": "",
        "synthetic": True,
    }
