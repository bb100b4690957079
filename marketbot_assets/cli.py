"""The command line: parses arguments, prints a table or one JSON object, and chooses the exit code. Nothing is decided here.

Exit 0: done. 1: a session did not end well or a check failed. 2: the command could not start, said in one clear line.
"""

import errno
import json
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from marketbot_assets.commands.alerts_cli import alerts
from marketbot_assets.commands.audit_ui_cli import audit_ui
from marketbot_assets.commands.backup_cli import backup, restore
from marketbot_assets.commands.digest_cli import digest
from marketbot_assets.commands.factors_cli import factors
from marketbot_assets.commands.features_cli import features
from marketbot_assets.commands.home import prepare_environment, writable_home
from marketbot_assets.commands.live_cli import live
from marketbot_assets.commands.llm_cli import llm
from marketbot_assets.commands.mandate_cli import mandate
from marketbot_assets.commands.models_cli import models
from marketbot_assets.commands.parity_cli import parity
from marketbot_assets.commands.publish_cli import publish
from marketbot_assets.commands.signals_cli import signals
from marketbot_assets.commands.store_cli import store
from marketbot_assets.commands.sweep_cli import sweep
from marketbot_assets.commands.token_cli import serve, token
from marketbot_assets.commands.views_cli import VIEW_COMMANDS
from marketbot_resources import settings
from marketbot_resources.errors import HomeError, MarketbotError, SetupError, UsageError
from marketbot_resources.redaction import redacting, redactor

if TYPE_CHECKING:
    from marketbot_assets.commands.sessions import SessionResult

_NO_ROOM = (
    "disk is full",
    "disk I/O error",
    "readonly database",
    "unable to open database file",
)  # the last: no file left
NOTIFIERS_SECONDS = 120.0
_NO_ROOM_ERRNO = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_DATABASES = ("sqlalchemy", "psycopg2", "dagster_postgres")  # packages whose errors come from Dagster's storage alone
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="marketbot")
def commands() -> None:
    """marketbot: a data platform that trades on its own and can prove where every order came from."""


@commands.command()
@click.option("--sessions", "count", type=click.IntRange(min=1), default=10, show_default=True, help="How many.")
@JSON
def demo(count: int, as_json: bool) -> int:
    """Run the sample world's sessions up to 2018-12-24 and show what they decided."""
    from marketbot_assets.commands.demo import demo as play
    from marketbot_assets.commands.text import demo_text

    view = play(count, quiet=as_json)
    click.echo(json.dumps(view, sort_keys=True) if as_json else demo_text(view))
    return 0 if view["complete"] else 1


@commands.command()
@click.option("--session", help="The session to run, like 2018-12-24; default: the next one.")
@click.option("--refetch", is_flag=True, help="Ask the providers again and add versions; no order follows from them.")
@click.option(
    "--due", type=click.IntRange(0, 720), metavar="MINUTES", help="All that are due, and one that begins by then."
)
@JSON
def run(session: str | None, refetch: bool, due: int | None, as_json: bool) -> int:
    """Run one session: data, decision, verdict, orders, records. A session that has ended is shown, not run again."""
    from marketbot_assets.commands.sessions import choose_session, run_once, run_session

    if due is not None:
        return _run_due(due, as_json, alone=session is None and not refetch)
    day = choose_session(session)
    writable_home()
    return _show([run_session(day, refetch=True) if refetch else run_once(day)], as_json)


def _run_due(minutes: int, as_json: bool, *, alone: bool) -> int:
    import datetime as dt

    from marketbot_assets.commands.sessions import run_due
    from marketbot_resources.notifier_process import notifiers_ended

    if not alone:
        raise UsageError("--due: expected it alone, found a session or --refetch, too; give one of them")
    writable_home()
    results = run_due(dt.timedelta(minutes=minutes))
    notifiers_ended(NOTIFIERS_SECONDS)  # whoever stops the machine next would end them
    if results:
        return _show(results, as_json)
    click.echo(
        json.dumps({"sessions": []}) if as_json else f"no session is due, and none begins within {minutes} minutes"
    )
    return 0


