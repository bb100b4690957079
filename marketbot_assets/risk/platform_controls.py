"""Controls on the platform: RC-81 single flight, RC-82 environment, RC-83 clock, RC-85 heartbeat, RC-88 model gate, RC-89 drift,
RC-92 alerts.

Not here: where the facts come from (`operation_facts`), optimizer, ledger, halt flag and data gate (`system_controls`).
"""

from collections.abc import Callable

from marketbot_assets.risk.control import ControlResult, Rule, within
from marketbot_assets.risk.feature_drift import has_drifted
from marketbot_assets.risk.operation_facts import CHAMPION, UNREGISTERED, ChampionFacts
from marketbot_assets.risk.post_trade_controls import SHOWN, finite, operations_of, whole
from marketbot_assets.risk.projection import Projection, members
from marketbot_resources.model import PAPER, Status

SINGLE_FLIGHT = Rule(
    "RC-81",
    "single flight",
    Status.HALT,
    "other sessions begun",
    formula="no other session of this book begun and not ended",
    answers="SEC 15c3-5(d); house",
)
ENVIRONMENT = Rule(
    "RC-82",
    "environment",
    Status.HALT,
    "accounts that are not permitted",
    formula="the broker says the environment that the mandate names and that is permitted: paper, or live by a signed record",
    answers="SEC 15c3-5(c)(2), (d); RTS 6 Art. 8, 18",
)
CLOCK = Rule(
    "RC-83",
    "clock",
    Status.HALT,
    "seconds",
    formula="|broker's clock - ours| <= hard_seconds",
    answers="RTS 6 Art. 16; house",
)
HEARTBEAT = Rule(
    "RC-85",
    "heartbeat",
    Status.SHRINK,
    "sessions",
    formula="sessions since one ended <= sessions",
    answers="RTS 6 Art. 16",
)
MODEL = Rule(
    "RC-88",
    "model gate",
    Status.REDUCE_ONLY,
    "models not as specified",
    formula="baseline = the mandate's specification, its scores all among the features; what else moves forecasts is the "
    "registry's champion, by a weight above 0 to 1",
    answers="SR 26-2 (inventory); RTS 6 Art. 8",
)
DRIFT = Rule(
    "RC-89",
    "feature drift",
    Status.SHRINK,
    "fraction of features",
    formula="share of features with PSI > psi or KS p < ks_p <= share; llm: refused answers of the run / answers <= llm_refused, "
    "else views move nothing",
    answers="SR 26-2 (ongoing monitoring)",
)
ALERTS = Rule(
    "RC-92",
    "alerts",
    Status.WARN,
    "alerts not recorded or acknowledged",
    formula="a halt or breach is recorded, and acknowledged by a channel of the mandate by the next cutoff",
    answers="RTS 6 Art. 16; SEC on Knight 2012",
)

DRIFT_SESSIONS_MIN = 5
NO_WATCHER = "no watcher outside of this home is told: see `marketbot status`"
NO_TRANSPORT = "no alert transport is configured: halts and breaches stand in the ledger and in `marketbot status`"
HASH_LENGTH = 64
LIVE = "live"


def single_flight(p: Projection) -> tuple[ControlResult, ...]:
    """RC-81: no other session of this book is begun and not ended.

    Two runs of one session are kept apart by the ledger: one frozen batch per session, one place per state of an order.
    """
    others = sorted(members(operations_of(p).other_sessions))
    text = f"begun by another run: {', '.join(others[:SHOWN])}" if others else ""
    status = SINGLE_FLIGHT.fail if others else Status.PASS
    return (SINGLE_FLIGHT.result(status, text, observed=len(others), limit=0),)


