"""The model registry on a real home: trials, promotion, fits, drift, rollback; killed at any point; files that were altered."""

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import registry_writer as writer
from test_promotion import GOOD, SHADOW, noise, record

from marketbot_assets.insight.fit_gate import FitJudgement
from marketbot_assets.insight.model_card import ModelSpec
from marketbot_assets.insight.model_drift import DriftNumbers, Trust
from marketbot_assets.insight.model_states import State, What
from marketbot_assets.model_registry import KIND, ModelRegistry, slots, state_of
from marketbot_assets.model_trials import KIND as TRIAL
from marketbot_assets.model_trials import record_trial, search, trials
from marketbot_assets.operations import model_state
from marketbot_assets.research.overfitting import median_overfitting
from marketbot_resources.errors import LedgerError, StoreError, UsageError
from marketbot_resources.ledger.examine import examine
from marketbot_resources.ledger.record import Fence, Json, Receipt
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.mandate import Mandate
from marketbot_resources.store.inspection import named
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.objects import blob_key
from marketbot_resources.store.reader import Reader

ROOT = Path(__file__).parents[2]
DAY, AT = writer.DAY, writer.AT
A, B = writer.SPEC, replace(writer.SPEC, hyper={"penalty": 2.0})
YES, NO = FitJudgement(()), FitJudgement(("its data are not complete",))
CALM = DriftNumbers(0.05, 1.0, 0.04, 0.01, 60, 0.05)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


@pytest.fixture
def registry(lake: Lake) -> ModelRegistry:
    return ModelRegistry(lake, writer.SLOT)


def days(first: int = 1) -> Iterator[dt.date]:
    return iter(DAY + dt.timedelta(n) for n in range(first, 1000))


def evidence(spec: ModelSpec, ratio: float = 2.0, seed: int = 3):  # type: ignore[no-untyped-def]
    return replace(GOOD, spec_sha256=spec.sha256, returns=record(ratio, seed), costly=record(ratio - 0.4, seed))


def crown(registry: ModelRegistry, spec: ModelSpec, fits: int = 1, ratio: float = 6.0) -> list[str]:
    """A specification all the way, by the rule; returns its fits."""
    registry.register(spec, DAY)
    registry.submit(evidence(spec, ratio), code_version="c", session=DAY, at=AT)
    made = [replace(writer.fit_number(n), spec_sha256=spec.sha256) for n in range(fits)]
    names = [registry.record_fit(fit, YES, session=DAY, at=AT) for fit in made]
    assert registry.promote(spec.sha256, DAY)[0] is State.SHADOW
    registry.track(spec.sha256, SHADOW, session=DAY, at=AT)
    to, decision = registry.promote(spec.sha256, DAY)
    assert (to, decision.promoted) == (State.CHAMPION, True), decision.reasons
    return names


def test_every_evaluation_is_counted_once(lake: Lake) -> None:
    """The same specification, data, code and returns are one trial; anything else is one more; numbers are places."""
    told = {"spec_sha256": "a", "data_sha256": "d", "code_version": "c", "returns": noise(1)[:, 0], "at": AT}
    variants = [{}, {"spec_sha256": "b"}, {"data_sha256": "e"}, {"code_version": "f"}, {"returns": noise(2)[:, 1]}]
    assert [record_trial(lake, "s", **{**told, **change}) for change in variants * 2] == [True] * 5 + [False] * 5  # type: ignore[arg-type]
    assert record_trial(lake, "other", **told)  # type: ignore[arg-type]
    assert [trial.number for trial in trials(lake.ledger, "s")] == [1, 2, 3, 4, 5]
    assert len(trials(lake.ledger, "other")) == 1
    assert named(lake) == {key for key, _ in lake.objects.listing()}


