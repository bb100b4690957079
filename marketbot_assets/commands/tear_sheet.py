"""`backtest A B --html FILE`: the newest stored backtest as a page, with its evidence. Not here: the run (`backtest`), the numbers
(`research.tear_sheet`), the page (`research.tear_sheet_page`).
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.drift import write_page
from marketbot_assets.commands.home import existing_lake, load_mandate
from marketbot_resources import settings
from marketbot_resources.errors import MarketbotError
from marketbot_resources.store.index import STATIC

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.research.tear_sheet_page import About
    from marketbot_resources.mandate import Mandate
    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.lake import Lake

ASSET = "backtest"
SHOWN = (
    *(
        "total_return",
        "return_per_year",
        "benchmark_return",
        "excess",
        "volatility",
        "sharpe",
        "sharpe_error",
        "sortino",
    ),
    *("drawdown_max", "beta", "tracking_error", "turnover_per_year"),
)
View = dict[str, object]
EMPTY: View = {"numbers": {}, "excess": [], "factors": [], "methods": [], "signals": {}, "path": None}
Tested = Sequence[tuple[str, str, str, bool | None]]


def write_tear_sheet(view: Mapping[str, object], page: str | None) -> View:
    """The headline numbers of the backtest whose hash `view` names, its attribution, and where its page was written.

    `view`: what `backtest` returned; its `tests`, if any, are rows of test, value, bound, passed; its `signals` the shares of
    scores. `page`: a file, or none.
    Raises MarketbotError when the store's newest backtest is another one or kept no details.
    """
    from marketbot_assets.backtest_details import details_of
    from marketbot_assets.research.tear_sheet import tear_sheet
    from marketbot_assets.research.tear_sheet_page import tear_sheet_page

    lake, mandate = existing_lake(), load_mandate()
    row = lake.index.newest(ASSET, STATIC)
    tables = {} if row is None else details_of(lake, row)
    if row is None or row.content_sha256 != view["content_sha256"] or not tables:
        raise MarketbotError("tear sheet: expected the backtest that was just stored, with its details; run it again")
    frame = lake.load(row)
    if len(frame) < 2:
        if page is not None:
            raise MarketbotError("tear sheet: expected at least two sessions, found one; choose a longer range")
        return dict(EMPTY)
    signals = cast("Mapping[str, tuple[float, float]]", view["signals"])
    sheet = tear_sheet(frame, tables, mandate.base_currency, signals)
    views = {"excess": sheet.excess(), "factors": sheet.factors(), "methods": sheet.methods()}
    found: View = {**EMPTY, "numbers": _plain(sheet.numbers), "signals": dict(sheet.signals)}
    found |= {name: [_plain(row) for row in rows] for name, rows in views.items()}
    if page is not None:
        told = _about(lake, row, mandate, tables, sheet.labels[-1], str(view["first_line"]))
        html = tear_sheet_page(sheet, told, cast("Tested", view["tests"]))
        found["path"] = str(write_page(page, html))
    return found


def _about(
    lake: "Lake", row: "IndexRow", mandate: "Mandate", tables: "Mapping[str, pd.DataFrame]", last: str, first_line: str
) -> "About":
    from marketbot_assets.backtest_details import named_details
    from marketbot_assets.model_trials import BACKTEST, trials
    from marketbot_assets.research.tear_sheet_page import About
    from marketbot_assets.risk.verdict import CONTROLS

    manifest, (size, root) = lake.manifest(row), lake.ledger.head()
    frame, bodies = lake.load(row), cast("Sequence[str]", manifest["blobs"])
    asked = str(manifest.get("last", last))
    held = tables["holdings"]
    hashes = [
        ("mandate, content", str(manifest["mandate_content_sha256"])),
        ("backtest, content", row.content_sha256),
        ("backtest, file", row.file_sha256),
        ("manifest", row.manifest_sha256),
        *((f"details: {name}", digest) for name, digest in sorted(named_details(lake, row).items())),
        (f"{len(bodies)} bodies as received, hash of their hashes", _digest(*sorted(bodies))),
        ("code of the research stage", str(manifest["code_version"])),
        (f"ledger of {size} entries, root", root),
    ]
    return About(
        first_line=first_line,
        mandate=f"mandate {settings.mandate_path().name}, account {mandate.account.id}",
        synthetic=bool(manifest.get("synthetic", True)),
        llm=str(frame["llm"].iloc[0]),
        volatility_target=mandate.volatility.target_per_year,
        participation=mandate.limits.participation.target,
        trials=len(trials(lake.ledger, BACKTEST)),
        hashes=hashes,
        names=dict(zip(held["instrument"].astype(str), held["ticker"].astype(str), strict=True)),
        controls={rule.id: rule.name for rule, _ in CONTROLS},
        described_later=int(str(manifest.get("described_later", 0))),
        ended="" if last >= asked else f"a halt of class C after {last}, of {asked}; an operator must re-arm",
    )


def tear_sheet_lines(view: Mapping[str, object]) -> list[str]:
    """The headline numbers for people, and where the page is."""
    numbers = cast("Mapping[str, float | None]", view["numbers"])
    told = [(name, numbers[name]) for name in SHOWN if name in numbers]
    lines = [f"  {name:<24} {'n/a' if value is None else format(value, '12.4f')}" for name, value in told]
    for family, (share, _) in sorted(cast("Mapping[str, tuple[float, float]]", view["signals"]).items()):
        lines.append(f"  signal {family:<17} {share:12.4f}")
    return [*lines, f"page: {view['path']}"] if view["path"] else lines


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _plain(row: Mapping[str, object]) -> View:
    """The row with null for numbers that are not known."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }
