"""The engine and the record: rounds, hashes, the way back from the table to the batch."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from risk_world import MANDATE, NAMES, batch, book_state, drawn_down, inputs, order, tweaked

from marketbot_assets.book.state import Rung, StopHit
from marketbot_assets.risk.control import worst
from marketbot_assets.risk.schema import RISK_VERDICT, STRESS_RESULTS
from marketbot_assets.risk.stress import stress_results
from marketbot_assets.risk.verdict import CONTROLS, ROUNDS_MAX, judge, run_controls
from marketbot_assets.risk.verdict_frame import approved_from_frame, verdict_frame, verdict_of
from marketbot_resources.errors import NoVerdict
from marketbot_resources.model import Status, batch_sha256

LISTED = (
    "RC-01 RC-02 RC-03 RC-04 RC-05 RC-06 RC-07 RC-08 RC-09 RC-10 RC-11 RC-12 RC-13 RC-14 RC-15 RC-16 RC-17 RC-18 RC-19 RC-20 "
    "RC-21 RC-22 RC-23 RC-24 RC-25 RC-26 RC-30 RC-31 RC-32 RC-33 RC-34 RC-35 RC-36 RC-37 RC-38 RC-39 RC-40 RC-41 RC-42 RC-43 "
    "RC-44 RC-45 RC-46 RC-47 RC-49 RC-50 RC-52 RC-53 RC-54 RC-60 RC-61 RC-62 RC-63 RC-64 RC-65 RC-66 RC-67 RC-68 RC-69 RC-70 "
    "RC-71 RC-72 RC-73 RC-74 RC-80 RC-81 RC-82 RC-83 RC-84 RC-85 RC-87 RC-88 RC-89 RC-90 RC-92"
).split()
TIGHT = tweaked(MANDATE, "limits.turnover.buys_per_day.hard", 0.02)
HALVED = replace(inputs(), mandate_sha256=TIGHT.sha256)


def test_the_controls_are_the_listed_ones() -> None:
    """The numbered list of controls, each once, no others."""
    assert [rule.id for rule, _ in CONTROLS] == LISTED
    assert {r.control for r in run_controls(inputs(), batch(), MANDATE)} == set(LISTED)


def test_statuses_combine_by_max() -> None:
    """G1: the lattice's maximum; no answer at all is HALT."""
    results = run_controls(inputs(), batch(), MANDATE)
    assert worst(results) is Status.PASS
    assert worst([*results, replace(results[0], status=Status.REDUCE_ONLY)]) is Status.REDUCE_ONLY
    assert worst([]) is Status.HALT


def test_a_shrunk_batch_is_judged_again() -> None:
    """DESIGN: 4 % of buys under a cap of 2 %: each is halved, to whole shares, the leg follows, the sell stays."""
    judged = judge(HALVED, batch(), TIGHT)
    assert (judged.verdict, len(judged.rounds)) == ("APPROVED", 2)
    assert {o.instrument: o.quantity for o in judged.approved} == {
        "FX:EUR": Decimal("4050.00"), "MBA": Decimal(100), "MBD": Decimal(100), "MBH": Decimal(50), "MBL": Decimal(50),
    }  # fmt: skip
    assert {c[0]: c[3] for c in judged.changes} == {
        "mb1-fx-eur-buy": "RC-18", "mb1-mbd-buy": "RC-41", "mb1-mbh-buy": "RC-41", "mb1-mbl-buy": "RC-41",
    }  # fmt: skip
    assert judged.batch_seen_sha256 == batch_sha256(batch())
    assert judged.batch_approved_sha256 == batch_sha256(judged.approved)


def test_nothing_to_send_is_approved_and_empty() -> None:
    """DESIGN: a session may end as sent with zero orders."""
    judged = judge(inputs(), (), MANDATE)
    assert (judged.verdict, judged.approved, judged.batch_seen_sha256) == ("APPROVED", (), batch_sha256(()))


