"""Dossiers as files: of one order (`explain ORDER --html`), and of all orders of a session with a page that lists them.

Pages are made from the evidence, they are none: whoever doubts one makes it again. Not here: what stands on a page
(`audit.dossier`), what is read (`decided`, `explain`).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from marketbot_assets.commands.decided import Decided, case_of, decided_session
from marketbot_assets.commands.explain import View, order_view
from marketbot_assets.commands.home import existing_lake
from marketbot_assets.commands.order_names import intent_of
from marketbot_resources.errors import HomeError, LedgerError

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake

FOLDER, INDEX = "dossiers", "index.html"


def write_dossier(order: str, out: Path | None) -> View:
    """Writes one order's dossier (default: <home>/dossiers/<session>/<order id>.html); what `explain` shows, and `path`.

    Raises UsageError for an unknown order, HomeError when the file cannot be written.
    """
    from marketbot_assets.audit.dossier import build_dossier

    lake = existing_lake()
    intent = intent_of(lake.ledger, order)
    decided = decided_session(lake, str(intent.body["session"]))
    view = order_view(case_of(decided, intent))
    path = out or dossier_folder(lake, decided.part) / f"{intent.key}.html"
    _write(path, build_dossier(view, _tickers(decided)))
    return {**view, "path": str(path)}


def write_dossiers(lake: "Lake", part: str) -> Path:
    """Writes the dossier of every order of a session and the page that lists them; returns the path of that page.

    What stands behind the decision is read and hashed once for all of them. An object that does not hold is marked on the
    pages; raises LedgerError without a decision or an intent, StoreError when what a page must tell cannot be read.
    """
    from marketbot_assets.audit.dossier import build_dossier, build_dossier_index

    decided = decided_session(lake, part)
    folder, tickers, views = dossier_folder(lake, part), _tickers(decided), []
    for name in sorted(decided.orders):
        intent = lake.ledger.get("order_intent", name)
        if intent is None:
            raise LedgerError(f"order {name}: expected its intent in the ledger, found none")
        view = order_view(case_of(decided, intent))
        _write(folder / f"{name}.html", build_dossier(view, tickers))
        views.append(view)
    _write(folder / INDEX, build_dossier_index(part, views, tickers))
    return folder / INDEX


def dossier_folder(lake: "Lake", part: str) -> Path:
    """Where a session's dossiers lie."""
    return lake.home / FOLDER / part


def _tickers(decided: Decided) -> dict[str, str]:
    row = decided.evidence.row("instruments")
    if row is None:
        return {}
    return {str(listed["instrument"]): str(listed["ticker"]) for listed in decided.records.of(row)}


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HomeError(f"dossier: expected to write {path}, found: {error.strerror}; choose another --out") from error


def dossier_lines(view: View) -> list[str]:
    """Where the dossier lies, for people."""
    order = view["order"]
    assert isinstance(order, dict)
    return [f"order {order['client_order_id']} of {order['session']}: {view['path']}"]