def test_the_search_is_what_the_ledger_says(lake: Lake) -> None:
    """Count of all trials, variance of those half as long or longer; returns over the same data; a broken one counts."""
    returns = noise(3)
    for number, column in enumerate(returns.T):
        record_trial(lake, "s", spec_sha256=str(number), data_sha256="d", code_version="c", returns=column, at=AT)
    record_trial(lake, "s", spec_sha256="9", data_sha256="e", code_version="c", returns=returns[:50, 0], at=AT)
    broken = np.where(np.arange(1008) == 7, np.nan, returns[:, 0])
    record_trial(lake, "s", spec_sha256="8", data_sha256="d", code_version="c", returns=broken, at=AT)
    found = search(lake, "s", spec_sha256="1", data_sha256="d")
    assert (found.count, found.includes) == (5, True)
    assert found.overfitting == median_overfitting(returns)
    ratios = [c.mean() / c.std(ddof=1) for c in returns.T]
    assert found.variance == pytest.approx(np.var(ratios, ddof=1)), (
        "a record of 50 sessions says nothing of one of 1,008"
    )
    short = search(lake, "s", spec_sha256="9", data_sha256="e").variance
    assert short == pytest.approx(np.var([*ratios, returns[:50, 0].mean() / returns[:50, 0].std(ddof=1)], ddof=1))
    assert not search(lake, "s", spec_sha256="1", data_sha256="e").includes
    record_trial(lake, "s", spec_sha256="0", data_sha256="d", code_version="newer", returns=returns[:, 0], at=AT)
    again = search(lake, "s", spec_sha256="1", data_sha256="d")
    assert median_overfitting(np.column_stack([returns, returns[:, 0]])) != median_overfitting(returns)
    assert (again.count, found.records, again.records) == (6, 5, 5)
    assert again.overfitting == found.overfitting, "the same record by newer code is a trial, and nothing to pick from"
    assert search(lake, "none", spec_sha256="1", data_sha256="d").count == 0


def test_a_specification_earns_its_place(registry: ModelRegistry) -> None:
    """Registered, counted, judged, shadowed, crowned; the second replaces the first, a rollback brings that back."""
    first = crown(registry, A, fits=2)
    assert registry.in_force()[0].fit == first[-1]
    second = crown(registry, B, ratio=9.0)
    force, fit = registry.in_force()
    assert (force.spec, force.fit, force.weight) == (B.sha256, second[0], 1.0)
    assert fit is not None
    assert fit.sha256 == second[0]
    assert registry.state().standings[A.sha256].state is State.RETIRED
    assert registry.rollback(DAY, "slower than before").fit == first[-1]
    assert registry.rollback(DAY, "still").fit == first[0]
    assert registry.rollback(DAY, "no, the newer model", fit=second[0][:10]).spec == B.sha256
    assert registry.spec(A.sha256) == A
    assert slots(registry.lake.ledger) == [writer.SLOT]
    entries = registry.lake.ledger.entries(KIND, f"{writer.SLOT}/")
    assert (state_of(entries, B.sha256), state_of(entries, "e" * 64)) == ("champion", "")
    assert examine(registry.lake.ledger).faults == ()


def test_a_refusal_is_recorded_and_changes_nothing(registry: ModelRegistry) -> None:
    """The reasons stand in the ledger; the candidate stays one; every further try raises the count for good."""
    registry.register(A, DAY)
    registry.submit(evidence(A, 0.5), code_version="c", session=DAY, at=AT)
    _, decision = registry.promote(A.sha256, DAY)
    assert not decision.promoted
    assert registry.state().standings[A.sha256].state is State.CANDIDATE
    refused = registry.events()[-1]
    assert (refused.what, refused.reasons) == (What.REFUSED, decision.reasons)
    for seed in range(4, 8):
        registry.submit(evidence(A, 0.5, seed), code_version="c", session=DAY, at=AT)
    assert registry.decide(A.sha256)[1].tests[0].told.startswith("5 trials")


def test_what_is_not_allowed_says_so(registry: ModelRegistry) -> None:
    """No evidence, no shadow's record, an unknown specification, nothing to roll back to, a slot with a strange name."""
    registry.register(A, DAY)
    for call, told in (
        (lambda: registry.promote(A.sha256, DAY), "never evaluated"),
        (lambda: registry.promote("e" * 64, DAY), "registered"),
        (lambda: registry.submit(evidence(B), code_version="c", session=DAY, at=AT), "registered"),
        (lambda: registry.rollback(DAY, "why not"), "earlier"),
        (lambda: registry.note_drift(CALM, DAY), "champion"),
        (lambda: ModelRegistry(registry.lake, "Bad/slot"), "slot"),
        (
            lambda: registry.record_fit(replace(writer.fit_number(0), spec_sha256="e" * 64), YES, session=DAY, at=AT),
            "registered",
        ),
    ):
        with pytest.raises(UsageError, match=told):
            call()
    registry.submit(evidence(A), code_version="c", session=DAY, at=AT)
    assert registry.promote(A.sha256, DAY)[1].promoted
    with pytest.raises(UsageError, match="shadow"):
        registry.promote(A.sha256, DAY)
    assert trials(registry.lake.ledger, writer.SLOT)[-1].number == 1


