"""Which models are asked, what is recorded of each try, and what a hit, a killed run and a changed model bring."""

import datetime as dt
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path

import pytest
from calls_world import (
    BAD,
    DAY,
    NEXT_DAY,
    PACK,
    Said,
    Scripted,
    World,
    failed,
    mandate_of,
    model,
    said,
    views,
)

from marketbot_assets.insight.schema import LLM_ANSWERS
from marketbot_assets.llm_budget import Budget
from marketbot_assets.llm_versions import record_of
from marketbot_resources.errors import ProviderError, StoreError
from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.llm import FailureKind
from marketbot_resources.llm_exchange import content_sha256
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.provider import Body
from marketbot_resources.store.content import canonical

A, R, F = "ACCEPTED", "REFUSED", "FAILED"


class Dies(BaseException):
    """The process dies here."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


TWO = (model("one"), model("two"))
Tries = list[tuple[str, int, bool, str, str]]
Case = tuple[tuple[dict[str, object], ...], int, Sequence[Said], Tries, list[str]]
CASES: dict[
    str, Case
] = {  # chain, passes, what is said in turn: (model, run, repair, outcome, layer) of each try, incidents
    "accepted": ((model(),), 1, [said()], [("one", 1, False, A, "")], []),
    "repaired": (
        (model(),),
        1,
        [said(BAD), said()],
        [("one", 1, False, R, "names"), ("one", 1, True, A, "")],
        [],
    ),
    "abstains": (
        (model(),),
        1,
        [said(BAD)],
        [("one", 1, False, R, "names"), ("one", 1, True, R, "names")],
        ["LLM_REFUSED"],
    ),
    "next after refusal": (
        TWO,
        1,
        [said(BAD), said("x"), said()],
        [("one", 1, False, R, "names"), ("one", 1, True, R, "json"), ("two", 1, False, A, "")],
        [],
    ),
    "next after failure": (
        TWO,
        1,
        [failed(), said()],
        [("one", 1, False, F, "timeout"), ("two", 1, False, A, "")],
        [],
    ),
    "failure of a repair": (
        TWO,
        1,
        [said(BAD), failed(), said()],
        [("one", 1, False, R, "names"), ("one", 1, True, F, "timeout"), ("two", 1, False, A, "")],
        [],
    ),
    "nobody answers": (
        TWO,
        2,
        [failed(FailureKind.NO_KEY), failed(FailureKind.OVERLOADED)],
        [("one", 1, False, F, "no_key"), ("two", 1, False, F, "overloaded")],
        ["LLM_PROVIDER"],
    ),
    "worker died, next answers": (
        TWO,
        1,
        [failed(FailureKind.WORKER_DIED), said()],
        [("one", 1, False, F, "worker_died"), ("two", 1, False, A, "")],
        ["LLM_WORKER"],
    ),
    "worker died everywhere": (
        (model(),),
        1,
        [failed(FailureKind.WORKER_DIED)],
        [("one", 1, False, F, "worker_died")],
        ["LLM_WORKER", "LLM_PROVIDER"],
    ),
    "the port raises": ((model(),), 1, [ValueError("odd")], [("one", 1, False, F, "unknown")], ["LLM_PROVIDER"]),
    "half a character": (
        (model(),),
        1,
        [said("\ud800")],
        [("one", 1, False, F, "bad_answer")],
        ["LLM_PROVIDER"],
    ),
    "absurd tokens": (
        (model(),),
        1,
        [said(tokens_in=10**12)],
        [("one", 1, False, F, "bad_answer")],
        ["LLM_PROVIDER"],
    ),
    "two passes": ((model(),), 2, [said()], [("one", 1, False, A, ""), ("one", 2, False, A, "")], []),
    "the second pass asks who was accepted": (
        TWO,
        2,
        [failed(), said()],
        [("one", 1, False, F, "timeout"), ("two", 1, False, A, ""), ("two", 2, False, A, "")],
        [],
    ),
    "second pass fails": (
        (model(),),
        2,
        [said(), failed()],
        [("one", 1, False, A, ""), ("one", 2, False, F, "timeout")],
        ["LLM_PROVIDER"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_chain_is_walked(name: str, tmp_path: Path) -> None:
    """Accepted ends a pass, refused has one repair try, a failure goes on; each try is one row, and nothing raises."""
    chain, passes, script, tries, incidents = CASES[name]
    world = World(tmp_path, mandate_of(*chain, passes=passes))
    port = Scripted(script)
    rows = world.rows(world.ask(port))
    found = list(zip(rows["model"], rows["run"], rows["repair"], rows["outcome"], rows["layer"], strict=True))
    assert found == tries
    assert list(rows["attempt"]) == list(range(1, len(tries) + 1))
    assert len(port.asked) == len(tries)
    assert world.incidents() == incidents
    assert len(world.bodies("llm_reserved")) == len(world.bodies("llm_call")) == len(tries)
    assert first_fault(world.lake.ledger) is None
    assert canonical(rows, LLM_ANSWERS).num_rows == len(tries)


def test_without_a_model_nothing_is_asked_and_nothing_recorded(tmp_path: Path) -> None:
    """Mandate without llm: no body, no entry, no call."""
    default = parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))
    world = World(tmp_path, default)
    size, port = world.lake.ledger.size(), Scripted([said()])
    delivery = world.ask(port)
    assert (delivery.bodies, delivery.refused, delivery.refusals, port.asked) == ((), (), (), [])
    assert world.lake.ledger.size() == size
    assert world.rows(delivery).empty


def test_a_pack_without_subjects_asks_nothing(tmp_path: Path) -> None:
    """Nobody to speak about: no call is paid for."""
    world = World(tmp_path, pack=PACK[PACK["kind"] != "SUBJECT"].reset_index(drop=True))
    port = Scripted([said()])
    assert world.ask(port).bodies == ()
    assert port.asked == []


def test_a_repair_try_shows_the_refused_answer_and_what_was_wrong(world: World) -> None:
    """Question, refused answer as far as it is short, the gate's words; the same question otherwise."""
    port = Scripted([said("x" * 10_000), said()])
    world.ask(port)
    first, second = port.asked
    assert first.turns == second.turns[:1]
    assert [role for role, _ in second.turns] == ["user", "assistant", "user"]
    assert second.turns[1][1] == "x" * 8000 + "(the rest was cut off)"
    assert "refused" in second.turns[2][1]
    assert (first.system, first.schema, first.tokens_max) == (second.system, second.schema, second.tokens_max)


