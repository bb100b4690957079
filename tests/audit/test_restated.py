"""What a report told first and otherwise later, by hand."""

from dataclasses import replace

from marketbot_assets.audit.restated import Version, restated

FIRST = Version(
    {"nav": 100.0, "verdict": "APPROVED", "pnl": None},
    {"code": "a", "mandate": "m"},
    {"prices": frozenset({"p1"}), "fx": frozenset({"f1"})},
    3,
)


def test_every_number_that_changed_has_its_row() -> None:
    """NAV by other prices, then the profit by other code; what stays has no row, and each row names its own reason."""
    second = replace(
        FIRST, summary={**FIRST.summary, "nav": 99.0}, contents={**FIRST.contents, "prices": frozenset({"p2"})}, entry=7
    )
    third = replace(
        second, summary={**second.summary, "pnl": -1.0}, made_with={"code": "b", "mandate": "m"}, entry=None
    )
    assert restated("2020-01-02", [FIRST, second, third]) == [
        {"session": "2020-01-02", "number": "nav", "old": 100.0, "new": 99.0, "reason": "other content of prices",
         "entry": 7},
        {"session": "2020-01-02", "number": "pnl", "old": None, "new": -1.0, "reason": "other code", "entry": None},
    ]  # fmt: skip


def test_a_number_that_came_or_went_is_one_that_changed() -> None:
    """Also where nothing says why; one version alone is no restatement."""
    other = replace(FIRST, summary={"nav": 100.0, "pnl": None, "cost": 1.0})
    rows = restated("d", [FIRST, other])
    assert [(row["number"], row["old"], row["new"]) for row in rows] == [
        ("cost", None, 1.0),
        ("verdict", "APPROVED", None),
    ]
    assert {row["reason"] for row in rows} == {"nothing that its manifest names"}
    assert restated("d", [FIRST]) == restated("d", [FIRST, FIRST]) == restated("d", []) == []
