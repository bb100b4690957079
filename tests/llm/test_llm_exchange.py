"""Bodies of the form llm_exchange/1: what is written is read, what was altered is refused, and the gate judges again."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from calls_world import BAD, PACK, ROOT, failed, mandate_of, model, said, views
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.insight.exchange import answers_frame
from marketbot_assets.insight.schema import LLM_ANSWERS
from marketbot_resources.errors import ProviderError
from marketbot_resources.llm import FailureKind, LlmAnswer, LlmFailure, LlmRequest
from marketbot_resources.llm_exchange import Exchange, answer_content, parse_answer, parse_exchange
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.store.content import canonical

MANDATE = mandate_of(model())
REQUEST = LlmRequest("openai", "one", "system", (("user", "question"),), {"type": "object", "minimum": -1.0}, 500)
ONE = Exchange(
    attempt=1,
    run=1,
    repair=False,
    prompt="p1",
    knowledge_cutoff=dt.date(2018, 1, 1),
    request=REQUEST,
    answer=said(),
    failure=None,
    cost_usd=Decimal("0.013000"),
    version_of_record="openai:one-2018@fp1#p1",
)
FAILED = replace(ONE, answer=None, failure=failed(may_cost=True), version_of_record="")


def test_the_body_is_what_the_contract_says() -> None:
    """Keys and values as laid out, in canonical form."""
    found = json.loads(FAILED.content())
    assert found == {
        "attempt": 1,
        "run": 1,
        "repair": False,
        "prompt": "p1",
        "knowledge_cutoff": "2018-01-01",
        "drifted": False,
        "version_of_record": "",
        "request": json.loads(REQUEST.canonical()),
        "answer": None,
        "failure": {"kind": "timeout", "reason": "slow", "may_cost": True},
        "cost_usd": "0.013000",
    }
    assert FAILED.content() == json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
tokens = st.one_of(st.none(), st.integers(0, 10**9))
answers = st.builds(LlmAnswer, texts, texts, texts, tokens, tokens, texts)
failures = st.builds(LlmFailure, st.sampled_from(FailureKind), texts, st.booleans())


@settings(max_examples=50)
@given(st.one_of(answers, failures), st.integers(1, 9), st.booleans(), texts, st.integers(0, 10**9))
def test_what_is_written_is_read(
    outcome: LlmAnswer | LlmFailure, attempt: int, flag: bool, text: str, cost: int
) -> None:
    """Any try of any text goes to bytes and back, and so does an answer alone."""
    answered = isinstance(outcome, LlmAnswer)
    one = Exchange(
        attempt=attempt,
        run=1 + attempt % 2,
        repair=flag,
        prompt=text,
        knowledge_cutoff=dt.date(2018, 1, 1),
        request=replace(REQUEST, turns=(("user", text), ("assistant", text))),
        answer=outcome if answered else None,  # type: ignore[arg-type]
        failure=None if answered else outcome,  # type: ignore[arg-type]
        cost_usd=Decimal(cost) / 1_000_000,
        drifted=flag,
        version_of_record=text,
    )
    read = parse_exchange(one.content())
    assert read.request.sha256 == one.request.sha256
    assert replace(read, request=one.request) == one
    if isinstance(outcome, LlmAnswer):
        assert parse_answer(answer_content(outcome)) == outcome


def changed(**keys: object) -> bytes:
    """The body with other values, else canonical."""
    found = json.loads(ONE.content()) | keys
    return json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def without(name: str) -> bytes:
    found = json.loads(ONE.content())
    del found[name]
    return json.dumps(found, sort_keys=True, separators=(",", ":")).encode()


ANSWER = json.loads(ONE.content())["answer"]
REQUESTED = json.loads(REQUEST.canonical())
ALTERED: dict[str, Callable[[], bytes]] = {
    "no JSON": lambda: b"no JSON",
    "empty": lambda: b"",
    "a list": lambda: b"[]",
    "deep": lambda: b"[" * 100_000,
    "no UTF-8": lambda: b"\xff",
    "a blank": lambda: ONE.content().replace(b":", b": ", 1),
    "a key twice": lambda: ONE.content().replace(b'"run":1', b'"run":1,"run":1'),
    "another key": lambda: changed(extra=1),
    **{f"without {name}": (lambda name=name: without(name)) for name in json.loads(ONE.content())},  # type: ignore[misc]
    "answer and failure": lambda: changed(failure={"kind": "timeout", "reason": "", "may_cost": False}),
    "neither": lambda: changed(answer=None),
    "a flag as number": lambda: changed(drifted=1),
    "attempt 0": lambda: changed(attempt=0),
    "attempt true": lambda: changed(attempt=True),
    "attempt as text": lambda: changed(attempt="1"),
    "cost as number": lambda: changed(cost_usd=0.013),
    "cost NaN": lambda: changed(cost_usd="NaN"),
    "cost below zero": lambda: changed(cost_usd="-0.01"),
    "no cost": lambda: changed(cost_usd="much"),
    "no day": lambda: changed(knowledge_cutoff="never"),
    "an unknown failure": lambda: changed(answer=None, failure={"kind": "tired", "reason": "", "may_cost": False}),
    "tokens below zero": lambda: changed(answer={**ANSWER, "tokens_in": -1}),
    "tokens as text": lambda: changed(answer={**ANSWER, "tokens_in": "1"}),
    "another key of the answer": lambda: changed(answer={**ANSWER, "extra": 1}),
    "another temperature": lambda: changed(request={**REQUESTED, "temperature": 1}),
    "tools": lambda: changed(request={**REQUESTED, "tools": []}),
    "a turn of three": lambda: changed(request={**REQUESTED, "turns": [["user", "a", "b"]]}),
    "another model": lambda: changed(request={**REQUESTED, "model": "two"}),
    "another address": lambda: changed(request={**REQUESTED, "address": "http://127.0.0.1:9"}),
    "another cutoff": lambda: changed(knowledge_cutoff="2030-01-01"),
    "attempt 2 first": lambda: changed(attempt=2),
}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_body_is_refused(name: str) -> None:
    """ProviderError, as of every parser, whatever was changed; the same body unchanged is read."""
    with pytest.raises(ProviderError):
        answers_frame([ALTERED[name]()], PACK, MANDATE)
    assert len(answers_frame([ONE.content()], PACK, MANDATE)) == 1


def test_a_mandate_without_models_reads_no_try() -> None:
    """What nobody named did not happen."""
    plain = parse_mandate((ROOT / "mandate.yaml").read_text(encoding="utf-8"))
    assert answers_frame([], PACK, plain).empty
    with pytest.raises(ProviderError, match="does not name"):
        answers_frame([ONE.content()], PACK, plain)


def test_each_answer_is_judged_again() -> None:
    """Outcome, layer and reason are the gate's of now, not what a body claims; a failure keeps its kind and reason."""
    tries = [replace(ONE, answer=said(BAD)), replace(ONE, attempt=2, repair=True), replace(FAILED, attempt=3, run=2)]
    rows = answers_frame([one.content() for one in tries], PACK, MANDATE)
    assert list(rows["outcome"]) == ["REFUSED", "ACCEPTED", "FAILED"]
    assert list(rows["layer"]) == ["names", "", "timeout"]
    assert list(rows["answer"]) == [BAD, views(), ""]
    assert list(rows["reason"])[1:] == ["", "slow"]
    assert list(rows["tokens_in"]) == [1000, 1000, 0]
    assert canonical(rows, LLM_ANSWERS).num_rows == 3


def test_what_is_no_plain_json_is_not_written() -> None:
    """Half of a surrogate pair, or a count that is none: refused before anything is stored."""
    for answer in (said("\ud800"), said(tokens_in=-1), said(tokens_out=2**60), said(tokens_in=True)):
        with pytest.raises(ProviderError):
            answer_content(answer)
    with pytest.raises(ProviderError):
        replace(FAILED, failure=failed(reason="\ud800")).content()
