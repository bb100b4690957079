"""Which secrets a mandate cannot do without, and the refusal of a session that lacks one, before any data are asked for (F42).

A chain of vendors needs the keys of at least one of them; a broker over the net needs its own. Language models are not here:
without a key the rules give the views. Not here: where secrets stand (`secrets`), which key a vendor has (`vendors`).
"""

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING

from marketbot_resources import settings
from marketbot_resources.errors import HomeError
from marketbot_resources.vendors import KEYS

if TYPE_CHECKING:
    from marketbot_resources.ledger.port import Ledger
    from marketbot_resources.mandate import Mandate

CHAINS = ("market", "instruments", "fx", "macro", "fundamentals", "news")
BROKER_KEYS = {"alpaca": ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")}
Value = Callable[[str], str | None]


def lacking_secrets(mandate: "Mandate", value: Value = settings.variable) -> dict[str, list[str]]:
    """Who needs which names that have no value; {} when nothing is missing. `value`: a secret's value, None without one."""
    found: dict[str, list[str]] = {}
    if missing := [name for name in BROKER_KEYS.get(mandate.broker.name, ()) if not value(name)]:
        found[f"broker {mandate.broker.name}"] = missing
    for chain in CHAINS:
        vendors = getattr(mandate.providers, chain)
        if not isinstance(vendors, tuple) or not vendors:
            continue
        without = [[name for name in KEYS[vendor] if not value(name)] for vendor in vendors if vendor in KEYS]
        if without and all(without):
            found[f"{chain} {', '.join(vendors)}"] = without[0]
    return found


def refuse_without_secrets(mandate: "Mandate", ledger: "Ledger | None", session: dt.date) -> None:
    """Begins a session: secrets are read anew, and one that lacks any raises HomeError with one line.

    A session that has its cutoff is not asked: what it needs is stored.
    """
    settings.renew_secrets()
    if ledger is not None and ledger.get("session_cutoff", session.isoformat()) is not None:
        return
    lacking = lacking_secrets(mandate)
    if lacking:
        told = "; ".join(f"{who}: {', '.join(names)}" for who, names in sorted(lacking.items()))
        raise HomeError(
            f"secrets: expected every key that the mandate needs, found keys missing for session {session} ({told}); "
            "set them in the environment, in the file of process run, or as parameters, then run the session again"
        )
