"""The command `signals`: arguments, one JSON object or lines for people, the exit code. Nothing is decided here."""

import click

from marketbot_assets.commands.views_cli import JSON, made, shown


@click.command()
@click.option("--session", help="A session like 2018-12-24; default: the newest that was decided and has ended.")
@click.option("--publish", "publishes", is_flag=True, help="Put them into the table, once more after a failure.")
@JSON
def signals(session: str | None, publishes: bool, as_json: bool) -> int:
    """What a session tells readers outside: score and target of each instrument, with their origin."""
    from marketbot_assets.commands.signals import signal_lines, signals_now

    view = made(lambda: signals_now(session, publishes))
    shown(view, signal_lines, as_json)
    return 0 if view["fine"] else 1
