"""Whether a model still answers as before: twenty golden packs, asked once as a baseline and again when the version changes.

`marketbot llm probe` records what the model in force says of the golden packs: entry `llm_probe`, role baseline. When the version
behind the name changes, the same packs are asked again within the day's budget, before the session's views count. The new version
is the old model when the accepted answers of both have a score for the same subjects (COVERAGE_MIN of all that either scores), the
same sign (AGREEMENT_MIN; a score within DEAD_ZONE has none) and the same size (mean absolute difference at most DIFFERENCE_MAX), on
ANSWERS_MIN of the packs at least. Anything else is a drift: no baseline of the version of record, another prompt than the
baseline's, a failure, a budget that does not pay for all twenty at their worst, a version that changes while it is probed. So what
costs nothing is the safe answer, and only what was measured keeps evidence alive. A probe ends at its first failure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial

from marketbot_assets.llm_budget import worst_case
from marketbot_assets.llm_desk import LlmDesk, Question, request_of
from marketbot_assets.llm_golden import COUNT, golden_packs, golden_version
from marketbot_assets.llm_versions import Likeness, name_of, record_of, version_of
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry, Json
from marketbot_resources.llm import LlmRequest
from marketbot_resources.mandate_llm import LlmModel

KIND = "llm_probe"
BASELINE, COMPARISON = "baseline", "comparison"
ANSWERS_MIN, COVERAGE_MIN, AGREEMENT_MIN = 16, 0.9, 0.95
DIFFERENCE_MAX, DEAD_ZONE, ROUNDING = 0.10, 0.05, 1e-9
SECONDS_MAX = 20
Scores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Probed:
    """What a model said. `scores`: pack -> subject -> score, of accepted answers; `fault`: why there is no result, else empty."""

    version: str
    prompt: str
    scores: Scores
    answers: tuple[str, ...]
    cost: Decimal
    fault: str = ""


def record_baseline(desk: LlmDesk, model: LlmModel, tokens_max: int) -> Probed:
    """Asks the golden packs and records what was said; nothing is recorded when there is a fault."""
    probed = probe(desk, model, tokens_max)
    if not probed.fault:
        _append(desk, model, BASELINE, probed, {})
    return probed


def likeness(desk: LlmDesk, model: LlmModel, tokens_max: int, version: str, record: str) -> Likeness | None:
    """Whether `version` answers as the version of record does; None without a baseline to compare with."""
    before = baseline_of(desk.ledger, name_of(model), record)
    if before is None:
        return None
    probed = probe(desk, model, tokens_max)
    if not probed.fault and probed.version != version:
        probed = replace(probed, fault=f"the version changed to {probed.version} while it was probed")
    scores: Scores = before.body["scores"]  # type: ignore[assignment]
    found = Likeness(False, f"the probe failed: {probed.fault}") if probed.fault else compared(scores, probed.scores)
    _append(desk, model, COMPARISON, probed, {"passed": found.passed, "reason": found.reason, "baseline": before.key})
    return found


def baseline_of(ledger: Ledger, name: str, record: str) -> Entry | None:
    """The newest baseline of a version of record that asked what would be asked now."""
    found = [
        entry
        for entry in ledger.entries(KIND, f"{name}/")
        if (entry.body["name"], entry.body["role"]) == (name, BASELINE)
        and entry.body["golden"] == golden_version()
        and entry.body["prompt"] == _prompt_version()
        and record_of(ledger, str(entry.body["version"])) == record
    ]
    return found[-1] if found else None


def compared(baseline: Scores, now: Scores) -> Likeness:
    """Whether two sets of scores are those of one model, with the numbers."""
    both = sorted(set(baseline) & set(now))
    if len(both) < ANSWERS_MIN:
        return Likeness(False, f"probe: {len(both)} of {COUNT} packs were answered by both, expected {ANSWERS_MIN}")
    pairs = [
        (baseline[pack][subject], now[pack][subject])
        for pack in both
        for subject in sorted(set(baseline[pack]) & set(now[pack]))
    ]
    scored = sum(len(set(baseline[pack]) | set(now[pack])) for pack in both)
    if not pairs:
        return Likeness(False, "probe: no subject was scored by both")
    coverage = len(pairs) / scored
    agreement = sum(_sign(a) == _sign(b) for a, b in pairs) / len(pairs)
    difference = sum(abs(a - b) for a, b in pairs) / len(pairs)
    passed = coverage >= COVERAGE_MIN and agreement >= AGREEMENT_MIN and difference <= DIFFERENCE_MAX + ROUNDING
    numbers = f"coverage {coverage:.2f}, same sign {agreement:.2f}, mean difference {difference:.3f}"
    return Likeness(passed, f"probe: {numbers}; {'it answers as before' if passed else 'it answers differently'}")


def probe(desk: LlmDesk, model: LlmModel, tokens_max: int) -> Probed:
    """Asks the golden packs anew, in order, until the first failure. One version must answer all of them."""
    from marketbot_assets.insight.gate import Views, judge_answer

    requests = _requests(model, tokens_max)
    prompt = _prompt_version()
    worst = sum((worst_case(request, model) for request in requests), Decimal(0))
    left = desk.usd_per_day - desk.budget.spent().total
    if worst > left:
        return Probed("", prompt, {}, (), Decimal(0), f"it could cost {worst} US dollars, the day has {left} left")
    scores: dict[str, dict[str, float]] = {}
    answers: list[str] = []
    versions: dict[str, None] = {}
    cost = Decimal(0)
    for number, (request, pack) in enumerate(zip(requests, golden_packs(), strict=True)):
        facts: dict[str, Json] = {"purpose": "probe", "run": number + 1, "repair": False, "prompt": prompt}
        asked = desk.ask(Question(model, request, partial(judge_answer, pack=pack), facts, fresh=True))
        cost += asked.cost
        if asked.answer is None or asked.call is None:
            why = "no answer" if asked.failure is None else f"{asked.failure.kind.value}: {asked.failure.reason}"
            return Probed("", prompt, {}, tuple(answers), cost, f"pack {number + 1}: {why}")
        versions[version_of(model, asked.answer)] = None
        answers.append(str(asked.call.body["answer_sha256"]))
        if isinstance(asked.verdict, Views):
            scores[f"{number + 1:02d}"] = {view.subject: view.score for view in asked.verdict.sentiments}
    if len(versions) != 1:
        return Probed("", prompt, {}, tuple(answers), cost, f"several versions answered: {', '.join(versions)}")
    (version,) = versions
    few = f"{len(scores)} of {COUNT} answers passed the gate, expected {ANSWERS_MIN}"
    return Probed(version, prompt, scores, tuple(answers), cost, few if len(scores) < ANSWERS_MIN else "")


def _requests(model: LlmModel, tokens_max: int) -> list[LlmRequest]:
    from marketbot_assets.insight.gate import schema_of
    from marketbot_assets.insight.prompt import prompt_of

    found = []
    for pack in golden_packs():
        prompt = prompt_of(pack)
        request = request_of(model, prompt.system, prompt.question, schema_of(pack), min(tokens_max, 1000))
        found.append(replace(request, timeout_seconds=min(model.timeout_seconds, SECONDS_MAX)))
    return found


def _prompt_version() -> str:
    from marketbot_assets.insight.prompt import prompt_of

    return prompt_of(golden_packs()[0]).version


def _append(desk: LlmDesk, model: LlmModel, role: str, probed: Probed, more: Mapping[str, Json]) -> None:
    name = name_of(model)
    own = [entry for entry in desk.ledger.entries(KIND, f"{name}/") if entry.body["name"] == name]
    facts: dict[str, Json] = {
        "name": name,
        "role": role,
        "session": desk.session.isoformat(),
        "version": probed.version,
        "prompt": probed.prompt,
        "golden": golden_version(),
        "scores": probed.scores,
        "answers": list(probed.answers),
        "cost_usd": f"{probed.cost:f}",
        "fault": probed.fault,
        **more,
    }
    desk.ledger.append(KIND, f"{name}/{len(own) + 1}", facts)


def _sign(score: float) -> int:
    return 0 if abs(score) < DEAD_ZONE else 1 if score > 0 else -1
