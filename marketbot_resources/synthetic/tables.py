"""Blocks as Arrow tables: what is served, in the columns of the raw tables, and the truth beside it. Pure.

Texts that repeat are dictionary-encoded; rows stand by listing, then session.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from marketbot_resources.synthetic.actions import Action
from marketbot_resources.synthetic.block import Block
from marketbot_resources.synthetic.factors import STYLES
from marketbot_resources.synthetic.faults import FIELDS, Fault, Served, revised_at
from marketbot_resources.synthetic.filings import Figure
from marketbot_resources.synthetic.headlines import Headline
from marketbot_resources.synthetic.life import Life
from marketbot_resources.synthetic.venues import SECTOR_NAMES

STAMP, DAY, TEXT = pa.timestamp("us", tz="UTC"), pa.date32(), pa.string()
Columns = dict[str, tuple[pa.DataType, Sequence[object]]]


def _repeated(values: Sequence[str], places: np.ndarray) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32)), pa.array(values, type=TEXT))


def _table(columns: Columns) -> pa.Table:
    return pa.table({name: pa.array(values, type=kind) for name, (kind, values) in columns.items()})


def _constant(value: str, rows: int) -> pa.DictionaryArray:
    return _repeated([value], np.zeros(rows))


def served_bars(block: Block, served: Served) -> pa.Table:
    """Daily bars as the provider serves them. A revised bar has two rows, the wrong one first."""
    clean = {name: getattr(block.prices, name) for name in FIELDS}
    rows = _bars(block, served.fields, served.mask, served.known)
    if not served.again.any():
        return rows
    later = _bars(block, clean, served.again, revised_at(served.known))
    both = pa.concat_tables([rows, later]).unify_dictionaries().combine_chunks()
    listing = both["source_id"].chunk(0).indices.to_numpy()
    known, session = (
        both[name].cast(kind).to_numpy() for name, kind in (("known_at", pa.int64()), ("session", pa.int32()))
    )
    return both.take(pa.array(np.lexsort((known, session, listing))))


def _bars(block: Block, fields: dict[str, np.ndarray], mask: np.ndarray, known: np.ndarray) -> pa.Table:
    mask = mask.T
    columns, places = np.nonzero(mask)
    values = {name: pa.array(fields[name].T[mask], from_pandas=True) for name in FIELDS}
    return pa.table(
        {
            "source_id": _repeated([life.source_id for life in block.lives], columns),
            "session": pa.array(block.grid.days[places], type=pa.int32()).cast(DAY),
            **values,
            "price_level": values["close"],
            "currency": _constant(block.currency, len(places)),
            "close_adjusted_by_source": pa.array(np.zeros(len(places), dtype=bool)),
            "known_at": pa.array(known.T[mask], type=pa.int64()).cast(STAMP),
            "synthetic": pa.array(np.ones(len(places), dtype=bool)),
            "synthetic_fields": _constant("all", len(places)),
        }
    )


def true_bars(block: Block) -> pa.Table:
    """The clean bars: with the close before rounding, and the returns by origin (log) and in total (simple fraction)."""
    mask, returns = block.prices.alive.T, block.returns
    columns, places = np.nonzero(mask)
    parts = {"log_common": returns.common, "log_specific": returns.specific, "log_jump": returns.jump}
    parts |= {
        "log_deal": returns.deal,
        "total_return": np.expm1(returns.log_total()),
        "exact_close": block.prices.exact,
    }
    parts |= {"specific_vol": returns.sigma}
    return pa.table(
        {
            "source_id": _repeated([life.source_id for life in block.lives], columns),
            "session": pa.array(block.grid.days[places], type=pa.int32()).cast(DAY),
            **{name: pa.array(getattr(block.prices, name).T[mask]) for name in FIELDS},
            **{name: pa.array(values.T[mask]) for name, values in parts.items()},
        }
    )


def action_table(actions: Sequence[Action]) -> pa.Table:
    """Corporate actions in the columns of the raw table."""
    columns: Columns = {
        name: (kind, [getattr(action, name) for action in actions])
        for name, kind in (
            ("source_id", TEXT),
            ("ex_session", DAY),
            ("kind", TEXT),
            ("amount", pa.float64()),
            ("ratio", pa.float64()),
            ("currency", TEXT),
            ("other", TEXT),
        )
    }
    columns["known_at"] = (STAMP, [action.known for action in actions])
    columns["synthetic"] = (pa.bool_(), [True] * len(actions))
    return _table(columns)


def fault_table(faults: Sequence[Fault]) -> pa.Table:
    """One row for each altered value: kind, instrument, session, field, what was, what is served (null: nothing)."""
    kinds = {"kind": TEXT, "source_id": TEXT, "session": DAY, "field": TEXT}
    kinds |= {"true_value": pa.float64(), "served_value": pa.float64()}
    return _table({name: (kind, [getattr(fault, name) for fault in faults]) for name, kind in kinds.items()})


def headline_table(headlines: Sequence[Headline]) -> pa.Table:
    """Headlines in the columns of the raw table."""
    names = {"headline_id": "headline_id", "source_id": "source_id", "headline": "text", "publisher": "publisher"}
    columns: Columns = {name: (TEXT, [getattr(h, own) for h in headlines]) for name, own in names.items()}
    columns["published_at"] = (STAMP, [h.published for h in headlines])
    columns["known_at"] = (STAMP, [h.known for h in headlines])
    columns["synthetic"] = (pa.bool_(), [True] * len(headlines))
    return _table(columns)


def sentiment_table(headlines: Sequence[Headline]) -> pa.Table:
    """The truth about headlines: 1 good, 0 neither, -1 bad for the instrument."""
    kinds = {"headline_id": TEXT, "source_id": TEXT, "session": DAY, "sentiment": pa.int8()}
    return _table({name: (kind, [getattr(h, name) for h in headlines]) for name, kind in kinds.items()})


def filing_table(figures: Sequence[Figure]) -> pa.Table:
    """Filed figures in the columns of the raw table."""
    kinds = {"source_id": TEXT, "field": TEXT, "period_end": DAY, "value": pa.float64(), "currency": TEXT, "form": TEXT}
    columns: Columns = {name: (kind, [getattr(f, name) for f in figures]) for name, kind in kinds.items()}
    columns["known_at"] = (STAMP, [f.known for f in figures])
    columns["synthetic"] = (pa.bool_(), [True] * len(figures))
    return _table(columns)


def exposure_table(lives: Sequence[Life]) -> pa.Table:
    """The truth about exposures: to the market, to the own sector and country, to the styles."""
    columns: Columns = {"source_id": (TEXT, [life.source_id for life in lives])}
    columns["sector"] = (TEXT, [SECTOR_NAMES[life.sector] for life in lives])
    for name in ("beta", "sector_exposure", "country_exposure"):
        columns[name] = (pa.float64(), [getattr(life, name) for life in lives])
    for n, style in enumerate(STYLES):
        columns[style.lower()] = (pa.float64(), [life.styles[n] for life in lives])
    return _table(columns)


def life_table(lives: Sequence[Life], first: Sequence[object], last: Sequence[object]) -> pa.Table:
    """The truth about listings: their sessions, tickers, parents and ends."""
    names = {"source_id": "source_id", "mic": "mic", "ticker": "ticker", "new_ticker": "new_ticker"}
    names |= {"parent": "parent", "sister": "sister", "reason": "reason"}
    columns: Columns = {name: (TEXT, [getattr(life, own) for life in lives]) for name, own in names.items()}
    columns["first_session"], columns["last_session"] = (DAY, first), (DAY, last)
    columns["delisting_return"] = (pa.float64(), [life.final_return for life in lives])
    return _table(columns)
