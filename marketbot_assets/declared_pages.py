"""The asset page of the declared features: how they were made, what is known of each group. Not here: their formulas."""

from typing import TYPE_CHECKING

from marketbot_assets.markdown_text import cell
from marketbot_assets.pages import Shows, markdown, picture

if TYPE_CHECKING:
    from marketbot_assets.declared_features import Made


def declared(made: "Made") -> Shows:
    """How the session was made, per group how many features there are and which share of their values is known, the least known."""
    from marketbot_assets.audit.charts import bar_chart
    from marketbot_assets.features.declared_set import declared as every

    names = [feature.name for feature in every()]
    known = made.frame[names].notna().mean() if len(made.frame) else made.frame[names].notna().sum() * 1.0
    groups: dict[str, list[str]] = {}
    for feature in every():
        groups.setdefault(feature.group, []).append(feature.name)
    shares = [(group, float(known[own].mean())) for group, own in sorted(groups.items())]
    lines = ["| group | features | known | least known |", "|---|---|---|---|"]
    for group, share in shares:
        own = groups[group]
        least = min(own, key=lambda name: (known[name], name))
        lines.append(f"| {cell(group)} | {len(own)} | {share:.1%} | {cell(least)} {known[least]:.0%} |")
    return {
        "made": made.how,
        "state": f"kept in {len(made.blobs)} bodies" if made.blobs else "not kept of this session",
        "declared features": len(names),
        "version": str(made.facts["features_version"])[:16],
        "groups": markdown(lines),
        "known values": picture(bar_chart("Known values by group", shares, unit="%")),
    }
