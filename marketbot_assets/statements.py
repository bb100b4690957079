"""Named sentences about what an asset just stored: checks that warn on its page, evaluated in the asset's own step.

They stop nothing: what acts on the same rows stands where it decides (the verdict, the last-line gate, `halt_on_difference`).
In the asset's own step a check costs two events; a step of its own costs ten. Not here: the schema's check (`checks`),
checks that read other assets (a stage's own `checks.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from marketbot_assets.book.schema import BREAK, LOCKED
from marketbot_assets.checks import BAD_KEYS_SHOWN
from marketbot_resources.model import OrderState
from marketbot_resources.redaction import redactor

if TYPE_CHECKING:
    import pandas as pd

NOT_TAKEN = (OrderState.SENDING, OrderState.UNKNOWN, OrderState.REJECTED)
Problems = Callable[["pd.DataFrame"], list[str]]
LINE_MAX = 240


@dataclass(frozen=True, slots=True)
class Statement:
    """One check. `sentence`: what is so when it passes; `problems`: one line for each row that says otherwise."""

    name: str
    sentence: str
    problems: Problems


def _verdict(frame: "pd.DataFrame") -> list[str]:
    """Controls that said more than WARN; the verdict on the batch unless it is APPROVED."""
    batch = frame[frame["kind"] == "BATCH"]
    loud = frame[(frame["kind"] == "CONTROL") & ~frame["status"].isin(["PASS", "WARN"])]
    whole = [f"{row.verdict}: {row.message}" for row in batch.itertuples() if row.verdict != "APPROVED"]
    return whole + [f"{row.status} {row.key}: {row.message}" for row in loud.itertuples()]


def _breaches(frame: "pd.DataFrame") -> list[str]:
    return [f"{r.control} {r.key} since {r.opened}: {r.message}" for r in frame[frame["kind"] == "BREACH"].itertuples()]


def _reconciliation(frame: "pd.DataFrame") -> list[str]:
    apart = frame[frame["outcome"].isin([BREAK, LOCKED])]
    return [f"{row.outcome} {row.kind} {row.key}: {row.message}" for row in apart.itertuples()]


def _replay(frame: "pd.DataFrame") -> list[str]:
    return [f"{row.asset} {row.partition}: {row.message}" for row in frame[~frame["same"]].itertuples()]


def _sent(frame: "pd.DataFrame") -> list[str]:
    doubtful = frame[frame["state"].isin([state.value for state in NOT_TAKEN])]
    return [f"{row.state} {row.client_order_id}: {row.reason}" for row in doubtful.itertuples()]


def _answered(frame: "pd.DataFrame") -> list[str]:
    first = frame.iloc[0]
    told = {"failed": first["failures"], "doubt": first["doubts"], "conflict": first["conflicts"]}
    return [f"{what}: {text}" for what, text in told.items() if text]


def _bias(frame: "pd.DataFrame") -> list[str]:
    """Families of portfolios whose mean bias statistic is twice as far from 1 as its band, or unknown; nothing on a short past.

    The band is for independent normal returns; stretches of one calm or wild year share their luck, hence twice.
    """
    out = []
    for row in frame[frame["block"] == "bias"].itertuples():
        mean, low, high, _, count = (float(value) for value in row.values)
        if not 2.0 * low - 1.0 <= mean <= 2.0 * high - 1.0:  # NaN is outside
            band = f"the band for normal returns is {low:.2f} to {high:.2f}"
            out.append(f"{row.key} portfolios moved {mean:.2f} times their forecast in {count:.0f} stretches; {band}")
    return out


def _halting(frame: "pd.DataFrame") -> list[str]:
    bad = frame[frame["outcome"] == "halt"]
    return [f"{row.rule} {row.subject}: {row.message}" for row in bad.itertuples()]


STATEMENTS: Mapping[str, tuple[Statement, ...]] = {
    "data_quality": (Statement("no_rule_halts", "No quality rule demands to halt the session.", _halting),),
    "factor_model": (
        Statement(
            "portfolios_move_as_forecast",
            "Bias statistics of factor, random and optimized portfolios are near 1.",
            _bias,
        ),
    ),
    "reconciliation": (
        Statement(
            "broker_agrees", "Nothing differs between our book and the broker's without a reason.", _reconciliation
        ),
    ),
    "target_portfolio": (
        Statement(
            "optimizer_answered", "The first method answered, without doubts and without conflicting limits.", _answered
        ),
    ),
    "risk_verdict": (
        Statement("batch_is_approved", "The verdict is APPROVED and no control said more than WARN.", _verdict),
        Statement("no_breach_is_open", "No limit stays broken.", _breaches),
    ),
    "submissions": (Statement("nothing_in_doubt", "The broker took every order that was sent, and said so.", _sent),),
    "replay_check": (
        Statement("replays_equal", "Every asset can be rebuilt from its inputs as it was stored.", _replay),
    ),
}


def statement_specs(asset: str) -> list[dg.AssetCheckSpec]:
    """What an asset declares beside its schema; none of it blocks."""
    return [
        dg.AssetCheckSpec(one.name, asset=asset, blocking=False, description=one.sentence)
        for one in STATEMENTS.get(asset, ())
    ]


def statement_results(asset: str, frame: "pd.DataFrame") -> list[dg.AssetCheckResult]:
    """The answers of an asset's statements about the frame as readers get it: passed, or a warning with the first lines."""
    return [_result(asset, one, one.problems(frame)) for one in STATEMENTS.get(asset, ())]


def _result(asset: str, statement: Statement, problems: Sequence[str]) -> dg.AssetCheckResult:
    shown = [redactor().text(line)[:LINE_MAX] for line in problems[:BAD_KEYS_SHOWN]]
    return dg.AssetCheckResult(
        check_name=statement.name,
        asset_key=asset,
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"problems": len(problems), "first": "; ".join(shown)},
        description=shown[0] if shown else None,
    )
