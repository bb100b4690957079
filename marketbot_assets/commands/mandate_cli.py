"""The command group `mandate`: arguments, one JSON object or lines for people, the exit code. Nothing is decided here."""

import click

from marketbot_assets.commands.views_cli import JSON, REASON, made, shown
from marketbot_resources.errors import UsageError


@click.group()
def mandate() -> None:
    """The mandate in force, a change of it, and what another one would have decided."""


@mandate.command()
@click.option("--text", is_flag=True, help="The mandate in force alone, as JSON, which a mandate file may be.")
@JSON
def show(text: bool, as_json: bool) -> int:
    """Version and hash, in force since when, what the file would change, and every change so far."""
    from marketbot_assets.commands.mandate import show as look
    from marketbot_assets.commands.mandate_text import show_lines

    view = made(look)
    if not text:
        shown(view, show_lines, as_json)
        return 0
    if view["text"] is None:
        raise UsageError("mandate: expected one in force, found none; the first session takes the file as it is")
    click.echo(view["text"])
    return 0


@mandate.command()
@REASON
@JSON
def approve(reason: str | None, as_json: bool) -> int:
    """Record and sign that the file may loosen the mandate from the next session on."""
    from marketbot_assets.commands.mandate import approve_now
    from marketbot_assets.commands.mandate_text import approve_lines

    shown(made(lambda: approve_now(reason)), approve_lines, as_json)
    return 0


@mandate.command()
@click.argument("other", required=False)
@click.option("--last", type=click.IntRange(min=0), default=250, show_default=True, help="How many decisions.")
@JSON
def diff(other: str | None, last: int, as_json: bool) -> int:
    """What another mandate changes, and which of the last decisions would have differed. OTHER: a file; default: the one to run."""
    from marketbot_assets.commands.mandate import diff as compare
    from marketbot_assets.commands.mandate_text import diff_lines

    view = made(lambda: compare(other, last, quiet=as_json))
    shown(view, diff_lines, as_json)
    return 1 if view["unread"] else 0
