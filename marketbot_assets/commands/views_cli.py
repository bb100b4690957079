"""The commands that look at a home and at its switch: arguments, one JSON object or lines for people, the exit code.

`VIEW_COMMANDS` is what the command line adds. Nothing is decided here; each command's module makes a plain dictionary.
"""

import datetime as dt
import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import click

from marketbot_resources.errors import HomeError, UsageError
from marketbot_resources.model import HaltLevel, plain, utc_text
from marketbot_resources.redaction import redactor

View = dict[str, object]
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
REASON = click.option("--reason", help="Why, for the ledger.")


@click.command()
@JSON
def status(as_json: bool) -> int:
    """Where the book, the limits and the last run stand, and what to do next."""
    from marketbot_assets.commands.status import status as look
    from marketbot_assets.commands.status import status_lines

    view = made(look)
    shown(view, status_lines, as_json)
    return 0 if view["fine"] else 1


@click.command()
@click.argument("order")
@click.option("--html", "as_page", is_flag=True, help="Write the order's dossier, one HTML page, and print where.")
@click.option("--out", help="The file of the page; default: dossiers/<session>/<order id>.html in the home.")
@JSON
def explain(order: str, as_page: bool, out: str | None, as_json: bool) -> int:
    """Why this order exists, what became of it, and the tree of evidence. ORDER: its id or a unique beginning of it."""
    from marketbot_assets.commands.dossiers import dossier_lines, write_dossier
    from marketbot_assets.commands.explain import explain as look
    from marketbot_assets.commands.explain_text import explain_lines

    if out is not None and not as_page:
        raise UsageError("--out: expected it together with --html, found it alone")
    view = made(lambda: write_dossier(order, Path(out).resolve() if out else None) if as_page else look(order))
    if as_json or as_page or not view["fault"]:
        shown(view, dossier_lines if as_page else explain_lines, as_json)
    if view["fault"]:
        click.echo(f"marketbot: {view['faults']} not whole, first: {view['fault']}", err=True)
    return 1 if view["fault"] else 0


@click.command("blast-radius")
@click.argument("object")
@JSON
def blast_radius(object: str, as_json: bool) -> int:
    """What used an object or a row, directly or through others, and what it cost or earned.

    OBJECT: a hash (a unique beginning of it), ASSET/PARTITION, or a row as ASSET/PARTITION/COLUMN=VALUE.
    """
    from marketbot_assets.commands.blast_radius import blast_radius as look
    from marketbot_assets.commands.blast_text import blast_lines

    shown(made(lambda: look(object)), blast_lines, as_json)
    return 0


@click.command()
@click.option("--session", help="The session, like 2018-12-24; default: the newest that has a report.")
@click.option("--out", help="The file to write; default: reports/<session>.html in the home.")
@JSON
def report(session: str | None, out: str | None, as_json: bool) -> int:
    """Write a session's HTML report to a file and print its headline numbers."""
    from marketbot_assets.commands.report import report as make
    from marketbot_assets.commands.report import report_lines

    shown(made(lambda: make(session, out)), report_lines, as_json)
    return 0


@click.command()
@REASON
@click.option(
    "--level",
    type=click.Choice([level.value for level in HaltLevel]),
    default=HaltLevel.HALT.value,
    help="How much stops.",
)
@JSON
def halt(reason: str | None, level: str, as_json: bool) -> int:
    """Stop now: nothing is sent until `resume`; a level stops less, cancels open orders, too, or sells everything."""
    from marketbot_assets.commands.halt import halt_lines, halt_now

    view = made(lambda: halt_now(reason, HaltLevel(level)))
    shown(view, halt_lines, as_json)
    if view["problem"]:
        click.echo(redactor().text(f"marketbot: {view['problem']}"), err=True)
    return 1 if view["problem"] else 0


@click.command()
@REASON
@JSON
def resume(reason: str | None, as_json: bool) -> int:
    """Go on after a halt, when book and broker agree."""
    from marketbot_assets.commands.halt import resume_lines, resume_now

    view = made(lambda: resume_now(reason))
    if as_json or view["resumed"]:
        shown(view, resume_lines, as_json)
    if not view["resumed"]:
        click.echo(redactor().text(f"marketbot: not resumed: {view['why']}"), err=True)
    return 0 if view["resumed"] else 1


@click.command()
@JSON
def reconcile(as_json: bool) -> int:
    """Compare our newest positions with what the broker holds."""
    from marketbot_assets.commands.reconcile import reconcile_lines, reconcile_now

    view = made(reconcile_now)
    shown(view, reconcile_lines, as_json)
    return 0 if view["clean"] else 1