def test_doing_it_again_adds_nothing(registry: ModelRegistry) -> None:
    """What is repeated after a crash stands there already."""
    fit = writer.fit_number(0)
    for _ in range(2):
        registry.register(A, DAY)
        registry.submit(evidence(A), code_version="c", session=DAY, at=AT)
        registry.record_fit(fit, YES, session=DAY, at=AT)
        registry.track(A.sha256, SHADOW, session=DAY, at=AT)
    assert [event.what for event in registry.events()] == [What.REGISTERED, What.EVIDENCE, What.FIT, What.TRACKED]
    assert len(registry.lake.ledger.entries(TRIAL)) == 1


def test_a_refit_is_used_when_the_gate_takes_it(registry: ModelRegistry) -> None:
    """Like the last ones: at once. Far off: the previous one stays; the refusal and its reasons are kept."""
    crown(registry, A)
    scores = np.arange(10.0)
    for number in range(1, 6):
        assert registry.refit(writer.fit_number(number), lambda _: scores, session=DAY, at=AT).accepted
    kept = registry.in_force()[0].fit
    assert kept == writer.fit_number(5).sha256
    assert not registry.refit(writer.fit_number(500), lambda _: scores, session=DAY, at=AT).accepted
    assert registry.in_force()[0].fit == kept
    assert "robust deviations" in registry.events()[-1].reasons[0]
    turned = registry.refit(
        writer.fit_number(6), lambda fit: scores * (-1 if fit.card.seed == 6 else 1), session=DAY, at=AT
    )
    assert not turned.accepted


def test_drift_takes_trust_and_gives_it_back(registry: ModelRegistry) -> None:
    """Shrunk at once, the baseline when it is worse, back after twenty calm sessions each, once per session; spent: retired."""
    name, calendar = crown(registry, A)[0], days()
    assert registry.note_drift(CALM, next(calendar)) is Trust.NORMAL
    bad = next(calendar)
    assert registry.note_drift(replace(CALM, residual_ratio=1.3), bad) is Trust.SHRINK
    assert registry.note_drift(replace(CALM, residual_ratio=9.0), bad) is Trust.SHRINK, "a session is judged once"
    assert registry.in_force()[0].weight == 0.5
    assert registry.note_drift(replace(CALM, residual_ratio=9.0), next(calendar)) is Trust.FALLBACK
    assert registry.in_force()[0].fit == ""
    trust = [registry.note_drift(CALM, next(calendar)) for _ in range(40)]
    assert [trust.count(level) for level in Trust] == [1, 20, 19]
    assert registry.in_force()[0].fit == name


def test_a_champion_that_stays_without_trust_is_retired(registry: ModelRegistry) -> None:
    """After sixty sessions, by itself; a rollback is the way back."""
    name, calendar = crown(registry, A)[0], days()
    for _ in range(60):
        assert registry.note_drift(replace(CALM, feature_share=1.0), next(calendar)) is Trust.FALLBACK
    assert registry.state().champion is None
    assert registry.events()[-1].reasons == ("without trust for too long",)
    assert registry.rollback(next(calendar), "its data were mended").fit == name


@pytest.mark.parametrize("harm", ["byte", "gone", "other"])
def test_a_file_that_was_altered_is_refused(registry: ModelRegistry, harm: str) -> None:
    """One byte, no file, or another fit in its place: the baseline decides, and nothing points to it."""
    old, name = crown(registry, A, fits=2)
    path = registry.lake.home / "store" / blob_key(name)
    body = path.read_bytes()
    path.chmod(0o644)
    if harm == "byte":
        path.write_bytes(body[:40] + bytes([body[40] ^ 1]) + body[41:])
    elif harm == "gone":
        path.unlink()
    else:
        path.write_bytes((registry.lake.home / "store" / blob_key(old)).read_bytes())
    fresh = ModelRegistry(Lake(registry.lake.home), writer.SLOT)
    force, fit = fresh.in_force()
    assert (force.fit, force.weight, fit) == ("", 0.0, None)
    assert "refused" in force.why
    with pytest.raises(StoreError):
        fresh.fit(name)
    with pytest.raises(StoreError):
        fresh.rollback(DAY, "to what is broken", fit=name)
    assert fresh.rollback(DAY, "to what is whole").fit == old
    assert fresh.in_force()[1] is not None


