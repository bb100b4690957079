"""What the model registry held when a session's cutoff was recorded, and the panels that its models read, from the reader.

What came into the ledger after the cutoff is no fact of the session: a replay sees what the decision saw. A refit is recorded by
`keep_refit`, after it was used. Not here: which fit is used and what it says (`insight.champion`), the rules (`model_registry`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from marketbot_assets.panels import last_sessions, market
from marketbot_resources.errors import StoreError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.insight.champion import Chosen, Registered
    from marketbot_assets.insight.forecast_panel import Panel
    from marketbot_assets.insight.model_card import ModelSpec
    from marketbot_assets.insight.model_states import Slot, Standing
    from marketbot_resources.store.lake import Lake

TRAINING_SESSIONS = 2520
LIVE_SESSIONS = 1010
NO_FIT = "it has no accepted fit"


@dataclass(frozen=True, slots=True)
class Held:
    """A slot at a cutoff: its entries and their fold."""

    entries: "tuple[Entry, ...]"
    slot: "Slot"


def held_at_cutoff(read: Reader, ledger: Ledger) -> Held | None:
    """The slot `return_model` as it was when the session's cutoff was recorded; None where nothing was registered."""
    from marketbot_assets.insight.model_states import fold
    from marketbot_assets.model_registry import KIND, RETURN_MODEL, events

    found = ledger.entries(KIND, f"{RETURN_MODEL}/")
    own = ledger.get("session_cutoff", read.part) if found else None
    if own is None:
        return None
    entries = tuple(entry for entry in found if entry.seq < own.seq)
    return Held(entries, fold(events(entries))) if entries else None


def registered(read: Reader, held: Held, standing: "Standing", weight: float, why: str) -> "Registered | str":
    """A specification with its newest accepted fits, from their files; why it cannot be used, when it cannot."""
    from marketbot_assets.insight.champion import Registered
    from marketbot_assets.insight.fit_gate import FITS_COMPARED
    from marketbot_assets.insight.model_card import Fit, fit_of
    from marketbot_assets.model_registry import definition

    spec, names = definition(held.entries, standing.spec), standing.accepted[-FITS_COMPARED:]
    if not names:
        return NO_FIT
    fits: list[Fit] = []
    fault = ""
    for name in reversed(names):
        try:
            fit = fit_of(read.blob(name), name)
            if fit.spec_sha256 != standing.spec:
                raise ValueError(f"fit {name[:12]} is one of another specification")
        except (StoreError, ValueError) as error:
            if not fits:
                return f"its file is refused: {error}"
            fault = f"an earlier fit is refused: {error}"
            break
        fits.insert(0, fit)
    return Registered(spec, tuple(fits), weight, why, fault)


def chosen(read: Reader, found: "Registered | str", spec_sha256: str) -> "Chosen":
    """What becomes of a specification in the session."""
    from marketbot_assets.insight.champion import Chosen, choose
    from marketbot_assets.insight.price_panel import feature_versions

    if isinstance(found, str):
        return Chosen(spec_sha256, None, 0.0, f"{found}: the baseline decides", {})
    spec, mandate = found.spec, read.mandate()
    return choose(
        found,
        read.session,
        read.sessions_since(mandate.calendar, found.fits[-1].fitted_on),
        lambda: panel(read, spec, spec.features, TRAINING_SESSIONS),
        lambda: live_panel(read, spec),
        feature_versions(spec.features),
        learning_code(),
    )


def champion(read: Reader, ledger: Ledger) -> "Chosen | None":
    """The champion in the session; None where the slot has none. Without trust it is refitted all the same, with weight 0."""
    held = held_at_cutoff(read, ledger)
    if held is None or held.slot.champion is None:
        return None
    from marketbot_assets.insight.model_states import in_force

    standing, force = held.slot.champion, in_force(held.slot)
    return chosen(read, registered(read, held, standing, force.weight, force.why), standing.spec)


def live_panel(read: Reader, spec: "ModelSpec") -> "Panel":
    """The panel that ends with the session, with the return model's scores; long enough for every memory."""
    from marketbot_assets.insight.price_panel import SCORES

    return panel(read, spec, (*SCORES, *spec.features), LIVE_SESSIONS)


