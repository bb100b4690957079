"""The command group `alerts`: arguments, one JSON object or lines for people, the exit code. Nothing is decided here."""

import click

from marketbot_assets.commands.views_cli import JSON, made, shown


@click.group()
def alerts() -> None:
    """What went wrong and whether somebody was told; a test of the channels."""


@alerts.command(name="list")
@click.option("--last", type=click.IntRange(min=1), default=20, show_default=True, help="How many alerts to show.")
@JSON
def list_(last: int, as_json: bool) -> int:
    """The channels, the newest alerts with their acknowledgement, what is not acknowledged, the last heartbeat."""
    from marketbot_assets.commands.alerts import alert_lines, alerts_now

    view = made(lambda: alerts_now(last))
    shown(view, alert_lines, as_json)
    return 0 if view["fine"] else 1


@alerts.command()
@click.option("--channel", "name", help="This channel alone, by its name; default: every channel of the mandate.")
@JSON
def test(name: str | None, as_json: bool) -> int:
    """Send a synthetic alert now and tell the acknowledgement."""
    from marketbot_assets.commands.alerts import test_channels, test_lines

    view = made(lambda: test_channels(name))
    shown(view, test_lines, as_json)
    return 0 if view["fine"] else 1
