"""The commands `backup` and `restore`: arguments, one JSON object or lines for people, the exit code."""

import click

from marketbot_assets.commands.views_cli import JSON, made, shown


@click.command()
@click.option("--to", required=True, help="A new or empty folder outside of the home.")
@JSON
def backup(to: str, as_json: bool) -> int:
    """Copy the installation to a folder and verify the copy; between runs. The signer's key is not in it."""
    from marketbot_assets.commands.backup import backup as make
    from marketbot_assets.commands.backup import backup_lines

    view = made(lambda: make(to))
    shown(view, backup_lines, as_json)
    return 0 if view["fine"] else 1


@click.command()
@click.option("--from", "source", required=True, help="The folder of a backup.")
@JSON
def restore(source: str, as_json: bool) -> int:
    """Put a backup into an empty home and empty databases, and halt it until someone has looked and resumes."""
    from marketbot_assets.commands.backup import restore as put
    from marketbot_assets.commands.backup import restore_lines

    view = made(lambda: put(source))
    shown(view, restore_lines, as_json)
    return 1 if view["signer"] else 0