@commands.command()
@click.argument("first")
@click.argument("last")
@click.option("--data", is_flag=True, help="Data, features and forecasts only: nothing is decided or sent.")
@JSON
def backfill(first: str, last: str, data: bool, as_json: bool) -> int:
    """Run the sessions of a range, oldest first, one run each; stop at the first that does not end well."""
    from marketbot_assets.commands.sessions import run_range, sessions_from

    days = sessions_from(first, last)
    writable_home()
    return _show(run_range(days, quiet=as_json, data=data), as_json)


@commands.command()
@click.argument("first")
@click.argument("last")
@click.option("--html", "page", metavar="FILE", help="Write the report to this file, one page.")
@click.option(
    "--signals", is_flag=True, help="Decide the range anew without each subset of the scores: what each brought."
)
@click.option("--tests", is_flag=True, help="Then test it against overfitting, which takes further backtests.")
@click.option(
    "--random",
    type=click.IntRange(0, 999),
    default=19,
    show_default=True,
    help="With --tests: how many of random signals.",
)
@click.option("--workers", type=click.IntRange(1, 512), default=1, show_default=True, help="Processes for these.")
@JSON
def backtest(
    first: str, last: str, page: str | None, signals: bool, tests: bool, random: int, workers: int, as_json: bool
) -> int:
    """Decide every session of a past range from cash, with the paper broker's fills; stores and prints the table."""
    from marketbot_assets.commands.backtest import Further
    from marketbot_assets.commands.backtest import backtest as play
    from marketbot_assets.commands.sessions import sessions_from
    from marketbot_assets.commands.sweep import place_of
    from marketbot_assets.commands.tear_sheet import tear_sheet_lines, write_tear_sheet
    from marketbot_assets.commands.text import backtest_text

    days = sessions_from(first, last)
    writable_home()
    view = play(days[0], days[-1], Further(place_of(workers, None), signals, tests, random))
    report = write_tear_sheet(view, page)
    told = "\n".join([backtest_text(view), *tear_sheet_lines(report)])
    click.echo(json.dumps({**view, **report}, sort_keys=True) if as_json else told)
    return 0


@commands.command(name="import")
@click.argument("kind")
@click.argument("files", nargs=-1, required=True)
@click.option("--column", "columns", multiple=True, metavar="NAME=THEIRS", help="Our column and the file's name of it.")
@click.option("--set", "constants", multiple=True, metavar="NAME=VALUE", help="One value of a column for all rows.")
@click.option("--table", help="The table of a DuckDB file.")
@click.option("--drop-closed", is_flag=True, help="Leave out rows of days on which the exchange is closed.")
@click.option("--drop-contradicting", is_flag=True, help="Leave out all rows of a key of which two differ.")
@click.option("--with-listings", is_flag=True, help="Of prices: bring the listings that the file shows, too.")
@JSON
def import_(
    kind: str,
    files: tuple[str, ...],
    columns: tuple[str, ...],
    constants: tuple[str, ...],
    table: str | None,
    drop_closed: bool,
    drop_contradicting: bool,
    with_listings: bool,
    as_json: bool,
) -> int:
    """Bring your own CSV, Parquet or DuckDB data: instruments, prices, corporate_actions, fx, macro, fundamentals, news."""
    from marketbot_assets.commands.imports import bring, import_lines

    writable_home()
    view = bring(
        kind,
        files,
        columns=columns,
        constants=constants,
        drop_closed=drop_closed,
        drop_contradicting=drop_contradicting,
        table=table,
        with_listings=with_listings,
    )
    click.echo(json.dumps(view, sort_keys=True) if as_json else "\n".join(import_lines(view)))
    return 0