def environment(p: Projection) -> tuple[ControlResult, ...]:
    """RC-82: the broker says the mandate's environment, and that one is permitted: paper, or live while its record counts."""
    told, named, permitted = (
        operations_of(p).environment,
        p.mandate.broker.environment,
        operations_of(p).permitted_environment,
    )
    good = isinstance(told, str) and told in (PAPER, LIVE) and told == named == permitted
    text = "" if good else f"the broker says {told!r}, the mandate {named!r}, permitted is {permitted!r}"
    status = Status.PASS if good else ENVIRONMENT.fail
    return (ENVIRONMENT.result(status, text, observed=float(not good), limit=0),)


def clock(p: Projection) -> tuple[ControlResult, ...]:
    """RC-83: the broker's clock and ours differ by little. The paper broker keeps the session's clock."""
    rules = p.mandate.limits.clock_skew
    seen = abs(finite(operations_of(p).clock_skew_seconds, "the broker's clock"))
    status = (
        Status.PASS
        if within(seen, rules.warn_seconds)
        else Status.WARN
        if within(seen, rules.hard_seconds)
        else CLOCK.fail
    )
    text = f"the broker's clock is {seen:.6g} seconds away" if status else ""
    return (CLOCK.result(status, text, observed=seen, limit=rules.hard_seconds),)


def heartbeat(p: Projection) -> tuple[ControlResult, ...]:
    """RC-85: sessions since one ended; a longer silence is noted, and that the watcher outside did not hear of the last end."""
    limit, seen = (
        p.mandate.limits.heartbeat.sessions,
        whole(operations_of(p).heartbeat_sessions, "the last session's age"),
    )
    watched, unheard = operations_of(p).watched, sorted(members(operations_of(p).beats_unheard))
    if not isinstance(watched, bool):
        raise ValueError(f"whether a watcher is told is {watched!r}")
    text = (
        f"the last session ended {seen} sessions ago"
        if seen > limit
        else f"the watcher did not hear of the end of session {unheard[-1]}"
        if unheard
        else ""
        if watched
        else NO_WATCHER
    )
    fine = seen <= limit and not unheard
    return (HEARTBEAT.result(Status.PASS if fine else Status.WARN, text, observed=seen, limit=limit),)


def model_gate(p: Projection) -> tuple[ControlResult, ...]:
    """RC-88: the baseline is the one that the mandate specifies, and every score that it reads is there; else no buys.

    What moves forecasts beside it must be the registry's champion: a candidate, a shadow or a retired one buys nothing. A champion
    that moves nothing is noted, with why: the baseline decides then.
    """
    facts = operations_of(p)
    same = (
        isinstance(facts.model_spec, str)
        and len(facts.model_spec) == HASH_LENGTH
        and facts.model_spec == facts.mandate_spec
    )
    scores, wanted = tuple(members(facts.model_scores)), tuple(sorted(p.mandate.portfolio.score_weights))
    missing = sorted({*wanted, *scores} - set(members(facts.features)))
    approved = facts.model_state in (UNREGISTERED, CHAMPION)
    good = same and approved and scores == wanted and not missing
    led, silent = _led(facts.champion)
    text = (
        ""
        if good
        else f"specification {facts.model_spec!s:.12} with scores {', '.join(map(str, scores))}; expected "
        f"{facts.mandate_spec!s:.12} with {', '.join(wanted)}; not among the features: {', '.join(missing) or 'none'}; "
        f"registry: {facts.model_state!s:.12}"
    )
    ids = () if good and not led else p.increasing_ids
    fine = good and not led and not silent
    status = Status.PASS if fine else MODEL.fail if ids else Status.WARN
    told = "; ".join(part for part in (text, led, f"the champion moves nothing: {silent}" if silent else "") if part)
    return (MODEL.result(status, told, observed=float(not good) + float(bool(led)), limit=0, order_ids=ids, keep=0.0),)


def _led(champion: object) -> tuple[str, str]:
    """(what is wrong with the champion that moves the forecasts, why one moves nothing); both empty when all is right."""
    if not isinstance(champion, ChampionFacts) or not isinstance(champion.silent, str):
        raise ValueError(f"the registry's champion is {champion!r}")
    if champion.spec == "":
        return "", champion.silent
    named = isinstance(champion.spec, str) and len(champion.spec) == HASH_LENGTH
    weight = finite(champion.weight, "the champion's weight")
    if named and champion.state == CHAMPION and 0.0 < weight <= 1.0:
        return "", ""
    state = f"the registry has it as {champion.state!s:.12}"
    return f"specification {champion.spec!s:.12} moves the forecasts by {weight:g}: {state}", ""


