"""The command `audit-ui`: its arguments and its exit code."""

import click

from marketbot_assets.commands.views_cli import JSON


@click.command("audit-ui")
@click.option("--port", type=click.IntRange(0, 65_535), default=3001, show_default=True, help="Port 0: a free one.")
@JSON
def audit_ui(port: int, as_json: bool) -> int:
    """Serve Dagster's pages read-only, of a copy, on 127.0.0.1, for auditors. SIGTERM stops it."""
    from marketbot_assets.commands.audit_ui import audit_ui as serve

    return serve(port, as_json=as_json)
