"""Which model stands behind a name: entries `llm_model`, one for each change among accepted answers, and what a change means.

Providers change a model without changing its name. A version is `provider:model@fingerprint`, the model as its answer names it.
When the version of an accepted answer is another one than that of the accepted answer before it, the answer is marked `drifted`
and its views move nothing in that session; evidence belongs to the exact version, so a new one starts at nothing. Only a probe can
say that the new version answers as the old one did (`llm_probe`): then it is no drift, and the old version stays the version of
record, under which evidence goes on. Everything is decided once, when the answer comes, and stands in the ledger and in the
exchange: it is never decided again. Not here: evidence itself (`insight.evidence`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry, Json
from marketbot_resources.llm import LlmAnswer
from marketbot_resources.mandate_llm import LlmModel

KIND = "llm_model"
TOLD_MAX = 200


@dataclass(frozen=True, slots=True)
class Standing:
    """What an answer's version means. `record`: whose evidence counts, without prompt; `why`: of a change, in one line."""

    version: str
    record: str
    drifted: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a probe found. `reason` in one line."""

    passed: bool
    reason: str


def name_of(model: LlmModel) -> str:
    """A model of the mandate's chain, as the ledger and people call it."""
    return f"{model.provider}:{model.model}" + (f" at {model.address}" if model.address else "")


def version_of(model: LlmModel, answer: LlmAnswer) -> str:
    """The version behind an answer. Blanks, `@` and `#` separate, so none of them comes from the provider."""
    return f"{model.provider}:{_plain(answer.model)}@{_plain(answer.fingerprint)}"


def _plain(told: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() and c not in "@# " else "_" for c in told[:TOLD_MAX])


def changes(ledger: Ledger, name: str) -> list[Entry]:
    """The versions that stood behind a name, oldest first."""
    return [entry for entry in ledger.entries(KIND, f"{name}/") if entry.body["name"] == name]


def standing(
    ledger: Ledger, name: str, version: str, call: Entry, probe: Callable[[str], Likeness | None] | None
) -> Standing:
    """What the version of an answer means; an accepted one is recorded when it is a change.

    `call`: the answer's entry `llm_call`; the same call has the same standing whenever it is asked for. `probe`: compares with the
    version of record, None where there is nothing to compare with; without `probe` nothing is recorded (a refused answer).
    """
    known = changes(ledger, name)
    decided = next((entry for entry in known if entry.body["call"] == call.key), None)
    if decided is not None:
        return _recorded(decided)
    before = next((entry for entry in reversed(known) if entry.seq < call.seq), None)
    if before is None:
        found = Standing(version, version, drifted=False)
    elif version in (str(before.body["version"]), str(before.body["record"])):
        return Standing(version, str(before.body["record"]), drifted=False)
    else:
        found = _changed(ledger, before, version, probe)
    if probe is not None:
        facts: dict[str, Json] = {
            "name": name,
            "version": version,
            "record": found.record,
            "drifted": found.drifted,
            "why": found.why,
            "call": call.key,
            "session": call.body["session"],
        }
        ledger.append(KIND, f"{name}/{call.key}", facts)
    return found


def _changed(ledger: Ledger, before: Entry, version: str, probe: Callable[[str], Likeness | None] | None) -> Standing:
    record = str(before.body["record"])
    own = record_of(ledger, version)
    if own == record:  # a probe of an earlier change found them alike
        return Standing(version, record, drifted=False)
    found = None if probe is None else probe(record)
    was = f"it was {before.body['version']}, now it is {version}"
    if found is None:
        return Standing(version, own, drifted=True, why=f"{was}; no probe to compare with: marketbot llm probe")
    if found.passed:
        return Standing(version, record, drifted=False, why=f"{was}; {found.reason}")
    return Standing(version, own, drifted=True, why=f"{was}; {found.reason}")


def _recorded(entry: Entry) -> Standing:
    body = entry.body
    return Standing(str(body["version"]), str(body["record"]), bool(body["drifted"]), str(body["why"]))


def record_of(ledger: Ledger, version: str) -> str:
    """The version under which a version's evidence goes on, itself when no probe said otherwise."""
    found = [entry for entry in ledger.entries(KIND) if entry.body["version"] == version]
    return str(found[-1].body["record"]) if found else version
