"""The command group `store`: arguments, one JSON object or lines for people, the exit code. Nothing is decided here."""

import click

from marketbot_assets.commands.views_cli import JSON, made, shown


@click.group()
def store() -> None:
    """Where the store's objects lie, whether all are there, and how they move to a bucket."""


@store.command()
@JSON
def status(as_json: bool) -> int:
    """Where the objects lie, how many and how large, and the cache of a bucket."""
    from marketbot_assets.commands.store import store_status, store_status_lines

    shown(made(store_status), store_status_lines, as_json)
    return 0


@store.command()
@JSON
def fsck(as_json: bool) -> int:
    """Objects that nothing names, and names without an object; `marketbot verify` hashes them, too."""
    from marketbot_assets.commands.store import fsck as look
    from marketbot_assets.commands.store import fsck_lines

    view = made(look)
    shown(view, fsck_lines, as_json)
    return 0 if view["fine"] else 1


@store.command()
@click.option("--to", "address", required=True, help="s3://bucket/prefix, or home for the folder in the home.")
@JSON
def copy(address: str, as_json: bool) -> int:
    """Copy every object to another place; what was interrupted goes on, nothing is taken away."""
    from marketbot_assets.commands.store import copy_lines, copy_to

    view = made(lambda: copy_to(address))
    shown(view, copy_lines, as_json)
    return 0 if view["fine"] else 1
