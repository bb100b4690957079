"""The command `sweep`: arguments, one JSON object or lines for people, the exit code. Nothing is decided here."""

import click

from marketbot_assets.commands.views_cli import JSON, made, shown


@click.command()
@click.argument("grid", required=False)
@click.option("--workers", type=click.IntRange(1, 512), default=1, show_default=True, help="Processes of this machine.")
@click.option("--dask", metavar="ADDRESS", help="A Dask scheduler that is there: tcp://HOST:PORT or tls://HOST:PORT.")
@click.option(
    "--refetch", is_flag=True, help="Ask the providers again instead of using the bodies of an earlier sweep."
)
@click.option("--html", "page", metavar="FILE", help="Write one HTML page to this file.")
@JSON
def sweep(grid: str | None, workers: int, dask: str | None, refetch: bool, page: str | None, as_json: bool) -> int:
    """Backtests of every point of a GRID file side by side; without one the newest stored sweep. Stored points run no more."""
    from marketbot_assets.commands.home import writable_home
    from marketbot_assets.commands.sweep import place_of, read_grid, run_sweep, sweep_lines, sweep_now

    if grid is not None:
        where = place_of(workers, dask)
        text, mandates = read_grid(grid)
        writable_home()
        run_sweep(text, mandates, where, refetch=refetch)
    shown(made(lambda: sweep_now(page)), sweep_lines, as_json)
    return 0