def test_reductions_alone_are_judged_once_when_all_else_fails() -> None:
    """DESIGN: a rejected batch leaves its risk-reducing orders; without any of them it is REJECTED."""
    mandate = tweaked(MANDATE, "limits.gross.hard", 0.1)
    facts = replace(inputs(), mandate_sha256=mandate.sha256)
    judged = judge(facts, batch(), mandate)
    assert (judged.verdict, [o.instrument for o in judged.approved]) == ("APPROVED", ["MBA"])
    assert {c[3] for c in judged.changes} == {"RC-36"}
    bought = judge(facts, batch()[:3], mandate)
    assert (bought.verdict, bought.approved) == ("REJECTED", ())
    assert len(judged.rounds) <= ROUNDS_MAX + 1


def test_reductions_pass_limits_that_cannot_be_computed() -> None:
    """G5: risk-reducing orders bypass RC-30 to RC-47; exits go although the factor model is gone."""
    judged = judge(inputs(factor_model=None), batch(), MANDATE)
    assert (judged.verdict, [o.instrument for o in judged.approved]) == ("APPROVED", ["MBA"])


def test_halt_sends_nothing() -> None:
    """DESIGN: HALT ends the judgement in its first round."""
    judged = judge(inputs(halt_flag="on"), batch(), MANDATE)
    assert (judged.verdict, judged.approved, len(judged.rounds)) == ("HALT", (), 1)
    assert {(c[2], c[3]) for c in judged.changes} == {(Decimal(0), "RC-80")}


SITUATIONS = {
    "approved": (inputs(), batch(), MANDATE),
    "shrunk": (HALVED, batch(), TIGHT),
    "rejected": (inputs(unknown_broker_instruments=("X",)), batch(), MANDATE),
    "halted": (inputs(ledger_ready=False), batch(), MANDATE),
    "empty": (inputs(), (), MANDATE),
    "twice": (inputs(), (*batch(), batch()[0]), MANDATE),
    "to cash": (inputs(book=drawn_down(0.16, Rung.HALT)), batch(), MANDATE),
    "two hits": (
        inputs(book=book_state(stop_hits=(StopHit("MBA", "RC-62", 1.0, 2.0), StopHit("MBA", "RC-62", 1.0, 2.0)))),
        batch(), MANDATE,
    ),
    "unpriced": (inputs(price=np.full(12, np.nan)), batch(), MANDATE),
}  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_table_keeps_its_contract(situation: str) -> None:
    """RISK_VERDICT: unique keys, types, ranges; it can be written to Arrow; the verdict can be read back."""
    facts, orders, mandate = SITUATIONS[situation]
    judged = judge(facts, orders, mandate)
    frame = verdict_frame(judged, facts, MANDATE)
    RISK_VERDICT.pandera_schema.validate(frame)
    assert pa.Table.from_pandas(frame, schema=RISK_VERDICT.arrow_schema, preserve_index=False).num_rows == len(frame)
    assert verdict_of(frame) == judged.verdict
    if judged.verdict == "APPROVED":
        assert approved_from_frame(frame, orders) == judged.approved
    else:
        with pytest.raises(NoVerdict):
            approved_from_frame(frame, orders)


def test_the_batch_survives_storage() -> None:
    """Law 2: quantities come back from decimal(28, 10) with the same hash."""
    judged = judge(HALVED, batch(), TIGHT)
    table = pa.Table.from_pandas(
        verdict_frame(judged, HALVED, MANDATE), schema=RISK_VERDICT.arrow_schema, preserve_index=False
    )
    back = approved_from_frame(table.to_pandas(), batch())
    assert batch_sha256(back) == judged.batch_approved_sha256