def drift(p: Projection) -> tuple[ControlResult, ...]:
    """RC-89: few features are distributed otherwise than before; more is noted, unreadable facts let nothing be bought.

    Where language models are asked, a second row says how many of the run's answers the gate refused.
    """
    return (*_features_moved(p), *_answers_refused(p))


def _answers_refused(p: Projection) -> tuple[ControlResult, ...]:
    """The forecasts leave such a run's views out by themselves (`insight.view_weight`); here it is noted."""
    facts, limit = operations_of(p), p.mandate.limits.drift.llm_refused
    heard, refused = whole(facts.llm_answers, "answers of models"), whole(facts.llm_refused, "refused answers")
    if refused > heard:
        raise ValueError(f"{refused} of {heard} answers of models are refused")
    if p.mandate.llm is None and not heard:
        return ()
    share = refused / heard if heard else 0.0
    fine = within(share, limit)
    text = f"{refused} of {heard} answers of language models were refused: their views move nothing" if not fine else ""
    text = text if heard else "no language model answered"
    return (DRIFT.result(Status.PASS if fine else Status.WARN, text, key="llm", observed=share, limit=limit),)


def _features_moved(p: Projection) -> tuple[ControlResult, ...]:
    facts, rules = operations_of(p), p.mandate.limits.drift
    sessions, watched = whole(facts.drift_sessions, "the sessions compared with"), tuple(members(facts.drift))
    moved = [str(feature.feature) for feature in watched if has_drifted(feature, rules.psi, rules.ks_p)]
    if sessions < DRIFT_SESSIONS_MIN:
        text = f"compared with {sessions} sessions, {DRIFT_SESSIONS_MIN} are needed"
        return (DRIFT.result(Status.PASS, text, limit=rules.share),)
    if not watched:
        raise ValueError("no feature is watched")
    share = len(moved) / len(watched)
    fine = within(share, rules.share)
    text = "" if fine else f"{len(moved)} of {len(watched)} features: {', '.join(moved[:SHOWN])}"
    return (DRIFT.result(Status.PASS if fine else Status.WARN, text, observed=share, limit=rules.share),)


def alerts(p: Projection) -> tuple[ControlResult, ...]:
    """RC-92: a halt or a breach is recorded, and where the mandate names channels one of them acknowledged what was told before."""
    if p.inputs.ledger_ready is not True:
        return (ALERTS.result(ALERTS.fail, "the ledger cannot record an alert", observed=1.0, limit=0),)
    try:
        channels = whole(operations_of(p).alert_channels, "the number of channels")
        unheard = sorted(members(operations_of(p).alerts_unheard))
    except (TypeError, ValueError) as error:
        ids = p.increasing_ids
        status = Status.SHRINK if ids else ALERTS.fail
        return (ALERTS.result(status, f"not known: {error}", observed=1.0, limit=0, order_ids=ids, keep=0.0),)
    told = f"{len(unheard)} alerts that no channel acknowledged: {', '.join(unheard[:SHOWN])}"
    text = told if unheard else "" if channels else NO_TRANSPORT
    return (ALERTS.result(ALERTS.fail if unheard else Status.PASS, text, observed=len(unheard), limit=0),)


PLATFORM_CONTROLS: tuple[tuple[Rule, Callable[[Projection], tuple[ControlResult, ...]]], ...] = (
    (SINGLE_FLIGHT, single_flight),
    (ENVIRONMENT, environment),
    (CLOCK, clock),
    (HEARTBEAT, heartbeat),
    (MODEL, model_gate),
    (DRIFT, drift),
    (ALERTS, alerts),
)
