"""The command group `token` and the command `serve`: arguments, one JSON object or lines for people, the exit code."""

import click

from marketbot_assets.commands.views_cli import JSON, made, shown


@click.group()
def token() -> None:
    """Tokens for the HTTP interface: a token is shown once, when it is made."""


@token.command()
@click.argument("name")
@click.option("--scope", type=click.Choice(["read", "operator"]), required=True, help="Look, or halt, too.")
@click.option("--days", type=click.IntRange(1, 366), default=90, show_default=True, help="How long it is good.")
@JSON
def create(name: str, scope: str, days: int, as_json: bool) -> int:
    """Make a token and show it, once. NAME: for whom or what it is."""
    from marketbot_assets.commands.token import create_lines, create_now

    shown(made(lambda: create_now(name, scope, days)), create_lines, as_json)
    return 0


@token.command("list")
@JSON
def list_(as_json: bool) -> int:
    """Every token's name, id, scope and end; never the token."""
    from marketbot_assets.commands.token import list_lines, list_now

    shown(made(list_now), list_lines, as_json)
    return 0


@token.command()
@click.argument("name")
@JSON
def revoke(name: str, as_json: bool) -> int:
    """End a token for good; the next request with it is refused. NAME: its name or id."""
    from marketbot_assets.commands.token import revoke_lines, revoke_now

    shown(made(lambda: revoke_now(name)), revoke_lines, as_json)
    return 0


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8787, show_default=True, help="Port 0: a free one.")
@click.option("--open", "beyond", is_flag=True, help="Allow an address that other machines reach, behind a proxy.")
@click.option("--name", "names", multiple=True, help="One more host name that requests may ask for; may be repeated.")
@click.option("--proxy", help="The address of the proxy whose word about the caller's address is believed.")
@click.option("--rate", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Requests per second each.")
@JSON
def serve(
    host: str, port: int, beyond: bool, names: tuple[str, ...], proxy: str | None, rate: int, as_json: bool
) -> int:
    """Serve status, decisions, orders, reports and pages by HTTP to whoever has a token. SIGTERM stops it."""
    from marketbot_assets.commands.serve import Listening
    from marketbot_assets.commands.serve import serve as listen

    return listen(Listening(host, port, beyond, names, proxy, rate), as_json=as_json)
