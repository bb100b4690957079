"""Tables that explain a decision on asset pages: what each name brings, what changed, what limits cost, what rounding cost.

Not here: the plots of target and plan (`pages`), the report (`audit`).
"""

from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    import pandas as pd

Shows = dict[str, dg.MetadataValue | str | int | float]
ROWS_SHOWN = 15
CAUSES = ("forecast", "risk", "limits", "holdings", "rest")


def kept(target: "pd.DataFrame") -> Shows:
    """Which limits are not kept as the mandate states them, and which exclude each other."""
    first = target.iloc[0]
    return {
        "eased limits": str(first["eased"]) or "none",
        "conflicting limits": str(first["conflicts"]) or "none",
    }


def explained(explanation: "pd.DataFrame", instruments: "pd.DataFrame") -> Shows:
    """What each name brings, what changed since the session before, and the price of each limit that binds."""
    names = explanation[explanation["kind"] == "INSTRUMENT"]
    labels = dict(zip(instruments["instrument"], instruments["mic"] + ":" + instruments["ticker"], strict=True))
    return {
        "volatility per year": float(names["risk_contribution"].sum()),
        "expected return per year": float(names["return_contribution"].sum()),
        "cost of trading": float(names["trade_cost"].sum()),
        "largest factor of live fills on costs": float(names["cost_multiple"].max()),
        "contributions": _contributions(names, labels),
        "change since the session before": _changes(names, labels),
        "gain per year were a limit 1 % looser": _prices(explanation),
    }


def tracking(plan: "pd.DataFrame") -> Shows:
    """What whole lots and cuts cost against the ideal weights, basis points of NAV per year."""
    if plan.empty:
        return {"tracking loss": "no orders"}
    first = plan.iloc[0]
    return {
        "utility lost to rounding, bp": float(first["utility_lost_bps"]),
        "active risk of rounding, bp": float(first["active_risk_bps"]),
    }


def _contributions(names: "pd.DataFrame", labels: dict[str, str]) -> dg.MetadataValue:
    order = names.assign(size=names["risk_contribution"].abs()).sort_values(
        ["size", "subject"], ascending=[False, True]
    )
    lines = [
        f"| {labels.get(row.subject, row.subject)} | {row.weight_after:.2%} | {row.return_contribution:.3%}"
        f" | {row.risk_contribution:.3%} | {row.trade_cost:.4%} |"
        for row in order[order["size"] > 0.0].head(ROWS_SHOWN).itertuples()
    ]
    return _table(("name", "weight", "expected return", "risk", "cost of the trade"), lines, "the book holds no risk")


def _changes(names: "pd.DataFrame", labels: dict[str, str]) -> dg.MetadataValue:
    if names["weight_yesterday"].isna().all():
        return dg.MetadataValue.md(str(names["change"].iloc[0]) if len(names) else "no names")
    columns = [f"change_{cause}" for cause in CAUSES]
    total = names[columns].sum(axis=1)
    moved = names.assign(total=total, size=total.abs()).sort_values(["size", "subject"], ascending=[False, True])
    lines = []
    for row in moved[moved["size"] > 0.0].head(ROWS_SHOWN).to_dict("records"):
        parts = " | ".join(f"{row[column]:+.2%}" for column in columns)
        lines.append(f"| {labels.get(row['subject'], row['subject'])} | {row['total']:+.2%} | {parts} |")
    return _table(("name", "change", *CAUSES), lines, "no target weight changed")


def _prices(explanation: "pd.DataFrame") -> dg.MetadataValue:
    rows = explanation[(explanation["kind"] == "LIMIT") & (explanation["dual"] > 0.0) & explanation["binding"]]
    rows = rows.sort_values(["price", "place"], ascending=[False, True]).head(ROWS_SHOWN)
    lines = [
        f"| {row['subject']} {str(row['name']).replace('|', '/')} | {row['price']:.5%} | {row['price_by_dual']:.5%}"
        f" | {row['price_return']:.5%} |"
        for row in rows.to_dict("records")
    ]
    return _table(("limit", "utility", "utility by the dual", "expected return"), lines, "no limit has a price")


def _table(heads: tuple[str, ...], lines: list[str], empty: str) -> dg.MetadataValue:
    head = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return dg.MetadataValue.md("\n".join([*head, *lines] if lines else [empty]))
