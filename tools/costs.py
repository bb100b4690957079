"""Writes the tables of docs/costs.md from the prices in `marketbot_assets/commands/prices.yaml`.

Usage: python tools/costs.py. `tests/commands/test_cost.py` compares the page with this, and works the sums out by itself.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import cast

from marketbot_assets.commands.cost import price, price_table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "costs.md"
DISK_GB, STORE_GB, PUTS_PER_SESSION, HOURS_PER_SESSION, SIGNALS = 20, 1, 120, 1, 501
DATABASE_GB, HEAVY_VCPU, HEAVY_GB = 20, 4, 16
VARIANTS = ("a: t3.micro + RDS", "b: t4g.small", "c: t4g.small for its sessions")
FREE = "CloudWatch, Lambda, Scheduler, SNS e-mail, SSM standard parameters, budget"
FREE_WHY = "0 within AWS's always-free amounts: at most 10 alarms, one metric of our own"
Row = tuple[str, tuple[Decimal | None, ...]]


def prices() -> str:
    """Every price with its date and source."""
    table = cast("Mapping[str, Mapping[str, object]]", price_table()["prices"])
    rows = [
        f"| {one['what']} | {one['usd']} | {one['date']} | {one['source'] if one['source'] != 'none' else 'none looked up'} |"
        for one in table.values()
    ]
    return "\n".join(["| price | US dollars | as of | source |", "|---|---|---|---|", *rows])


def parts() -> list[Row]:
    """What a month of each variant is made of, US dollars; None: the variant has none of it."""
    month, sessions = (Decimal(str(price_table()[name])) for name in ("month_hours", "sessions_per_month"))
    hours = (month, month, sessions * HOURS_PER_SESSION)
    machine = ("t3_micro_hour", "t4g_small_hour", "t4g_small_hour")
    store = STORE_GB * price("s3_gb_month") + sessions * PUTS_PER_SESSION / 1000 * price("s3_put_1000")
    database = month * price("rds_t4g_micro_hour") + DATABASE_GB * price("rds_gp3_gb_month")
    return [
        ("machine", tuple(n * price(name) for n, name in zip(hours, machine, strict=True))),
        ("public IPv4", tuple(n * price("ipv4_hour") for n in hours)),
        ("disk (EBS)", (DISK_GB * price("ebs_gp3_gb_month"),) * 3),
        ("RDS machine, storage", (database, None, None)),
        ("S3 storage, puts", (store,) * 3),
    ]


def months() -> str:
    """The table of the variants."""
    sessions = Decimal(str(price_table()["sessions_per_month"]))
    rows = parts()
    total = tuple(sum((one[n] or Decimal(0) for _, one in rows), Decimal(0)) for n in range(len(VARIANTS)))
    signals = sessions * SIGNALS / 1_000_000 * price("dynamodb_write_million")
    heavy = HEAVY_VCPU * price("fargate_arm_vcpu_hour") + HEAVY_GB * price("fargate_arm_gb_hour")
    return "\n".join(
        [
            "| | " + " | ".join(VARIANTS) + " |",
            "|---" * (len(VARIANTS) + 1) + "|",
            *(_row(name, values) for name, values in rows),
            f"| {FREE} | {FREE_WHY} | 0 | 0 |",
            "| **month** | " + " | ".join(f"**{_cents(usd)}**" for usd in total) + " |",
            _row("signals of 500 instruments (option)", (signals,) * 3),
            _row(f"Fargate, one heavy run of an hour ({HEAVY_VCPU} vCPU, {HEAVY_GB} GB)", (heavy,) * 3),
        ]
    )


def _row(name: str, values: tuple[Decimal | None, ...]) -> str:
    return f"| {name} | " + " | ".join("-" if usd is None else _cents(usd) for usd in values) + " |"


def _cents(usd: Decimal) -> str:
    return str(usd.quantize(Decimal("0.01"), ROUND_HALF_UP))


def page(text: str) -> str:
    """The page with its tables anew: each stands between a line that begins it and one that ends it."""
    for name, table in (("prices", prices()), ("months", months())):
        begin, end = f"<!-- {name}: python tools/costs.py -->\n", f"\n<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"expected the lines that begin and end {name} in {PAGE.name}, found none")
        text = before + begin + table + end + after
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