def test_what_is_asked_and_answered_lies_in_the_store_by_its_hash(world: World) -> None:
    """Request and answer are bodies of their own, named in the row and in the ledger."""
    port = Scripted([said()])
    delivery = world.ask(port)
    row = world.rows(delivery).iloc[0]
    blobs = world.lake.objects
    assert blobs.get_blob(row["request_sha256"]) == port.asked[0].canonical()
    assert b"one-2018" in blobs.get_blob(row["answer_sha256"])
    call = world.bodies("llm_call")[0]
    assert (call["request_sha256"], call["answer_sha256"]) == (row["request_sha256"], row["answer_sha256"])
    assert {content_sha256(body.content) for body in delivery.kept} == {
        row["request_sha256"],
        row["answer_sha256"],
    }


def test_a_question_is_never_paid_for_twice(world: World) -> None:
    """The same question again, in this session or another with the same pack, is read from the store: equal rows, no call."""
    port = Scripted([said(BAD), said()])
    first = world.ask(port)
    again = world.ask(port)
    assert [body.content for body in again.bodies] == [body.content for body in first.bodies]
    other = world.rows(world.ask(port, NEXT_DAY))
    assert len(port.asked) == 2
    assert list(other["outcome"]) == [R, A]
    assert list(other["cost_usd"]) == [Decimal(0), Decimal(0)]
    assert list(world.rows(first)["cost_usd"]) == [Decimal("0.013")] * 2
    assert len(world.bodies("llm_reserved")) == 2


def test_a_failure_is_asked_again(world: World) -> None:
    """What failed was no answer: the next run asks."""
    port = Scripted([failed(), said()])
    assert list(world.rows(world.ask(port))["outcome"]) == [F]
    assert list(world.rows(world.ask(port))["outcome"]) == [A]


def test_refetch_asks_again_and_the_newest_answer_serves_from_then_on(world: World) -> None:
    """`run --refetch`: a further call, a further entry; later runs are served what was said last."""
    port = Scripted([said(views(0.1)), said(views(0.2))])
    world.ask(port)
    asked = world.rows(world.ask(port, fresh=True))
    assert asked["answer"].iloc[0] == views(0.2)
    assert world.rows(world.ask(port))["answer"].iloc[0] == views(0.2)
    assert len(port.asked) == 2


def test_an_altered_answer_is_no_hit(world: World) -> None:
    """The body is verified by its hash; one that was changed on disk is not believed, and the model is asked."""
    port = Scripted([said(views(0.1)), said(views(0.2))])
    name = world.rows(world.ask(port))["answer_sha256"].iloc[0]
    path = world.folder / "store" / "blobs" / name[:2] / f"{name}.gz"
    path.chmod(0o644)
    path.write_bytes(b"altered")
    with pytest.raises(StoreError):
        world.lake.objects.get_blob(name)
    assert world.rows(world.ask(port))["answer"].iloc[0] == views(0.2)