@click.command()
@click.option("--anchor", "anchors", multiple=True, help="One more place that keeps signed heads; may be repeated.")
@click.option("--root", "roots", multiple=True, help="A head that you noted elsewhere, as SIZE:ROOT; may be repeated.")
@click.option("--key", help="The ledger's public key from your own records.")
@click.option("--export", "exported", help="Check this export or proof instead of the home.")
@JSON
def verify(
    anchors: tuple[str, ...], roots: tuple[str, ...], key: str | None, exported: str | None, as_json: bool
) -> int:
    """Check every hash, reference, signed head and anchor; name the first fault and everything downstream of it."""
    if exported is not None:
        from marketbot_assets.commands.export import verify_export, verify_export_lines

        view = made(lambda: verify_export(exported, key))
        shown(view, verify_export_lines, as_json)
        return 0 if view["fine"] else 1
    from marketbot_assets.commands.verify import verify as check
    from marketbot_assets.commands.verify_text import verify_lines

    view = made(lambda: check(anchors, roots, key))
    shown(view, verify_lines, as_json)
    return 0 if view["fine"] else 1


@click.command()
@click.argument("order")
@click.option("--out", help="A folder or a .tar file; default: proofs/<order> in the home.")
@JSON
def prove(order: str, out: str | None, as_json: bool) -> int:
    """Write the proof of an order, to be checked alone. ORDER: its id or a unique beginning of it."""
    from marketbot_assets.commands.prove import prove as make
    from marketbot_assets.commands.prove import prove_lines

    shown(made(lambda: make(order, out)), prove_lines, as_json)
    return 0


@click.command("export-audit")
@click.argument("first")
@click.argument("last")
@click.option("--out", help="A folder or a .tar file; default: exports/audit_<first>_<last>.tar in the home.")
@JSON
def export_audit(first: str, last: str, out: str | None, as_json: bool) -> int:
    """Write the whole log and everything behind the decisions of FIRST to LAST, to be checked alone."""
    from marketbot_assets.commands.export import export_audit as make
    from marketbot_assets.commands.export import export_lines

    shown(made(lambda: make(first, last, out)), export_lines, as_json)
    return 0


@click.command("export-lots")
@click.option("--year", type=click.IntRange(1990, 9998), help="Calendar year of the disposals; default: all.")
@click.option(
    "--method",
    type=click.Choice(("fifo", "average", "section-104")),
    help="Which shares go first; default: as the mandate's residence asks, else fifo.",
)
@click.option("--out", required=True, help="The CSV file of the disposals.")
@click.option("--dividends", help="The CSV file of dividends and taxes withheld.")
@JSON
def export_lots(year: int | None, method: str | None, out: str, dividends: str | None, as_json: bool) -> int:
    """Write tax lots, one row per disposal and lot, and compare their sums with the book. No tax advice."""
    from marketbot_assets.commands.export_lots import export_lots as make
    from marketbot_assets.commands.export_lots import export_lots_lines

    view = made(lambda: make(year, method, out, dividends))
    shown(view, export_lots_lines, as_json)
    return 0 if view["meets"] else 1


@click.command()
@click.option("--session", help="The session, like 2018-12-24; default: all of them.")
@JSON
def replay(session: str | None, as_json: bool) -> int:
    """Rebuild what sessions stored from the versions they rest on, and compare; name the first asset that differs."""
    from marketbot_assets.commands.replay import replay as rebuild
    from marketbot_assets.commands.replay_text import replay_lines

    view = made(lambda: rebuild(session))
    shown(view, replay_lines, as_json)
    return 0 if view["fine"] else 1


@click.command()
@click.option("--cuts", type=click.IntRange(min=1), default=60, show_default=True, help="How many sessions, at random.")
@click.option("--feature", help="This feature alone.")
@click.option("--session", help="Cut after this session alone, like 2018-12-24.")
@JSON
def leakcheck(cuts: int, feature: str | None, session: str | None, as_json: bool) -> int:
    """Show that nothing at a session depends on what became known after it; writes nothing."""
    from marketbot_assets.commands.leakcheck import leakcheck as check
    from marketbot_assets.commands.leakcheck_text import leakcheck_lines

    view = made(lambda: check(cuts, feature, session, quiet=as_json))
    shown(view, leakcheck_lines, as_json)
    return 0 if view["fine"] else 1


@click.command()
@click.option("--accept", "proposal", help="Accept the proposal with this id, or a unique beginning of it.")
@click.option("--author", help="Who accepts it.")
@REASON
@click.option(
    "--restated", is_flag=True, help="What was sent again with other values, and the decisions that used the old."
)
@JSON
def repair(proposal: str | None, author: str | None, reason: str | None, restated: bool, as_json: bool) -> int:
    """Propose what wrong bars and dividends should have been, or accept a proposal; data as received stay as they are."""
    from marketbot_assets.commands.repair import accept_now, proposals_now, repair_lines, restated_now

    if restated and proposal is not None:
        raise UsageError("--restated: expected it without --accept")
    look = restated_now if restated else proposals_now
    view = made(look if proposal is None else lambda: accept_now(proposal, author, reason))
    shown(view, repair_lines, as_json)
    return 0