def test_evidence_that_was_altered_promotes_nothing(registry: ModelRegistry) -> None:
    """Neither the file of the evidence nor that of a trial's returns may differ."""
    registry.register(A, DAY)
    for seed in (3, 4):
        registry.submit(evidence(A, 2.0, seed), code_version="c", session=DAY, at=AT)
    for name in (registry.state().standings[A.sha256].evidence, trials(registry.lake.ledger, writer.SLOT)[0].returns):
        path = registry.lake.home / "store" / blob_key(name)
        body = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(body[:-9] + b"x" + body[-8:])
        with pytest.raises(StoreError):
            registry.promote(A.sha256, DAY)
        path.write_bytes(body)
    assert registry.decide(A.sha256)[0] is State.SHADOW


def test_the_verdict_sees_what_stood_before_its_batch_was_frozen(registry: ModelRegistry, mandate: Mandate) -> None:
    """RC-88: unregistered, then what the registry said; what came after the freezing is no fact of that decision."""
    lake, read = registry.lake, Reader(registry.lake, DAY, allowed=())
    assert model_state(read, lake.ledger, mandate, A.sha256) == "unregistered"
    registry.register(A, DAY)
    assert model_state(read, lake.ledger, mandate, A.sha256) == "candidate"
    crown(registry, A)
    assert model_state(read, lake.ledger, mandate, A.sha256) == "champion"
    lake.ledger.append("batch_frozen", f"{mandate.account.id}/{DAY.isoformat()}/1", {"orders": []})
    registry.retire(A.sha256, DAY, "no longer")
    assert model_state(read, lake.ledger, mandate, A.sha256) == "champion"
    after = Reader(lake, DAY + dt.timedelta(1), allowed=())
    assert model_state(after, lake.ledger, mandate, A.sha256) == "retired"
    assert model_state(after, lake.ledger, mandate, B.sha256) == "unregistered"


def test_events_that_do_not_follow_from_each_other_are_a_fault(registry: ModelRegistry) -> None:
    """A number left out, a move that is none, words that are no event: the ledger contradicts itself, nothing is in force."""
    crown(registry, A)
    body = dict(registry.lake.ledger.entries(KIND)[-1].body)
    for number, change in (
        (99, {"number": 99}),
        (8, {"number": 8, "to": "candidate"}),
        (8, {"number": 8, "what": "blessed"}),
    ):
        home = Lake(registry.lake.home / f"{number}{change.get('to', change.get('what', ''))}")
        home.ledger.append(KIND, f"{writer.SLOT}/{number:06d}", {**body, **change})
        with pytest.raises(LedgerError):
            ModelRegistry(home, writer.SLOT).in_force()


def test_writers_at_once_lose_nothing(registry: ModelRegistry) -> None:
    """Three processes' worth of writers on one slot: every fit once, numbers without a gap."""
    registry.register(A, DAY)

    def write(first: int) -> None:
        own = ModelRegistry(Lake(registry.lake.home), writer.SLOT)
        for number in range(first, 12, 3):
            own.record_fit(writer.fit_number(number), YES, session=DAY, at=AT)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))
    assert [event.number for event in registry.events()] == list(range(1, 14))
    stored = {name for name, _ in registry.state().standings[A.sha256].fits}
    assert stored == {writer.fit_number(number).sha256 for number in range(12)}


class Raced(SqliteLedger):
    """A ledger in which another process is always quicker, once: it appends `first` before what it is asked to append."""

    first: Callable[[], object] | None = None

    def append(self, kind: str, key: str, body: Mapping[str, Json], fence: Fence | None = None) -> Receipt:
        quicker, self.first = self.first, None
        if quicker is not None and kind == KIND:
            quicker()
        return super().append(kind, key, body, fence)


