"""In a real home the record of views agrees with the features of the session that judges them, ranked by another library."""

import math

import pytest
from graph_world import AFTER, FIRST, NEXT, SECOND, Home
from scipy.stats import spearmanr

DAYS = (FIRST, SECOND, NEXT, AFTER, "2018-12-18", "2018-12-19", "2018-12-20", "2018-12-21")
LEVELS = (("instrument", 1.0), ("sector", 0.5), ("country", 0.25))


def check(home: Home, judged: str, views: str) -> None:
    """The row of one session: `reversal_5d` is the fallen total return of the last five sessions, which is what counts."""
    record = home.frame("llm_evidence", judged)
    (row,) = record[record["session"].dt.date.astype(str) == views].to_dict("records")
    context, listed = home.frame("llm_context", views), home.frame("instruments", views)
    fallen = home.frame("features", judged).set_index("instrument")["reversal_5d"]
    said = context[context["kind"] == "SENTIMENT"].set_index("subject")
    pairs = []
    for name in listed[listed["in_universe"]].to_dict("records"):
        parts = [(w, said.loc[name[level]]) for level, w in LEVELS if name[level] in said.index]
        came = -float(fallen.get(name["instrument"], math.nan))
        if parts and math.isfinite(came):
            view = sum(w * x["score"] * x["confidence"] for w, x in parts) / sum(w for w, _ in parts)
            pairs.append((view, came))
    assert (row["names"], row["judged_on"].date().isoformat()) == (len(pairs), judged)
    assert row["ic"] == pytest.approx(spearmanr(pairs).statistic, abs=1e-9)


@pytest.mark.long
def test_the_record_is_what_the_features_say(base: Home, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two sessions whose horizon of five ended: views of S against closes of the session after S and six after it."""
    home = base.copy(tmp_path_factory.mktemp("evidence") / "home")
    for day in DAYS[2:]:
        assert home.run(day, job="data")
    assert len(home.frame("llm_evidence", DAYS[-1])) == 2
    check(home, DAYS[-2], FIRST)
    check(home, DAYS[-1], SECOND)
