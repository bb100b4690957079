"""An order whose forecasts rest on a language model links back to the exact question and answer, and the verifier checks it."""

import datetime as dt
import hashlib
import json
from decimal import Decimal
from pathlib import Path

import export_world
import pytest
from export_world import SESSIONS, World, in_home, make_world

from marketbot_assets.commands.prove import prove
from marketbot_resources.auditor import Audit, report
from marketbot_resources.ledger.record import Json
from marketbot_resources.llm import LlmAnswer, LlmRequest
from marketbot_resources.llm_exchange import Exchange, answer_content
from marketbot_resources.store.index import BlobRow, IndexRow
from marketbot_resources.store.lake import Lake

TEXT = "views \u2713 of \u4e1c\u4eac: 0.5"


def exchange(session: str) -> Exchange:
    """A try with an answer; its schema has numbers that JSON may write in several ways."""
    schema: dict[str, Json] = {"type": "number", "minimum": -1.0, "maximum": 1e-7}
    asked = LlmRequest("openai", "gpt-x", "You rate.", (("user", f"What of {session}?"),), schema, 500)
    answer = LlmAnswer(TEXT, "gpt-x-1", "fp", 10, 5, '{"body": "as received"}')
    return Exchange(1, 1, False, "views-1", dt.date(2018, 1, 1), asked, answer, None, Decimal("0.001"))


@pytest.fixture(scope="module")
def asked_home(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Three sessions that asked: the call of the second session entered the log only after its decision."""
    made = export_world._made

    def with_answers(
        lake: Lake, asset: str, part: str, reads: list[IndexRow], *, blobs: tuple[str, ...] = ()
    ) -> IndexRow:
        if asset != "forecasts":
            row = made(lake, asset, part, reads, blobs=blobs)
            if (asset, part) == ("proof", SESSIONS[1]):
                called(lake, part)
            return row
        if part != SESSIONS[1]:
            called(lake, part)
        body = exchange(part).content()
        name = hashlib.sha256(body).hexdigest()
        at = f"{part}T00:00:00Z"
        told = BlobRow(
            name, "openai", "llm:gpt-x", 200, "application/json", len(body), at, "run-1", "llm_answers", part
        )
        lake.put_blob(body, told)
        return made(lake, asset, part, [*reads, made(lake, "llm_answers", part, [], blobs=[name])])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_world, "FILLER", 3)
        patch.setattr(export_world, "_made", with_answers)
        return make_world(tmp_path_factory.mktemp("asked") / "home")


def called(lake: Lake, session: str) -> None:
    one = exchange(session)
    assert one.answer is not None
    answer = hashlib.sha256(answer_content(one.answer)).hexdigest()
    body = {"session": session, "purpose": "views", "request_sha256": one.request.sha256, "answer_sha256": answer}
    lake.ledger.append("llm_call", f"{one.request.sha256}/{session}/1", body)


def proof(world: World, session: str, folder: Path) -> Path:
    with in_home(world.home):
        prove(world.orders[2 * SESSIONS.index(session)], str(folder / "proof"))
    return folder / "proof"


def test_a_proof_holds_question_answer_and_their_entry(asked_home: World, tmp_path: Path) -> None:
    """Bytes of both in a body, their hashes in an entry of the log before the decision; the verifier says so."""
    folder = proof(asked_home, SESSIONS[0], tmp_path)
    audit = Audit(folder, [asked_home.key.public.text])
    assert audit.faults == []
    assert "OK     answers    1 of language models, each in the log before what rests on it" in report(audit)
    entries = [json.loads(path.read_bytes()) for path in (folder / "entries").iterdir()]
    (call,) = [entry["body"] for entry in entries if entry["kind"] == "llm_call"]
    assert call["request_sha256"] == hashlib.sha256(exchange(SESSIONS[0]).request.canonical()).hexdigest()


def test_an_answer_that_came_into_the_log_too_late_is_found(asked_home: World, tmp_path: Path) -> None:
    """A question recorded after the decision is no evidence for it."""
    audit = Audit(proof(asked_home, SESSIONS[1], tmp_path))
    assert [(fault.code, fault.where) for fault in audit.faults] == [("ANSWER", f"decision {SESSIONS[1]}")]
