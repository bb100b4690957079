"""The command `factors`: arguments, one JSON object or lines for people, the exit code. Nothing is decided here."""

import click

from marketbot_assets.commands.views_cli import JSON, made, shown
from marketbot_resources.errors import UsageError


@click.command()
@click.argument("first", required=False)
@click.argument("last", required=False)
@click.option(
    "--declared", multiple=True, metavar="NAME", help="Declared features, too: a name, a group, or `declared`."
)
@click.option("--html", "page", metavar="FILE", help="Write one HTML page to this file.")
@JSON
def factors(first: str | None, last: str | None, declared: tuple[str, ...], page: str | None, as_json: bool) -> int:
    """What every score was worth over the sessions FIRST to LAST; without a range the newest stored evaluation."""
    from marketbot_assets.commands.factors import evaluate_range, factors_lines, factors_now
    from marketbot_assets.commands.home import writable_home
    from marketbot_assets.commands.sessions import sessions_from

    if first is not None and last is not None:
        days = sessions_from(first, last)
        writable_home()
        evaluate_range(days[0], days[-1], declared)
    elif first is not None or declared:
        raise UsageError("factors: expected the first and the last session, found no whole range; give both or neither")
    shown(made(lambda: factors_now(page)), factors_lines, as_json)
    return 0