@commands.command()
@JSON
def doctor(as_json: bool) -> int:
    """Say what is missing in the set-up and how to mend it."""
    from marketbot_assets.commands.doctor import examine

    findings = examine()
    if as_json:
        click.echo(json.dumps({"findings": [asdict(finding) for finding in findings]}, sort_keys=True))
    for finding in () if as_json else findings:
        mend = "" if finding.good else f"\n      to mend: {finding.mend}"
        click.echo(f"{'ok  ' if finding.good else 'FIX '} {finding.name}: {finding.found}{mend}")
    return 0 if all(finding.good for finding in findings) else 1


@commands.command()
@click.option("--state", required=True, help="Its own folder: its key and the last head of each log.")
@click.option("--log", "logs", multiple=True, help="Public key of a log that it serves; may be given again.")
@click.option("--listen", default="127.0.0.1:8087", show_default=True, help="Address and port; port 0: a free one.")
@click.option("--name", default="marketbot.witness", show_default=True, help="Its name when its key is made.")
@JSON
def witness(state: str, logs: tuple[str, ...], listen: str, name: str, as_json: bool) -> int:
    """Serve a witness that cosigns the heads of logs; run it where the log's operator has no access. SIGTERM stops it."""
    from marketbot_assets.commands.witness import witness as serve

    return serve(state, logs, listen, name, as_json=as_json)


for _view in (
    *VIEW_COMMANDS,
    backup,
    restore,
    mandate,
    live,
    llm,
    models,
    factors,
    parity,
    features,
    sweep,
    alerts,
    digest,
    signals,
    store,
    publish,
    token,
    serve,
    audit_ui,
):
    commands.add_command(_view)


def _show(results: "Sequence[SessionResult]", as_json: bool) -> int:
    from marketbot_assets.commands.home import existing_lake
    from marketbot_assets.commands.text import sessions_text

    lake = existing_lake()
    size, root = lake.ledger.head()
    record = {
        "sessions": [asdict(result) | {"good": result.good} for result in results],
        "ledger": {"size": size, "root": root},
        "store_objects": lake.stored(),
        "home": str(lake.home),
    }
    click.echo(json.dumps(record, sort_keys=True) if as_json else sessions_text(record))
    return 0 if all(result.good for result in results) else 1


def main() -> None:
    """Entry point of the installed command."""
    prepare_environment()
    try:
        code = redacting(commands.main)(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = 2
    except click.exceptions.Abort:
        code = _fail("interrupted; what was finished is kept, give the same command again", 1)
    except click.ClickException as error:
        code = _fail(error.format_message(), 2)
    except (SetupError, HomeError) as error:
        code = _fail(str(error), 2)
    except MarketbotError as error:
        code = _fail(str(error), 1)
    except Exception as error:
        full, silent = unwritable(error), unreachable(error)
        if not (full or silent):
            raise
        first = f"{full}; make room" if full else f"{silent}; see that it runs"
        code = _fail(f"{first}, then give the same command again", 1)
    sys.exit(code or 0)


def unwritable(error: BaseException | None) -> str:
    """What a disk without room, or one that may not be written, said; "" for every other error."""
    while error is not None:
        text = str(error).partition("\n")[0]
        told = isinstance(error, sqlite3.OperationalError) and any(word in text for word in _NO_ROOM)
        if told or (isinstance(error, OSError) and error.errno in _NO_ROOM_ERRNO):
            return f"expected room to write in {settings.home()}, found: {text}"
        error = error.__cause__ or error.__context__
    return ""


def unreachable(error: BaseException | None) -> str:
    """What Dagster's database said when it could not be used; "" for every other error."""
    told = ""
    while error is not None:
        if type(error).__module__.partition(".")[0] in _DATABASES:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            told = lines[0] if lines else type(error).__name__  # the cause, told last, says it best
        error = error.__cause__ or error.__context__
    return f"expected Dagster's database to answer, found: {told}" if told else ""


def _fail(why: str, code: int) -> int:
    click.echo(redactor().text(f"marketbot: {why}"), err=True)
    return code


if __name__ == "__main__":
    main()
