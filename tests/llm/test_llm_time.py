"""What bounds the questions of a session in time, and which sessions are not asked about at all."""

import datetime as dt
import math
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from calls_world import BAD, DAY, NEXT_DAY, PACK, Scripted, World, failed, mandate_of, model, said

from marketbot_assets.insight.gate import judge_answer, schema_of
from marketbot_assets.insight.prompt import prompt_of
from marketbot_assets.llm_desk import LlmDesk, Question, desk_of, request_of
from marketbot_assets.llm_probe import probe
from marketbot_assets.rebuild_data import received_facts
from marketbot_resources.errors import MandateError
from marketbot_resources.llm import FailureKind, LlmFailure, LlmPort, LlmRequest
from marketbot_resources.llm_exchange import content_sha256
from marketbot_resources.provider import Delivery

TWO = (model("one"), model("two"))
AT = dt.datetime(2018, 12, 12, 22, 45, tzinfo=dt.UTC)


def slow(_: LlmRequest) -> LlmFailure:
    """Takes more than half of a second, and fails."""
    time.sleep(0.6)
    return failed(FailureKind.OVERLOADED, "busy")


def desk(world: World, port: LlmPort, *, seconds: float = math.inf) -> LlmDesk:
    """A desk that has so many seconds left."""
    llm = world.mandate.llm
    assert llm is not None
    lake = world.lake
    made = desk_of(lake.ledger, lake.objects.get_blob, world.keep, port, session=DAY, cutoff=AT, llm=llm)
    return replace(made, until=time.monotonic() + seconds)


def question(timeout_seconds: int = 60) -> Question:
    """The golden pack's question to the first model."""
    asked = mandate_of().llm
    assert asked is not None
    prompt = prompt_of(PACK)
    request = request_of(asked.chain[0], prompt.system, prompt.question, schema_of(PACK), 500)
    facts = {"purpose": "views", "run": 1, "repair": False, "prompt": prompt.version}
    return Question(
        asked.chain[0],
        replace(request, timeout_seconds=timeout_seconds),
        partial(judge_answer, pack=PACK),
        dict(facts),
    )


def test_when_the_time_is_over_nobody_is_asked_any_more(tmp_path: Path) -> None:
    """The first model used it up: the second is a typed failure that nothing was reserved for, and the rules stand in."""
    world = World(tmp_path, mandate_of(*TWO, seconds_max=1))
    port = Scripted([slow])
    rows = world.rows(world.ask(port))
    assert list(zip(rows["model"], rows["outcome"], rows["layer"], strict=True)) == [
        ("one", "FAILED", "overloaded"),
        ("two", "FAILED", "timeout"),
    ]
    assert rows["reason"].iloc[1] == "not asked: the 1 s of llm.seconds_max are over"
    assert [request.model for request in port.asked] == ["one"]
    assert len(world.bodies("llm_reserved")) == len(world.bodies("llm_call")) == 1
    assert world.incidents() == ["LLM_PROVIDER"]


def test_what_a_run_gives_back_first_takes_no_time_of_the_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time begins when memory has been given back: a second of that leaves the whole second for the model."""
    monkeypatch.setattr("marketbot_assets.llm_calls.rest", lambda: time.sleep(1.1))
    world = World(tmp_path, mandate_of(seconds_max=1))
    assert list(world.rows(world.ask(Scripted([said()])))["outcome"]) == ["ACCEPTED"]


def test_the_repair_try_and_the_second_pass_count_too(tmp_path: Path) -> None:
    """One bound over all tries of the session."""
    refused = World(tmp_path / "repair", mandate_of(seconds_max=1))
    rows = refused.rows(refused.ask(Scripted([lambda _: (time.sleep(0.6), said(BAD))[1], said()])))
    assert list(zip(rows["repair"], rows["layer"], strict=True)) == [(False, "names"), (True, "timeout")]
    passes = World(tmp_path / "passes", mandate_of(passes=2, seconds_max=1))
    rows = passes.rows(passes.ask(Scripted([lambda _: (time.sleep(0.6), said())[1]])))
    assert list(zip(rows["run"], rows["outcome"], rows["layer"], strict=True)) == [
        (1, "ACCEPTED", ""),
        (2, "FAILED", "timeout"),
    ]


@pytest.mark.parametrize(
    ("left", "own", "given"), [(100.5, 60, 60), (30.5, 60, 30), (1.9, 60, 1), (0.9, 60, 1), (math.inf, 7, 7)]
)
def test_a_call_gets_what_is_left(left: float, own: int, given: int, tmp_path: Path) -> None:
    """The smaller of the model's own time and what is left, in whole seconds, one at least; the question stays the same."""
    world, port = World(tmp_path), Scripted([said()])
    asked = desk(world, port, seconds=left).ask(question(own))
    assert asked.answer is not None
    assert [request.timeout_seconds for request in port.asked] == [given]
    assert port.asked[0].sha256 == question(own).request.sha256


