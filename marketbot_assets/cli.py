"""The command line: parses arguments, prints a table or one JSON object, and chooses the exit code. Nothing is decided here.

Exit 0: done. 1: a session did not end well or a check failed. 2: the command could not start, said in one clear line.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

import click

from marketbot_assets.commands.home import prepare_environment, writable_home
from marketbot_assets.commands.views_cli import VIEW_COMMANDS
from marketbot_resources.errors import HomeError, MarketbotError, SetupError

JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="marketbot")
def commands() -> None:
    """marketbot: a data platform that trades on its own and can prove where every order came from."""


@commands.command()
@click.option("--session", help="The session to run, like 2018-12-24; default: the next one.")
@click.option("--refetch", is_flag=True, help="Ask the providers again and add versions.")
@JSON
def run(session: str | None, refetch: bool, as_json: bool) -> int:
    """Run one session."""
    from marketbot_assets.commands.sessions import choose_session, run_session

    day = choose_session(session)
    writable_home()
    return _show([asdict(result := run_session(day, refetch=refetch)) | {"good": result.good}], as_json)


@commands.command()
@click.argument("first")
@click.argument("last")
@JSON
def backfill(first: str, last: str, as_json: bool) -> int:
    """Run the sessions of a range, oldest first, one run each."""
    from marketbot_assets.commands.sessions import run_range, sessions_from

    days = sessions_from(first, last)
    writable_home()
    return _show([asdict(result) | {"good": result.good} for result in run_range(days, quiet=as_json)], as_json)


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


for _view in VIEW_COMMANDS:
    commands.add_command(_view)


def _show(results: Sequence[dict[str, object]], as_json: bool) -> int:
    from marketbot_assets.commands.home import existing_lake

    lake = existing_lake()
    size, root = lake.ledger.head()
    if as_json:
        record = {"sessions": results, "ledger": {"size": size, "root": root}, "store_objects": lake.objects.count()}
        click.echo(json.dumps(record, sort_keys=True))
    else:
        click.echo(f"{'session':<12}{'state':<10}{'bars':>6}{'warned':>8}{'quarantined':>13}{'halts':>7}  reason")
        for row in results:
            counts = f"{row['bars']:>6}{row['warned']:>8}{row['quarantined']:>13}{row['halts']:>7}"
            click.echo(f"{row['session']:<12}{row['state']:<10}{counts}  {row['reason']}")
        click.echo(f"ledger: {size} entries, root {root[:16]}; store: {lake.objects.count()} objects in {lake.home}")
    return 0 if all(row["good"] for row in results) else 1


def main() -> None:
    """Entry point of the installed command."""
    prepare_environment()
    try:
        code = commands.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = 2
    except click.ClickException as error:
        click.echo(f"marketbot: {error.format_message()}", err=True)
        code = 2
    except (SetupError, HomeError) as error:
        click.echo(f"marketbot: {error}", err=True)
        code = 2
    except MarketbotError as error:
        click.echo(f"marketbot: {error}", err=True)
        code = 1
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
