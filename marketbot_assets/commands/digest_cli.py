"""The command `digest`: arguments, and which form is printed. Nothing is decided here."""

import click

from marketbot_assets.commands.views_cli import JSON, made, shown


@click.command()
@click.option("--session", help="The session, like 2018-12-24; default: the newest that has ended.")
@click.option("--weekly", is_flag=True, help="The sessions of its ISO week up to it.")
@click.option("--text", "form", flag_value="text", default=True, help="Text, as in a mail (the default).")
@click.option("--html", "form", flag_value="html", help="An HTML page with plots.")
@JSON
def digest(session: str | None, weekly: bool, form: str, as_json: bool) -> int:
    """What a session or a week was, in forty lines: profit, orders, limits, breaches, incidents, costs, what is not known."""
    from marketbot_assets.commands.digest import digest_lines, digest_now

    view = made(lambda: digest_now(session, weekly=weekly))
    if form == "html" and not as_json:
        click.echo(view["html"])
    else:
        shown(view, digest_lines, as_json)
    return 0