@pytest.mark.parametrize("left", [0.3, 0.0, -5.0, -math.inf, math.nan])
def test_what_is_on_record_needs_no_time(left: float, tmp_path: Path) -> None:
    """Nothing is called any more, and an answer that was given is served all the same."""
    world, port = World(tmp_path), Scripted([said()])
    late = desk(world, port, seconds=left).ask(question())
    assert (late.answer, late.failure and late.failure.kind, late.call) == (None, FailureKind.TIMEOUT, None)
    assert desk(world, port).ask(question()).answer == said()
    assert desk(world, port, seconds=left).ask(question()).answer == said()
    assert len(port.asked) == 1


def test_a_probe_has_no_time_of_its_own(tmp_path: Path) -> None:
    """A probe within a walk ends when the walk's time is over; it is a fault, so the change is a drift."""
    world = World(tmp_path)
    found = probe(desk(world, Scripted([said()]), seconds=0.0), mandate_of().llm.chain[0], 500)  # type: ignore[union-attr]
    assert found.fault.startswith("pack 1: timeout: not asked")
    assert not found.scores


def test_the_second_pass_is_another_question_whatever_the_pack(tmp_path: Path) -> None:
    """A pack of one line reads the same in reverse: a cache or the record would answer the second pass from the first."""
    one = PACK[(PACK["subject"] == "GOLD04A") & PACK["kind"].isin(["SUBJECT", "FACT"])].reset_index(drop=True)
    assert prompt_of(one, 1) == prompt_of(one, 2)
    for name, pack in (("one line", one), ("whole", PACK)):
        world, port = World(tmp_path / name, mandate_of(passes=2), pack), Scripted([said()])
        rows = world.rows(world.ask(port))
        assert list(rows["outcome"]) == ["ACCEPTED", "ACCEPTED"], rows["reason"].tolist()
        first, second = port.asked
        assert first.sha256 != second.sha256
        assert (first.turns == second.turns) is (name == "one line")
        assert len(world.bodies("llm_call")) == 2


def test_a_session_that_the_model_may_know_is_not_asked_about(tmp_path: Path) -> None:
    """No question, no cost, no incident; the day after the cut-off is asked. `ask_contaminated` asks all the same."""
    known = model(knowledge_cutoff=DAY.isoformat())
    world, port = World(tmp_path / "not", mandate_of(known)), Scripted([said()])
    size = world.lake.ledger.size()
    delivery = world.ask(port)
    assert (delivery.bodies, delivery.kept, port.asked) == ((), (), [])
    assert [refusal.reason for refusal in delivery.refusals] == [
        "not asked: session 2018-12-12 is not after its knowledge cut-off 2018-12-12"
    ]
    assert (world.lake.ledger.size(), world.rows(delivery).empty) == (size, True)
    assert list(world.rows(world.ask(port, NEXT_DAY))["outcome"]) == ["ACCEPTED"]
    watched = World(tmp_path / "watched", mandate_of(known, ask_contaminated=True))
    assert list(watched.rows(watched.ask(port))["outcome"]) == ["ACCEPTED"]


def test_only_the_models_whose_views_can_count_are_asked(tmp_path: Path) -> None:
    """The first of the chain knows the session: the second is asked, and what it says can be evidence."""
    chain = (model("knows", knowledge_cutoff="2018-12-31"), model("old"))
    world, port = World(tmp_path, mandate_of(*chain)), Scripted([said()])
    delivery = world.ask(port)
    assert [request.model for request in port.asked] == ["old"]
    assert [refusal.subject for refusal in delivery.refusals] == ["knows"]
    assert list(world.rows(delivery)["outcome"]) == ["ACCEPTED"]


def test_a_manifest_says_which_bodies_are_questions_and_answers(tmp_path: Path) -> None:
    """By hash and form, and none of them among what was refused; other assets' manifests have no such key."""
    delivery = World(tmp_path).ask(Scripted([said()]))
    kept = [(content_sha256(body.content), body) for body in delivery.kept]
    told = received_facts([], [content_sha256(body.content) for body in delivery.refused], delivery.refusals, kept)
    assert told["refused_blobs"] == []
    assert [one["parser"] for one in told["kept"]] == ["llm_request/1", "llm_answer/1"]  # type: ignore[index, union-attr]
    assert "kept" not in received_facts([], [], Delivery(()).refusals)


@pytest.mark.parametrize("seconds", [0, -1, 7201, "soon", None])
def test_a_bound_that_is_none_is_refused(seconds: object) -> None:
    """A mandate has a bound, always."""
    with pytest.raises(MandateError):
        mandate_of(seconds_max=seconds)