def test_our_own_secret_in_an_answer_is_not_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sends our key back gives no answer, and the key lies nowhere."""
    secret = "sk-0123456789abcdef0123"
    keep = world.keep

    def guarded(body: Body) -> str:
        if secret.encode() in body.content:
            raise ProviderError(f"expected a body without our own secrets, found one: {len(secret)}")
        return keep(body)

    monkeypatch.setattr(world, "keep", guarded)
    rows = world.rows(world.ask(Scripted([said(views().replace("GOLD", secret))])))
    assert list(rows["layer"]) == ["bad_answer"]
    assert secret not in str(rows.to_dict()) + str(world.bodies("llm_call"))


def dies_before(world: World, entry: str) -> Callable[..., object]:
    """The ledger of a process that dies before it appends an entry of a kind."""
    append = world.lake.ledger.append

    def dying(kind: str, key: str, body: dict[str, object], fence: object = None) -> object:
        if kind == entry:
            raise Dies
        return append(kind, key, body)  # type: ignore[arg-type]

    return dying


@pytest.mark.parametrize(
    ("place", "calls", "spent"),
    [("called", 1, "worst"), ("answered", 1, "worst"), ("recorded", 0, "0.013")],
)
def test_a_killed_run_goes_on_and_forgets_no_cost(world: World, place: str, calls: int, spent: str) -> None:
    """Killed while calling, or after the answer: worst case, asked again; killed after the entry: served, as in one go."""
    with pytest.MonkeyPatch.context() as patch:
        if place == "answered":
            patch.setattr(world.lake.ledger, "append", dies_before(world, "llm_call"))
        with pytest.raises(Dies) if place != "recorded" else nullcontext():
            world.ask(Scripted([Dies() if place == "called" else said()]))
    port = Scripted([said()])
    rows = world.rows(world.ask(port))
    assert len(port.asked) == calls
    assert list(rows["outcome"]) == [A]
    assert list(rows["cost_usd"]) == [Decimal("0.013")]
    reserved = world.bodies("llm_reserved")
    assert len(reserved) == 1 + calls
    before = Decimal(str(reserved[0]["worst_usd"])) if spent == "worst" else Decimal(0)
    assert Budget(world.lake.ledger, DAY, Decimal(1)).spent().total == before + Decimal("0.013")


CHANGED = {"fingerprint": "fp2"}


def test_another_model_behind_the_same_name_is_told(world: World) -> None:
    """The answer is marked, the incident names both versions, the new version starts its own record, the next session is calm."""
    first = world.rows(world.ask(Scripted([said()])))
    port = Scripted([said(**CHANGED)])
    second = world.rows(world.ask(port, NEXT_DAY, fresh=True))
    third = world.rows(world.ask(port, NEXT_DAY, fresh=True))
    prompt = first["prompt"].iloc[0]
    assert list(first["version"]) == [f"openai:one-2018@fp1#{prompt}"]
    assert list(second["version"]) == list(third["version"]) == [f"openai:one-2018@fp2#{prompt}"]
    assert [bool(rows["drifted"].iloc[0]) for rows in (first, second, third)] == [False, True, False]
    (incident,) = world.bodies("llm_incident")
    assert incident["code"] == "LLM_MODEL_CHANGED"
    assert "openai:one-2018@fp1" in str(incident["reason"])
    assert "openai:one-2018@fp2" in str(incident["reason"])
    assert record_of(world.lake.ledger, "openai:one-2018@fp2") == "openai:one-2018@fp2"


def test_a_refused_answer_of_another_model_changes_nothing(world: World) -> None:
    """The version is that of accepted answers: a refused one is marked, and is no change on record."""
    world.ask(Scripted([said()]))
    rows = world.rows(world.ask(Scripted([said(BAD, **CHANGED)]), NEXT_DAY, fresh=True))
    assert list(rows["drifted"]) == [True, True]
    assert len(world.bodies("llm_model")) == 1
    rows = world.rows(world.ask(Scripted([said()]), NEXT_DAY, fresh=True))
    assert list(rows["drifted"]) == [False]


def test_a_killed_run_marks_the_change_as_a_run_in_one_go(world: World) -> None:
    """The answer of the changed model is on record, the change is not: the next run says the same of it, however often."""
    world.ask(Scripted([said()]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.lake.ledger, "append", dies_before(world, "llm_model"))
        with pytest.raises(Dies):
            world.ask(Scripted([said(**CHANGED)]), NEXT_DAY, fresh=True)
    port = Scripted([failed()])
    found = [world.rows(world.ask(port, NEXT_DAY)) for _ in range(2)]
    assert port.asked == []
    assert [list(rows["drifted"]) for rows in found] == [[True], [True]]
    assert world.incidents() == ["LLM_MODEL_CHANGED"]


def test_rows_follow_from_bodies_alone(world: World) -> None:
    """A replay has bodies, pack and mandate, no ledger: the same rows, the mark of a drift included."""
    world.ask(Scripted([said()]))
    delivery = world.ask(Scripted([said(BAD, **CHANGED), said(**CHANGED)]), NEXT_DAY, fresh=True)
    rows = world.rows(delivery)
    for name in ("ledger.sqlite", "index.sqlite"):
        (world.folder / name).unlink()
    assert list(rows["drifted"]) == [True, True]
    assert world.rows(delivery).equals(rows)


def test_budget_is_the_cutoffs_utc_day(world: World) -> None:
    """Session 2018-12-12 ends at 22:45 UTC of that day."""
    world.ask(Scripted([said()]))
    assert [entry.key for entry in world.lake.ledger.entries("llm_reserved")] == [f"{dt.date(2018, 12, 12)}/1"]
