"""F16 in the whole graph: a home whose history was told anew, 1,000 rows and more, still rebuilds what it decided bit for bit."""

import numpy as np
import pandas as pd
import pytest
from graph_world import FIRST, SECOND, Home
from replay_world import newest

from marketbot_assets import rebuild
from marketbot_assets.replay import DAILY, Replay, tables
from marketbot_resources.store.index import Origin
from marketbot_resources.store.reader import Reader
from marketbot_resources.store.resource import session_from_key

pytestmark = pytest.mark.graph
# values that a revision changes, and how many rows of each table are told anew
REVISED = {
    "price_history": (("close", "high", "low", "volume"), 600),
    "fx_history": (("rate",), 150),
    "macro_history": (("value",), 200),
    "fundamentals_history": (("value",), 200),
    "prices": (("close", "volume"), 40),
    "fx": (("rate",), 5),
    "macro": (("value",), 5),
}
HISTORY = ("price_history", "fx_history", "macro_history", "fundamentals_history")


def revise(home: Home, asset: str, part: str, draw: np.random.Generator) -> int:
    """A new version of one object, consistent in itself, with other values in some rows; how many rows."""
    lake, row = home.lake, newest(home, asset, part)
    columns, most = REVISED[asset]
    frame = lake.load(row).copy()
    count = min(most, len(frame))
    recent = max(0, len(frame) - 20 * count)  # mostly rows that a decision of these sessions looks at
    places = np.sort(draw.choice(np.arange(recent, len(frame)), size=count, replace=False))
    for column in columns:
        values = frame[column].to_numpy(dtype=float).copy()
        values[places] *= 1.0 + 0.05 * draw.random(count)
        frame[column] = values
    origin = Origin("a later run", row.code_version, "2019-01-02T00:00:00Z", {})
    lake.commit(pd.DataFrame(frame), tables()[asset], row.part, reads=[], blobs=[], origin=origin)
    return count


@pytest.mark.long  # short forms: research/test_revisions.py, graph/test_replay.py
def test_a_thousand_revisions_change_no_decision_of_the_graph(home: Home) -> None:
    """Every asset from raw rows to orders of two sessions: equal bits after 1,000 revised rows in ten newer versions."""
    draw, told = np.random.default_rng(16), 0
    decided = {
        (asset, part): newest(home, asset, part).manifest_sha256 for asset in REVISED for part in (FIRST, SECOND)
    }
    for asset in REVISED:
        for part in (SECOND,) if asset in HISTORY else (FIRST, SECOND):
            told += revise(home, asset, part, draw)
    assert told >= 1000
    engine = Replay(home.lake)
    for part in (FIRST, SECOND):
        found = engine.some(part, DAILY)
        assert {item.version.asset for item in found} >= {
            "prices",
            "features",
            "forecasts",
            "target_portfolio",
            "orders",
        }
        assert {item.outcome.value for item in found} <= {"equal", "record"}, part
        assert all(item.stored_content == item.rebuilt_content for item in found if item.outcome.value == "equal")
    assert all(newest(home, asset, part).manifest_sha256 != name for (asset, part), name in decided.items())
    assert_the_revisions_matter(home)


def assert_the_revisions_matter(home: Home) -> None:
    """A reader that is not bound to the versions of the decision does see them: features, forecasts and targets move."""
    lake = home.lake
    made = rebuild.features(Reader(lake, session_from_key(SECOND), allowed=None), lake.ledger)
    was = home.frame("features", SECOND)
    moved = [
        name for name in ("return_21d", "volatility_126d", "atr_20d", "vix_level") if not made[name].equals(was[name])
    ]
    assert moved != []