@click.command()
@click.option(
    "--last", type=click.IntRange(min=1), default=250, show_default=True, help="How many verdicts to look at."
)
@JSON
def controls(last: int, as_json: bool) -> int:
    """Every control of the risk engine: its newest answer, and the session in which it last said more than PASS."""
    from marketbot_assets.commands.controls import controls_lines, controls_now

    shown(made(lambda: controls_now(last)), controls_lines, as_json)
    return 0


@click.command()
@click.option("--last", type=click.IntRange(min=1), default=5, show_default=True, help="How many sessions to look at.")
@JSON
def cost(last: int, as_json: bool) -> int:
    """What this installation stored and called, and what that is per month by list prices."""
    from marketbot_assets.commands.cost import cost_lines, cost_now

    shown(made(lambda: cost_now(last)), cost_lines, as_json)
    return 0


@click.command()
@click.option("--last", type=click.IntRange(min=1), default=20, show_default=True, help="How many sessions to look at.")
@click.option("--html", "page", metavar="FILE", help="Write one HTML page to this file.")
@JSON
def drift(last: int, page: str | None, as_json: bool) -> int:
    """How forecasts, features, data, execution and language models compare with what they were."""
    from marketbot_assets.commands.drift import drift_lines, drift_now

    shown(made(lambda: drift_now(last, page)), drift_lines, as_json)
    return 0


@click.command()
@click.option("--from", "start", help="First session of the period, like 2018-12-03; default: all there are.")
@click.option("--to", "end", help="Last session of the period; default: the newest.")
@click.option("--html", "page", metavar="FILE", help="Write one HTML page to this file.")
@JSON
def performance(start: str | None, end: str | None, page: str | None, as_json: bool) -> int:
    """What the book earned over a period, where it came from, what it cost and what is not known."""
    from marketbot_assets.commands.performance import performance_lines, performance_now

    shown(made(lambda: performance_now(start, end, page)), performance_lines, as_json)
    return 0


@click.command()
@click.option("--year", type=click.IntRange(1970, 9998), help="The year to assess.")
@click.option("--from", "first", help="The first day of another period, like 2018-12-01.")
@click.option("--to", "last", help="Its last day.")
@click.option("--html", help="A file for the assessment as one HTML page.")
@JSON
def assess(year: int | None, first: str | None, last: str | None, html: str | None, as_json: bool) -> int:
    """What every control and every rule of the mandate did over a year, and which paragraphs of a yearly review that answers."""
    from marketbot_assets.commands.assess import assess as look
    from marketbot_assets.commands.assess_text import assess_lines

    view = made(lambda: look(year, first, last, html))
    if as_json:
        click.echo(canonical_text(view))
    else:
        shown(view, assess_lines, as_json)
    return 0


VIEW_COMMANDS: list[click.Command] = [
    *(status, cost, controls, drift, performance, assess, explain, blast_radius, report, halt, resume, reconcile),
    *(repair, verify, replay, leakcheck, prove, export_audit, export_lots),
]


def made(make: Callable[[], View]) -> View:
    """The view, or HomeError when a file of the home is no database."""
    with _readable():
        return make()


@contextmanager
def _readable() -> Iterator[None]:
    """A file of the home that is no database makes the home unreadable: one line, not a crash."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise HomeError(f"home: expected whole databases, found: {error}; restore the home from its backup") from error


def shown(view: View, lines: Callable[[View], Sequence[str]], as_json: bool) -> None:
    """Prints a view as one JSON object or as lines for people."""
    if as_json:
        click.echo(json.dumps(json_value(view), sort_keys=True, allow_nan=False))
    else:
        click.echo("\n".join(lines(view)))


def canonical_text(view: View) -> str:
    """A view as canonical JSON (RFC 8785): the same view gives the same bytes."""
    from marketbot_resources.ledger.record import canonical_json

    plain_view = json_value(view)
    assert isinstance(plain_view, dict)
    return canonical_json(plain_view).decode()


def json_value(value: object) -> object:
    """A value as JSON knows it: decimals as plain text, instants as RFC 3339, days as ISO dates, NaN and NaT as null."""
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if value is None or value != value:  # NaN and NaT differ from themselves
        return None
    if isinstance(value, Decimal):
        return plain(value) if value.is_finite() else None
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.tzinfo is None else utc_text(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    item = getattr(value, "item", None)  # a numpy scalar
    return json_value(item()) if callable(item) else value
