"""`marketbot cost`: what this installation stored and called, and what that is per month by list prices. Nothing is asked outside.

Bytes and objects are those of the index, requests are the bodies received, by provider, and the spend on language models is
what the ledger says of each call. A month is what a session has used on average, times the sessions of a month; prices stand in
`prices.yaml` with date and source. Not here: what a machine costs while it idles (docs/costs.md).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.home import existing_lake
from marketbot_assets.llm_budget import CALL
from marketbot_resources import settings
from marketbot_resources.errors import HomeError
from marketbot_resources.store.index import STATIC, BlobRow, IndexRow

if TYPE_CHECKING:
    from marketbot_resources.ledger.port import Ledger

View = dict[str, object]
PRICES = Path(__file__).with_name("prices.yaml")
GB = Decimal(1_000_000_000)
NOTHING = Decimal(0)
# A commit puts the object and its manifest; a body is one object.
PUTS_PER_COMMIT, PUTS_PER_BODY = 2, 1
PER_MONTH = ("bytes_added", "puts", "requests", "storage_usd", "puts_usd", "llm_usd")


@lru_cache(maxsize=1)
def price_table() -> Mapping[str, object]:
    """The file of prices. Raises HomeError when it is not what it should be: a price needs a number, a date and a source."""
    import yaml

    try:
        table = yaml.safe_load(PRICES.read_text(encoding="utf-8"))
        for one in table["prices"].values():
            given = Decimal(str(one["usd"]))
            if not (given.is_finite() and given >= 0 and one["date"] and one["source"]):
                raise ValueError("a price")
        if int(table["sessions_per_month"]) <= 0 or int(table["month_hours"]) <= 0:
            raise ValueError("a month")
    except (OSError, KeyError, TypeError, ValueError, ArithmeticError, yaml.YAMLError) as error:
        raise HomeError(
            f"cost: expected prices in {PRICES}, found: {type(error).__name__}; restore the file"
        ) from error
    return cast("Mapping[str, object]", table)


def price(name: str) -> Decimal:
    """One list price in US dollars. Raises HomeError for a name that the table does not have."""
    prices = cast("Mapping[str, Mapping[str, object]]", price_table()["prices"])
    if name not in prices:
        raise HomeError(f"cost: expected a price {name} in {PRICES}, found none; restore the file")
    return Decimal(str(prices[name]["usd"]))


def cost_now(last: int) -> View:
    """What was stored and called in all, in the newest `last` sessions, and per month. Raises UsageError without a home."""
    lake = existing_lake()
    rows = [row for _, row in lake.index.numbered()]
    bodies = [row for _, row in lake.index.numbered_blobs()]
    calls = llm_spend(lake.ledger)
    files = {path.name: path.stat().st_size for path in sorted(settings.home().glob("*.sqlite"))}
    return {**counted(rows, bodies, calls, last), "files": files}


def counted(
    rows: Sequence[IndexRow], bodies: Sequence[BlobRow], calls: Mapping[str, tuple[int, Decimal]], last: int
) -> View:
    """The view, from index rows, descriptions of bodies and calls of models by session or day. `last`: sessions shown."""
    objects = {(row.asset, row.part, row.file_sha256): row.bytes for row in rows}
    blobs = {row.blob_sha256: row.bytes for row in bodies}
    parts = sorted({row.part for row in rows} - {STATIC})
    sessions = [_session(part, rows, bodies) for part in parts[-last:]]
    spent = sum((usd for _, usd in calls.values()), NOTHING)
    return {
        "bytes": {"tables": sum(objects.values()), "bodies": sum(blobs.values())},
        "objects": {"tables": len(objects), "bodies": len(blobs)},
        "bytes_by_asset": dict(sorted(_summed((asset, size) for (asset, _, _), size in objects.items()).items())),
        "requests_by_provider": dict(sorted(Counter(row.provider for row in bodies).items())),
        "sessions_stored": len(parts),
        "sessions": sessions,
        "llm": {"calls": sum(count for count, _ in calls.values()), "usd": spent, "days": len(calls)},
        "month": month(sessions, objects=sum(objects.values()) + sum(blobs.values()), calls=calls),
        "prices": price_table()["prices"],
    }


def _session(part: str, rows: Sequence[IndexRow], bodies: Sequence[BlobRow]) -> View:
    own, received = [row for row in rows if row.part == part], [row for row in bodies if row.part == part]
    return {
        "session": part,
        "commits": len(own),
        "bytes": sum(row.bytes for row in own) + sum(row.bytes for row in received),
        "requests": dict(sorted(Counter(row.provider for row in received).items())),
        "puts": PUTS_PER_COMMIT * len(own) + PUTS_PER_BODY * len(received),
    }


def _summed(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    out: dict[str, int] = defaultdict(int)
    for name, size in pairs:
        out[name] += size
    return dict(out)


def month(sessions: Sequence[View], *, objects: int, calls: Mapping[str, tuple[int, Decimal]]) -> View:
    """A month at the rate of these sessions: bytes added, requests, US dollars; None where no session says anything.

    `objects`: bytes stored so far. Storage is priced for what lies there at the end of the month.
    """
    count = int(cast("int", price_table()["sessions_per_month"]))
    if not sessions:
        return {"sessions": count, **dict.fromkeys(PER_MONTH)}
    rate = Decimal(count) / Decimal(len(sessions))
    added = rate * sum(cast("int", one["bytes"]) for one in sessions)
    puts = rate * sum(cast("int", one["puts"]) for one in sessions)
    requests = rate * sum(sum(cast("Mapping[str, int]", one["requests"]).values()) for one in sessions)
    spent = sum((usd for _, usd in calls.values()), NOTHING)
    llm = Decimal(count) * spent / len(calls) if calls else NOTHING
    return {
        "sessions": count,
        "bytes_added": int(added),
        "puts": int(puts),
        "requests": int(requests),
        "storage_usd": _cents((Decimal(objects) + added) / GB * price("s3_gb_month")),
        "puts_usd": _cents(puts / 1000 * price("s3_put_1000")),
        "llm_usd": _cents(llm),
    }


def _cents(usd: Decimal) -> Decimal:
    return usd.quantize(Decimal("0.0001"))


def llm_spend(ledger: "Ledger") -> dict[str, tuple[int, Decimal]]:
    """Day -> (calls, US dollars) of language models, as the ledger has them. Keys of calls are REQUEST/DAY/n."""
    out: dict[str, tuple[int, Decimal]] = {}
    for entry in ledger.entries(CALL):
        day = entry.key.split("/")[1]
        count, usd = out.get(day, (0, NOTHING))
        out[day] = count + 1, usd + Decimal(str(entry.body["cost_usd"]))
    return dict(sorted(out.items()))


def cost_lines(view: View) -> list[str]:
    """For people."""
    size, number = cast("Mapping[str, int]", view["bytes"]), cast("Mapping[str, int]", view["objects"])
    lines = [f"{'stored':<10} {number[kind]:>8} {kind:<7} {_mb(size[kind])}" for kind in size]
    biggest = sorted(cast("Mapping[str, int]", view["bytes_by_asset"]).items(), key=lambda one: (-one[1], one[0]))[:5]
    lines.append(f"{'largest':<10} " + ", ".join(f"{asset} {_mb(n)}" for asset, n in biggest))
    lines += [f"{'file':<10} {name}  {_mb(n)}" for name, n in cast("Mapping[str, int]", view["files"]).items()]
    for one in cast("Sequence[View]", view["sessions"]):
        asked = ", ".join(f"{name} {n}" for name, n in cast("Mapping[str, int]", one["requests"]).items()) or "none"
        lines.append(f"{one['session']}  {one['commits']} objects, {_mb(cast('int', one['bytes']))}, requests: {asked}")
    llm, per = cast("Mapping[str, object]", view["llm"]), cast("Mapping[str, object]", view["month"])
    lines.append(f"{'models':<10} {llm['calls']} calls, {llm['usd']} USD on {llm['days']} days")
    if per["bytes_added"] is None:
        return [*lines, f"{'month':<10} no session yet"]
    lines.append(
        f"{'month':<10} {per['sessions']} sessions: {_mb(cast('int', per['bytes_added']))} and {per['puts']} puts more, "
        f"{per['requests']} requests; S3 {per['storage_usd']} USD to keep, {per['puts_usd']} USD to put; "
        f"models {per['llm_usd']} USD"
    )
    prices = cast("Mapping[str, Mapping[str, object]]", view["prices"])
    used = ", ".join(
        f"{name} {prices[name]['usd']} ({prices[name]['date']})" for name in ("s3_gb_month", "s3_put_1000")
    )
    return [*lines, f"{'prices':<10} {price_table()['region']}, list prices: {used}; the machine itself: docs/costs.md"]


def _mb(size: int) -> str:
    return f"{size / 1e6:.2f} MB"