def test_no_verdict_no_order() -> None:
    """Law 2, G4: another plan, an altered quantity, a larger one, a missing or second verdict give no batch."""
    judged = judge(HALVED, batch(), TIGHT)
    frame = verdict_frame(judged, HALVED, MANDATE)
    other = (replace(batch()[0], quantity=Decimal(201)), *batch()[1:])
    is_order = (frame["kind"] == "ORDER") & (frame["key"] == "mb1-mbd-buy")

    def altered(quantity: object) -> pd.DataFrame:
        values = [quantity if hit else q for hit, q in zip(is_order, frame["approved_quantity"], strict=True)]
        return frame.assign(approved_quantity=pd.Series(values, dtype=object))

    cases = [
        (frame, other), (frame, batch()[:-1]), (altered(Decimal(99)), batch()), (altered(Decimal(201)), batch()),
        (altered(None), batch()),
        (altered(Decimal(-1)), batch()), (frame[frame["kind"] != "BATCH"], batch()), (pd.concat([frame, frame]), batch()),
        (frame.assign(verdict="REJECTED"), batch()), (frame.assign(verdict="YES"), batch()), (frame[~is_order], batch()),
        (frame.assign(batch_seen_sha256=""), batch()), (frame.assign(batch_approved_sha256="0" * 64), batch()),
        (frame.iloc[:0], batch()),
    ]  # fmt: skip
    for table, plan in cases:
        with pytest.raises(NoVerdict):
            approved_from_frame(table, plan)


def test_stress_results_show_the_book_after_the_plan() -> None:
    """RC-46: one row per scenario, its worst names, what was proxied; the same loss as the control's."""
    proxied = np.zeros((3, 12), dtype=bool)
    proxied[1, NAMES.index("MBB")] = True
    facts = inputs(factor_model=replace(inputs().factor_model, scenario_proxied=proxied))
    frame = stress_results(facts, batch(), MANDATE)
    STRESS_RESULTS.pandera_schema.validate(frame)
    rows = frame.set_index("scenario")
    assert rows.loc["H2008", "proxied_share"] == pytest.approx(0.02 / 0.17)
    assert rows.loc["H2008L", "proxied_share"] == 0.0
    assert rows.loc["H2008", "worst_contributors"].startswith("MBK 0.0116, MBI 0.0109")
    by_sector = [part.rsplit(" ", 1) for part in rows.loc["H2008", "by_sector"].split(", ")]
    assert sum(float(value) for _, value in by_sector) == pytest.approx(rows.loc["H2008", "loss"], abs=4e-4)
    assert "FUND" in {sector for sector, _ in by_sector}
    # MBC and MBD, 2 % of NAV each, fall by half of their betas 0.8 + 0.4 k / 11, k = 2, 3: 0.01 * (0.8727 + 0.9091)
    assert ["HEALTH", "0.0178"] in by_sector
    assert set(frame.loc[frame["kind"] == "reverse", "by_sector"]) == {""}
    seen = {r.key: r.observed for r in run_controls(facts, batch(), MANDATE) if r.control == "RC-46"}
    judged = frame[frame["kind"] != "reverse"]
    assert seen == pytest.approx(dict(zip(judged["scenario"], judged["loss"], strict=True)))


def test_a_stress_that_cannot_be_computed_is_shown() -> None:
    """G3: without a factor model the table still holds what needs none, and says what is missing."""
    frame = stress_results(inputs(factor_model=None), batch(), MANDATE)
    STRESS_RESULTS.pandera_schema.validate(frame)
    rows = frame.set_index("scenario")
    assert set(rows.index[rows["kind"] == "unknown"]) == {"historical windows", "market and FED"}
    assert set(rows.loc[rows["kind"] == "unknown", "status"]) == {"SHRINK"}
    assert rows.loc["Y5", "loss"] == pytest.approx(0.05)


def test_stress_limits_follow_the_drawdown() -> None:
    """RC-46: the budget is 20 % less the drawdown, at least 2 %."""
    for depth, limit in ((0.0, 0.20), (0.09, 0.11), (0.19, 0.02)):
        rung = Rung.HALT if depth >= 0.15 else Rung.SCALED
        rows = stress_results(inputs(book=drawn_down(depth, rung)), (order("MBA", "SELL", 1),), MANDATE).set_index(
            "scenario"
        )
        assert rows.loc["WORST5", "limit"] == pytest.approx(limit)
