"""The command `parity`: arguments, one JSON object or lines for people, the exit code. Nothing is decided here."""

import click

from marketbot_assets.commands.views_cli import JSON, made, shown
from marketbot_resources.errors import UsageError


@click.command()
@click.argument("first", required=False)
@click.argument("last", required=False)
@click.option("--html", "page", metavar="FILE", help="Write one HTML page to this file.")
@JSON
def parity(first: str | None, last: str | None, page: str | None, as_json: bool) -> int:
    """Compare live sessions with their backtest on the data as known now; without a range what was never compared."""
    from marketbot_assets.commands.home import writable_home
    from marketbot_assets.commands.parity import parity_lines, parity_now
    from marketbot_assets.commands.sessions import sessions_from

    if (first is None) != (last is None):
        raise UsageError("parity: expected the first and the last session, found no whole range; give both or neither")
    days = None if first is None or last is None else sessions_from(first, last)
    writable_home()
    view = made(lambda: parity_now(days[0] if days else None, days[-1] if days else None, page))
    shown(view, parity_lines, as_json)
    return 1 if view["unexplained"] else 0
