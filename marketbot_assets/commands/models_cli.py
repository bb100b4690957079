"""The command group `models`: arguments, one JSON object or lines for people, the exit code. Nothing is decided here."""

import click

from marketbot_assets.commands.views_cli import JSON, made, shown

SLOT = click.option("--slot", default="return_model", show_default=True, help="The place that the model fills.")


@click.group()
def models() -> None:
    """Models and their states: which decides, which waits, and by which tests one was promoted or refused."""


@models.command("list")
@JSON
def list_(as_json: bool) -> int:
    """Every slot with its models, what is in force, and how many trials stand behind it."""
    from marketbot_assets.commands.models import list_lines, list_now

    shown(made(list_now), list_lines, as_json)
    return 0


@models.command()
@click.argument("spec")
@SLOT
@JSON
def show(spec: str, slot: str, as_json: bool) -> int:
    """A specification, its card, its fits and every event. SPEC: a unique beginning of its hash."""
    from marketbot_assets.commands.models import show_lines, show_now

    view = made(lambda: show_now(slot, spec))
    shown(view, show_lines, as_json)
    return 0 if view["fine"] else 1


@models.command()
@click.argument("spec")
@SLOT
@click.option("--check", is_flag=True, help="Show every test; change and record nothing.")
@JSON
def promote(spec: str, slot: str, check: bool, as_json: bool) -> int:
    """Give a model its next state, if every test of the rule passes. SPEC: a unique beginning of its hash."""
    from marketbot_assets.commands.models import promote_lines, promote_now

    view = made(lambda: promote_now(slot, spec, check=check))
    shown(view, promote_lines, as_json)
    return 0 if view["promoted"] else 1


@models.command()
@SLOT
@click.option("--fit", default="", help="An accepted fit of a champion, by a unique beginning of its hash.")
@click.option("--reason", required=True, help="Why, for the ledger.")
@JSON
def rollback(slot: str, fit: str, reason: str, as_json: bool) -> int:
    """Point to an earlier fit: the one named, else the champion's before this one, else the champion before it."""
    from marketbot_assets.commands.models import rollback_lines, rollback_now

    shown(made(lambda: rollback_now(slot, fit, reason)), rollback_lines, as_json)
    return 0


@models.command()
@click.argument("family", type=click.Choice(("ewma_momentum", "ridge", "boosting", "ensemble")))
@SLOT
@click.option("--window", type=click.IntRange(min=63), help="Newest sessions that a fit sees; all of them without.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of what a family draws.")
@JSON
def fit(family: str, slot: str, window: int | None, seed: int, as_json: bool) -> int:
    """Fit a forecast family on what the home knows, try it out of sample, and record it as a candidate."""
    from marketbot_assets.commands.models_fit import fit_lines, fit_now

    view = made(lambda: fit_now(family, slot, window, seed))
    shown(view, fit_lines, as_json)
    return 0 if view["accepted"] else 1
