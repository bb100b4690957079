"""The command group `llm`: arguments, one JSON object or lines for people, the exit code. Nothing is decided here."""

import click

from marketbot_assets.commands.views_cli import JSON, made, shown


@click.group()
def llm() -> None:
    """The language models that the mandate names: what they said and cost, and whether they are still the same."""


@llm.command()
@click.option("--last", type=click.IntRange(min=1), default=20, show_default=True, help="How many sessions to look at.")
@JSON
def status(last: int, as_json: bool) -> int:
    """The chain, keys, the day's budget, tries and cost per session, rates, the last incidents."""
    from marketbot_assets.commands.llm import status_lines, status_now

    shown(made(lambda: status_now(last)), status_lines, as_json)
    return 0


@llm.command()
@click.option("--model", "name", help="This model of the chain alone, by its name; default: all of them.")
@JSON
def probe(name: str | None, as_json: bool) -> int:
    """Ask the twenty golden prompts and record what is said, to be compared with when the version changes."""
    from marketbot_assets.commands.llm import probe_lines, probe_now

    view = made(lambda: probe_now(name))
    shown(view, probe_lines, as_json)
    return 0 if view["fine"] else 1
