"""The golden packs and the rule by which a changed version may be the old model."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from calls_world import DAY, NEXT_DAY, Scripted, World, failed, mandate_of, said

from marketbot_assets.insight.gate import schema_of
from marketbot_assets.insight.prompt import prompt_of
from marketbot_assets.insight.schema import CONTEXT_PACK
from marketbot_assets.llm_desk import LlmDesk, desk_of
from marketbot_assets.llm_golden import COUNT, golden_packs, golden_version
from marketbot_assets.llm_probe import ANSWERS_MIN, Scores, compared, record_baseline
from marketbot_assets.llm_versions import record_of
from marketbot_resources.ledger.record import RECORD_BYTES_MAX, canonical_json
from marketbot_resources.llm import LlmAnswer, LlmFailure, LlmRequest
from marketbot_resources.store.content import canonical


def scores(value: float = 0.4, packs: int = COUNT, others: Scores | None = None) -> Scores:
    return {f"{n + 1:02d}": {"A": value, "B": -value} for n in range(packs)} | dict(others or {})


@pytest.mark.parametrize(
    ("now", "passed"),
    [
        (scores(), True),
        (scores(0.5), True),  # the mean difference is 0.1
        (scores(0.501), False),
        (scores(-0.4), False),
        (scores(0.04), False),  # within the dead zone: no sign
        (scores(packs=ANSWERS_MIN), True),
        (scores(packs=ANSWERS_MIN - 1), False),
        ({}, False),
        (scores(others={"01": {"A": -0.4, "B": 0.4}}), True),  # 38 of 40 signs agree: 0.95
        (scores(others={"01": {"A": -0.4, "B": 0.4}, "02": {"A": -0.4, "B": -0.4}}), False),  # 37 of 40
        (scores(others={f"{n:02d}": {"A": 0.4} for n in range(1, 5)}), True),  # 36 of 40 are scored by both: 0.9
        (scores(others={f"{n:02d}": {"A": 0.4} for n in range(1, 6)}), False),  # 35 of 40
        ({f"{n + 1:02d}": {"C": 0.4} for n in range(COUNT)}, False),
    ],
)
def test_what_answers_alike(now: Scores, passed: bool) -> None:
    """Coverage, sign and size, each at its bound; every failure says so in words."""
    found = compared(scores(), now)
    assert found.passed == passed
    assert found.reason.startswith("probe: ")


def test_the_golden_packs_are_twenty_small_questions() -> None:
    """Each is a valid pack, all are different, each schema has its subjects; together they fit one ledger entry of scores."""
    packs = golden_packs()
    assert len(packs) == COUNT == 20
    questions = {prompt_of(pack).question for pack in packs}
    assert len(questions) == COUNT
    assert max(map(len, questions)) < 3000
    for number, pack in enumerate(packs):
        assert canonical(pack, CONTEXT_PACK).num_rows == len(pack)
        assert f"GOLD{number:02d}A" in json.dumps(schema_of(pack))
    names = {f"{n:02d}": {s: -0.123456789 for s in ("GOLD00A", "GOLD00B", "INDUSTRIALS", "US")} for n in range(COUNT)}
    assert len(canonical_json({"scores": names, "answers": ["f" * 64] * COUNT})) < RECORD_BYTES_MAX / 2
    assert golden_version().startswith("golden-")


class Model:
    """`LlmPort`: a model that scores both shares of a golden pack by a rule, and every other pack as `said` does."""

    def __init__(self, score: float = 0.4, fingerprint: str = "fp1", fails_after: int = 10**6) -> None:
        self.score, self.fingerprint, self.left = score, fingerprint, fails_after
        self.asked: list[LlmRequest] = []

    def ask(self, request: LlmRequest) -> LlmAnswer | LlmFailure:
        self.asked.append(request)
        if self.left == 0:
            return failed()
        self.left -= 1
        shares = sorted({word for word in request.turns[0][1].replace('"', " ").split() if word.startswith("GOLD")})
        pairs = [(share, self.score, f"F{n + 1}") for n, share in enumerate(x for x in shares if len(x) == 7)]
        views = [{"subject": s, "score": v, "confidence": 0.5, "evidence": [item]} for s, v, item in pairs]
        text = json.dumps({"themes": [], "sentiments": views, "risk_on": None, "quotes": []})
        return said(text, fingerprint=self.fingerprint)


def desk(world: World, port: Model) -> LlmDesk:
    from marketbot_resources.store.reader import Reader

    read, llm = Reader(world.lake, DAY, allowed=None), world.mandate.llm
    assert llm is not None
    lake = world.lake
    return desk_of(lake.ledger, lake.objects.get_blob, world.keep, port, session=DAY, cutoff=read.cutoff, llm=llm)


def baseline(world: World, port: Model) -> str:
    """The fault of recording a baseline."""
    llm = world.mandate.llm
    assert llm is not None
    return record_baseline(desk(world, port), llm.chain[0], llm.answer_tokens_max).fault


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, mandate_of(usd_per_day=10.0))


def test_a_baseline_is_twenty_answers_on_record(world: World) -> None:
    """Every answer is a body and a call, the entry holds the scores and the version."""
    port = Model()
    assert baseline(world, port) == ""
    assert len(port.asked) == len(world.bodies("llm_call")) == COUNT
    (entry,) = world.bodies("llm_probe")
    assert (entry["role"], entry["version"], entry["fault"]) == ("baseline", "openai:one-2018@fp1", "")
    assert entry["scores"]["01"] == {"GOLD00A": 0.4, "GOLD00B": 0.4}  # type: ignore[index]
    assert all(world.lake.objects.get_blob(name) for name in entry["answers"])  # type: ignore[attr-defined]
    assert Decimal(str(entry["cost_usd"])) == Decimal("0.26")


def test_the_same_answers_under_another_fingerprint_are_the_same_model(world: World) -> None:
    """The probe runs by itself, once: no drift, evidence goes on under the version of record, no incident."""
    world.ask(Model())
    assert baseline(world, Model()) == ""
    other = Model(0.45, "fp2")
    second = world.rows(world.ask(other, NEXT_DAY, fresh=True))
    prompt = second["prompt"].iloc[0]
    assert len(other.asked) == 1 + COUNT
    assert list(second["drifted"]) == [False]
    assert list(second["version"]) == [f"openai:one-2018@fp1#{prompt}"]
    assert list(second["fingerprint"]) == ["fp2"]
    assert world.incidents() == []
    assert record_of(world.lake.ledger, "openai:one-2018@fp2") == "openai:one-2018@fp1"
    for port in (Model(0.4, "fp1"), Model(0.4, "fp2")):  # back and forth: nothing is probed again
        rows = world.rows(world.ask(port, NEXT_DAY, fresh=True))
        assert len(port.asked) == 1
        assert (list(rows["drifted"]), list(rows["version"])) == ([False], list(second["version"]))


FAULTS = {
    "other answers": (Model(-0.4, "fp2"), "answers differently"),
    "a failure": (Model(0.4, "fp2", fails_after=6), "pack 6: timeout"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_probe_that_does_not_pass_is_a_drift(name: str, world: World) -> None:
    """Its own version, marked, told with the numbers; a probe ends at its first failure."""
    port, why = FAULTS[name]
    world.ask(Model())
    assert baseline(world, Model()) == ""
    rows = world.rows(world.ask(port, NEXT_DAY, fresh=True))
    assert list(rows["outcome"]) == ["ACCEPTED"]
    assert (list(rows["drifted"]), rows["version"].iloc[0].split("#")[0]) == ([True], "openai:one-2018@fp2")
    assert len(port.asked) == (1 + COUNT if name == "other answers" else 7)
    (incident,) = world.bodies("llm_incident")
    assert why in str(incident["reason"])
    last = world.bodies("llm_probe")[-1]
    assert (last["role"], last["passed"]) == ("comparison", False)


def test_a_version_that_changes_while_it_is_probed_is_a_drift(world: World) -> None:
    """Two machines behind one name answer in turn: nothing that was measured belongs to one of them."""
    world.ask(Model())
    assert baseline(world, Model()) == ""
    two = [Model(0.4, "fp2"), Model(0.4, "fp3")]
    port = Scripted([*(two[0].ask for _ in range(10)), two[1].ask])
    rows = world.rows(world.ask(port, NEXT_DAY, fresh=True))
    assert list(rows["drifted"]) == [True]
    assert "several versions" in str(world.bodies("llm_incident")[0]["reason"])


def test_a_probe_that_the_day_cannot_pay_for_is_not_begun(tmp_path: Path) -> None:
    """Twenty worst cases do not fit: no call is made for it, the drift stands and says why."""
    rich = World(tmp_path, mandate_of(usd_per_day=10.0))
    rich.ask(Model())
    assert baseline(rich, Model()) == ""
    poor = World(tmp_path, mandate_of(usd_per_day=0.2))
    port = Model(0.4, "fp2")
    rows = poor.rows(poor.ask(port, NEXT_DAY, fresh=True))
    assert (list(rows["drifted"]), len(port.asked)) == ([True], 1)
    assert "it could cost" in str(poor.bodies("llm_incident")[0]["reason"])


def test_a_baseline_with_a_fault_is_not_recorded(world: World) -> None:
    """A failure, or too few accepted answers: there is still nothing to compare with."""
    assert baseline(world, Model(fails_after=3)).startswith("pack 4: timeout")
    assert "0 of 20 answers passed the gate" in baseline(world, Model(score=2.0))
    assert world.bodies("llm_probe") == []
