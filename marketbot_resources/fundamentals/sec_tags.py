"""Which XBRL tags make each figure, in the order in which they are preferred. Facts only.

A recipe is a sum of tags: all of `plus` and `minus` must be stated by the same filing for the same period; of each group in `extra`
the first that is stated is added and none counts as 0, because a filer without such debt states no such tag.
Parts of one figure are never taken from two filings, and figures of two recipes are never added or subtracted.
"""

from dataclasses import dataclass
from itertools import product

POINT, FLOW = "point", "flow"
SHARES = "shares"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to state a figure."""

    plus: tuple[str, ...]
    minus: tuple[str, ...] = ()
    extra: tuple[tuple[str, ...], ...] = ()

    @property
    def tags(self) -> tuple[str, ...]:
        """Every tag that may take part."""
        return (*self.plus, *self.minus, *(tag for group in self.extra for tag in group))


@dataclass(frozen=True, slots=True)
class Figure:
    """One field of raw_fundamentals. `kind`: state at a date or flow over a period; `unit`: SHARES, or empty for a currency."""

    field: str
    kind: str
    recipes: tuple[Recipe, ...]
    unit: str = ""


def _first(*tags: str) -> tuple[Recipe, ...]:
    return tuple(Recipe((tag,)) for tag in tags)


def _less(gains: tuple[str, ...], costs: tuple[str, ...]) -> tuple[Recipe, ...]:
    return tuple(Recipe((gain,), (cost,)) for gain, cost in product(gains, costs))


_REVENUE = (
    "us-gaap:RevenueFromContractWithCustomerExcludingAssessedTax",
    "us-gaap:RevenueFromContractWithCustomerIncludingAssessedTax",
    "us-gaap:Revenues",
    "us-gaap:SalesRevenueNet",
)
_COST = ("us-gaap:CostOfRevenue", "us-gaap:CostOfGoodsAndServicesSold", "us-gaap:CostOfGoodsSold")
_SHORT = (("us-gaap:ShortTermBorrowings", "us-gaap:CommercialPaper"),)
_CONVERTIBLE = (("us-gaap:ConvertibleDebtCurrent", "us-gaap:ConvertibleNotesPayableCurrent"), *_SHORT)

FIGURES = (
    Figure(
        "EQUITY",
        POINT,
        _first(
            "us-gaap:StockholdersEquity",
            "ifrs-full:EquityAttributableToOwnersOfParent",
            "us-gaap:StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest",
            "ifrs-full:Equity",
        ),
    ),
    Figure("TOTAL_ASSETS", POINT, _first("us-gaap:Assets", "ifrs-full:Assets")),
    Figure(
        "TOTAL_DEBT",
        POINT,
        (
            Recipe(("us-gaap:DebtLongtermAndShorttermCombinedAmount",)),
            Recipe(("us-gaap:LongTermDebtNoncurrent", "us-gaap:DebtCurrent")),
            Recipe(("us-gaap:LongTermDebtNoncurrent", "us-gaap:LongTermDebtCurrent"), extra=_SHORT),
            Recipe(("us-gaap:LongTermDebt",), extra=_SHORT),
            Recipe(("us-gaap:LongTermDebtNoncurrent",), extra=_SHORT),
            Recipe(("us-gaap:ConvertibleDebtNoncurrent",), extra=_CONVERTIBLE),
            Recipe(("us-gaap:ConvertibleNotesPayableNoncurrent",), extra=_CONVERTIBLE),
            Recipe(("ifrs-full:Borrowings",)),
            Recipe(("ifrs-full:LongtermBorrowings", "ifrs-full:ShorttermBorrowings")),
            Recipe(
                (
                    "ifrs-full:NoncurrentPortionOfNoncurrentBorrowings",
                    "ifrs-full:CurrentBorrowingsAndCurrentPortionOfNoncurrentBorrowings",
                )
            ),
        ),
    ),
    Figure(
        "NET_INCOME",
        FLOW,
        _first(
            "us-gaap:NetIncomeLoss",
            "ifrs-full:ProfitLossAttributableToOwnersOfParent",
            "us-gaap:ProfitLoss",
            "ifrs-full:ProfitLoss",
        ),
    ),
    Figure(
        "GROSS_PROFIT",
        FLOW,
        (
            *_first("us-gaap:GrossProfit", "ifrs-full:GrossProfit"),
            *_less(_REVENUE, _COST),
            *_less(("ifrs-full:Revenue",), ("ifrs-full:CostOfSales",)),
        ),
    ),
    Figure(
        "SHARES",
        POINT,
        _first(
            "dei:EntityCommonStockSharesOutstanding",
            "us-gaap:CommonStockSharesOutstanding",
            "ifrs-full:NumberOfSharesOutstanding",
        ),
        SHARES,
    ),
)
TAGS = tuple(sorted({tag for figure in FIGURES for recipe in figure.recipes for tag in recipe.tags}))