def test_a_number_that_another_process_took_is_decided_again(registry: ModelRegistry) -> None:
    """Both fits stand there; a move that the other one made already is not made twice; one that it forbids is refused."""
    registry.register(A, DAY)
    registry.submit(evidence(A), code_version="c", session=DAY, at=AT)
    other, slow = ModelRegistry(Lake(registry.lake.home), writer.SLOT), Raced(registry.lake.home / "ledger.sqlite")
    registry.lake.ledger = slow
    slow.first = lambda: other.record_fit(writer.fit_number(1), YES, session=DAY, at=AT)
    registry.record_fit(writer.fit_number(2), YES, session=DAY, at=AT)
    assert [name for name, _ in registry.state().standings[A.sha256].fits] == [
        writer.fit_number(n).sha256 for n in (1, 2)
    ]
    slow.first = lambda: other.retire(A.sha256, DAY, "no")
    with pytest.raises(UsageError, match="retired does not become shadow"):
        registry.promote(A.sha256, DAY)
    slow.first = None
    numbers = len(registry.events())
    slow.first = lambda: other.retire(A.sha256, DAY, "no")
    registry.retire(A.sha256, DAY, "me too")
    assert len(registry.events()) == numbers


def test_a_refit_of_a_session_during_which_the_registry_changed_is_refused(registry: ModelRegistry) -> None:
    """A rollback between cutoff and record stands, also when it is written in the very moment; else the refit is used."""
    first = crown(registry, A, fits=2)
    fits = [replace(writer.fit_number(number), spec_sha256=A.sha256) for number in (2, 3, 4)]
    registry.record_refit(fits[0], YES, registry.state().standings[A.sha256], session=DAY, at=AT)
    assert registry.in_force()[0].fit == fits[0].sha256
    then = registry.state().standings[A.sha256]
    registry.rollback(DAY, "worse")
    registry.record_refit(fits[1], YES, then, session=DAY, at=AT)
    assert registry.in_force()[0].fit == first[1]
    assert registry.events()[-1].reasons == ("the registry changed after the cutoff of its session",)
    then, other = registry.state().standings[A.sha256], ModelRegistry(Lake(registry.lake.home), writer.SLOT)
    slow = Raced(registry.lake.home / "ledger.sqlite")
    slow.first = lambda: other.rollback(DAY, "worse still")
    registry.lake.ledger = slow
    registry.record_refit(fits[2], YES, then, session=DAY, at=AT)
    assert registry.in_force()[0].fit == first[0]
    assert [good for _, good in registry.state().standings[A.sha256].fits] == [True, False, False, False, False]


def survives(home: Path, kills: int, seed: int) -> str:
    """Kills a writer again and again; then everything acknowledged is there, whole, in order, and the registry goes on."""
    command = [sys.executable, "-W", "error", writer.__file__, str(home), str(kills), str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=600)
    assert (done.returncode, done.stderr) == (0, ""), f"seed {seed}"
    acked = [int(word) for word in done.stdout.strip(" []\n").split(",") if word]
    registry = ModelRegistry(Lake(home), writer.SLOT)
    stored = [name for name, _ in registry.state().standings[A.sha256].fits]
    expected = [writer.fit_number(number).sha256 for number in range(len(stored))]
    assert acked == list(range(len(acked))), f"seed {seed}"
    assert stored == expected, f"seed {seed}"
    assert len(acked) <= len(stored) <= len(acked) + 1, f"lost or twice, seed {seed}"
    assert len(acked) <= len(trials(registry.lake.ledger, writer.SLOT)) <= len(stored), f"seed {seed}"
    assert all(registry.fit(name).sha256 == name for name in stored)
    assert examine(registry.lake.ledger).faults == ()
    assert named(registry.lake) <= {key for key, _ in registry.lake.objects.listing()}
    more = registry.record_fit(writer.fit_number(len(stored)), YES, session=DAY, at=AT)
    assert registry.state().standings[A.sha256].fit == more
    return f"{kills} kills, {len(acked)} acknowledged, {len(stored)} stored"


def test_the_registry_survives_kills(tmp_path: Path) -> None:
    """Six kills at random moments."""
    survives(tmp_path / "home", 6, 20_181_224)


@pytest.mark.long
def test_the_registry_survives_a_hundred_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same as a campaign; prints its numbers."""
    told = survives(tmp_path / "home", 100, 7)
    with capsys.disabled():
        print(f"\nmodel registry: {told}")
