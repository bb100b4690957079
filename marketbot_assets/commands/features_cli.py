"""The command group `features`: arguments, one JSON object or lines for people, the exit code. Nothing is decided here."""

import click

from marketbot_assets.commands.views_cli import JSON, shown


@click.group()
def features() -> None:
    """Declared features: formulas of the registry that no decision waits for."""


@features.command()
@click.argument("first")
@click.argument("last")
@click.option(
    "--workers",
    default="local",
    show_default=True,
    metavar="WHERE",
    help="Where a full build runs: processes:N, dask:N, ...",
)
@JSON
def build(first: str, last: str, workers: str, as_json: bool) -> int:
    """Store the declared features of the sessions FIRST to LAST, whose data are there; one run each, oldest first."""
    from marketbot_assets.commands.features import build_lines, build_range
    from marketbot_assets.commands.home import writable_home
    from marketbot_assets.commands.sessions import sessions_from

    days = sessions_from(first, last)
    writable_home()
    shown(build_range(days, workers, quiet=as_json), build_lines, as_json)
    return 0
