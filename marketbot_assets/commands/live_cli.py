"""The command group `live`: arguments, one JSON object or lines for people, the exit code. Nothing is decided here."""

import click

from marketbot_assets.commands.views_cli import JSON, REASON, made, shown


@click.group()
def live() -> None:
    """Whether live money may move: enable it for days, disable it at once, show where it stands."""


@live.command()
@click.option("--days", type=click.IntRange(1, 7), required=True, help="For how long, at most 7.")
@REASON
@JSON
def enable(days: int, reason: str | None, as_json: bool) -> int:
    """Record and sign that the mandate's live account may be traded from the next session on."""
    from marketbot_assets.commands.live import enable_lines, enable_now

    shown(made(lambda: enable_now(days, reason)), enable_lines, as_json)
    return 0


@live.command()
@REASON
@JSON
def disable(reason: str | None, as_json: bool) -> int:
    """Record that live money may not move any more; it counts before the next order."""
    from marketbot_assets.commands.live import disable_lines, disable_now

    shown(made(lambda: disable_now(reason)), disable_lines, as_json)
    return 0


@live.command()
@JSON
def show(as_json: bool) -> int:
    """Whose money the next session may move and why, and every record."""
    from marketbot_assets.commands.live import show as look
    from marketbot_assets.commands.live import show_lines

    shown(made(look), show_lines, as_json)
    return 0