def panel(read: Reader, spec: "ModelSpec", features: Sequence[str], sessions: int) -> "Panel":
    """Features, and labels over the specification's horizon, of at least so many sessions up to this one, as known at its cutoff.

    It begins where running sums begin anew, so that they have the same bits in every session's panel. Raises ValueError for a
    feature that is not declared, or a past too short.
    """
    from marketbot_assets.features.shares import with_filed_shares
    from marketbot_assets.features.wide_features import first_number, number_of
    from marketbot_assets.insight.price_panel import price_panel
    from marketbot_assets.insight.training import rule_of
    from marketbot_resources.calendars import cutoffs

    since, mandate = len(read.reads), read.mandate()
    number = number_of(mandate.calendar, read.session)
    depth = number - first_number(number, sessions) + 1
    known, filed, moves = market(read, depth), read.as_of("fundamentals"), read.as_of("corporate_actions")
    names, horizon = tuple(dict.fromkeys(features)), rule_of(spec).horizon_rows
    days = last_sessions(mandate, read.session, depth)
    assert days == known.window.sessions, "a panel's cutoffs must be those of its window"

    def build() -> "Panel":
        return price_panel(
            known.window,
            known.macro,
            filed,
            with_filed_shares(known.instruments, filed, moves, read.session),
            (*cutoffs(mandate.calendar, mandate.schedule, days[:-1]), read.cutoff),
            base=mandate.base_currency,
            number=number_of(mandate.calendar, days[0]),
            horizon_rows=horizon,
            features=names,
        )

    return read.remember(f"panel of {depth} sessions, {horizon} ahead: {' '.join(names)}", since, build)


@lru_cache(maxsize=1)
def learning_code() -> str:
    """Hash of the source that learns and predicts, 16 hex digits: what a refit's card calls its code.

    Not that of the stage, so that a change elsewhere leaves a refit the same bytes when a session is replayed.
    """
    import hashlib
    import inspect

    from marketbot_assets.insight import (
        ensemble,
        families,
        forecast_fit,
        forecast_panel,
        model_boosting,
        model_linear,
        training,
        trees,
        walk_forward,
    )

    parts = (ensemble, families, forecast_fit, forecast_panel, model_boosting, model_linear, training, trees)
    text = "".join(inspect.getsource(part) for part in (*parts, walk_forward))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def keep_refit(read: Reader, lake: "Lake", made: "Chosen | None") -> list[str]:
    """Records the champion's refit with the gate's answer, before the session's batch is frozen; what `used` says of it."""
    from marketbot_resources.sessions import frozen_batch

    if made is not None and frozen_batch(lake.ledger, read.mandate().account.id, read.session) is None:
        record_refits(read, lake, [made])
    return used(read, lake, "return_model", [] if made is None else [made])


def record_refits(read: Reader, lake: "Lake", made: "Sequence[Chosen]") -> None:
    """Records fits that a session made. One whose specification was refitted, moved or rolled back since the cutoff is refused."""
    from marketbot_assets.model_registry import RETURN_MODEL, ModelRegistry

    fresh = [(one.spec, one.refit) for one in made if one.refit is not None]
    held = held_at_cutoff(read, lake.ledger) if fresh else None
    for spec, refit in fresh:
        assert held is not None, "a fit is made of what the registry held"
        registry, then = ModelRegistry(lake, RETURN_MODEL), held.slot.standings[spec]
        registry.record_refit(refit.fit, refit.judgement, then, session=read.session, at=read.cutoff)


def used(read: Reader, lake: "Lake", asset: str, made: "Sequence[Chosen]") -> list[str]:
    """The files of the fits that an asset's object was forecast with, for its manifest; each is in the store and described then."""
    from marketbot_assets.model_trials import keep_file

    files = [one.fit.to_bytes() for one in made if one.fit is not None]
    return sorted({keep_file(lake, file, read.cutoff, asset, read.part) for file in files})


def told(frame: "pd.DataFrame") -> Mapping[str, str | float]:
    """What manifest and pages say of the champion in RETURN_MODEL rows; nothing without one."""
    from marketbot_assets.insight.lead import lead_of

    lead = lead_of(frame)
    if lead is None:
        return {}
    return {
        "champion_spec_sha256": lead.spec,
        "champion_fit_sha256": lead.fit,
        "champion_weight": lead.weight,
        "champion_why": lead.why,
    }
