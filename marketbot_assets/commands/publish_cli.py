"""The command `publish`: arguments, one JSON object or lines for people, the exit code."""

import click

from marketbot_assets.commands.views_cli import JSON, made, shown


@click.command()
@click.option("--to", required=True, help="A folder or s3://bucket/prefix beside the store.")
@click.option("--assets", default="", help="Names, separated by commas; default: all.")
@click.option("--link", is_flag=True, help="Hard links instead of copies, on the store's own disk.")
@JSON
def publish(to: str, assets: str, link: bool, as_json: bool) -> int:
    """Bring Delta tables of the newest stored versions up to date, for Spark, Trino, Athena, DuckDB; between runs."""
    from marketbot_assets.commands.publish import publish as bring
    from marketbot_assets.commands.publish import publish_lines

    names = [name.strip() for name in assets.split(",") if name.strip()]
    view = made(lambda: bring(to, names, link=link))
    shown(view, publish_lines, as_json)
    return 0 if view["fine"] else 1
