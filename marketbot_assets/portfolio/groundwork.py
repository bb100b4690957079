"""What the target and the plan of one session both start from, worked out once. Pure.

Not here: how facts and limits come about (`facts`, `limits`).
"""

from dataclasses import dataclass

from marketbot_assets.portfolio.bounds import to_cash
from marketbot_assets.portfolio.facts import Facts, facts_of, nav_known
from marketbot_assets.portfolio.inputs import PortfolioInputs
from marketbot_assets.portfolio.limits import LimitSet, limit_set
from marketbot_resources.mandate import Mandate


@dataclass(frozen=True, slots=True)
class Groundwork:
    """Facts and limits of `inputs` without views of a language model. `limits`: None where the session optimizes nothing."""

    inputs: PortfolioInputs
    facts: Facts
    limits: LimitSet | None


def groundwork_of(inputs: PortfolioInputs, mandate: Mandate) -> Groundwork:
    """The groundwork of these inputs; whoever is given it gives the same answer as without it."""
    plain = inputs.without_views()
    facts = facts_of(plain, mandate)
    optimizes = nav_known(plain) and plain.rebalance and not to_cash(plain)
    return Groundwork(inputs, facts, limit_set(plain, facts, mandate) if optimizes else None)
