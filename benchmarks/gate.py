"""Ten thousand orders planned and ten thousand orders checked by the last-line gate: what one order costs.

python benchmarks/gate.py                   writes benchmarks/GATE.md
python benchmarks/gate.py --quick           two thousand orders; writes nothing
python benchmarks/gate.py --peer PYTHON     with NautilusTrader's RiskEngine, in the environment of that PYTHON

Orders are checked in batches as large as the gate allows. Planned means: from given target weights of a book of 200 names to
whole lots, limits, windows, currency legs, reasons and slices; the optimizer is not in it. The yardstick is a plain Python loop
that checks the same ceilings in floats. Every row is a fresh process, rows take turns. Not here: how a child is measured
(`measure`).
"""

import argparse
import datetime as dt
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from measure import CHECKOUT, SAID, Sample, median_said, run_child, say, table

RESULTS, PEER = Path(__file__).parent / "GATE.md", Path(__file__).parent / "gate_peer.py"
WHOLE, QUICK, REPETITIONS, BATCH = 10_000, 2_000, 3, 200
NOW = dt.datetime(2018, 12, 11, 23, 0, tzinfo=dt.UTC)


def batch_of(start: int) -> tuple[Any, ...]:
    """200 sound orders in different names: buys within a quarter of NAV, the rest sells, some of them slices of one parent."""
    from marketbot_resources.model import Kind, Order, OrderType, Side

    found = []
    for n in range(BATCH):
        buys, sliced = n % 4 == 0, n >= BATCH - 20
        name = BATCH - 20 if sliced else n
        found.append(
            Order(
                client_order_id=f"mb1-{start + n:026d}", session=NOW.date(), batch_no=1,
                leg=f"T{n - BATCH + 21}" if sliced else "T", kind=Kind.EQUITY, instrument=f"MB{name:010d}", mic="XNYS",
                side=Side.BUY if buys and not sliced else Side.SELL, quantity=Decimal(10 + n % 7),
                limit_price=Decimal("100.25") if buys and not sliced else Decimal("99.75"), currency="USD",
                send_from=NOW - dt.timedelta(minutes=5), send_until=NOW + dt.timedelta(hours=12),
                reason="towards the target", type=OrderType.LIMIT if sliced else OrderType.LIMIT_ON_OPEN,
            )
        )  # fmt: skip
    return tuple(found)


def facts_of(orders: Sequence[Any], open_orders: tuple[Any, ...] = ()) -> Any:
    """Facts under which the batch may be sent."""
    from marketbot_assets.execution.gate_facts import GateFacts
    from marketbot_resources.model import batch_sha256

    names = sorted({order.instrument for order in (*orders, *open_orders)})
    digest, shares = batch_sha256(orders), dict.fromkeys(names, Decimal(10_000))
    return GateFacts(
        session=NOW.date(), now=NOW, verdict="APPROVED", approved_sha256=digest, frozen_sha256=digest, halt_status="off",
        nav=1_000_000.0, reference_price=dict.fromkeys(names, 100.0), fx={"USD": 1.0}, price_age=dict.fromkeys(names, 0.0),
        decided_positions=shares, broker_positions=dict(shares), open_orders=open_orders, already_sent=frozenset(),
        known_instruments=frozenset(names), environment="paper", batch=tuple(orders), broker_at=NOW,
    )  # fmt: skip


def child_gate(count: str, kind: str) -> None:
    """Seconds inside the gate; `kind` open: as many orders in other names are open at the broker."""
    from marketbot_assets.execution.gate import faults
    from marketbot_resources.model import OpenOrder, Side

    others = [(f"mb1-open-{n}", f"MX{n:010d}", (Side.BUY, Side.SELL)[n % 2]) for n in range(BATCH)]
    working = tuple(OpenOrder(name, listing, side, Decimal(10), Decimal(100), "USD") for name, listing, side in others)
    spent = 0.0
    for start in range(0, int(count), BATCH):
        orders = batch_of(start)
        facts = facts_of(orders, working if kind == "open" else ())
        begun = time.process_time()
        found = faults(orders, facts)
        spent += time.process_time() - begun
        assert found == (), found[:3]
    say({"seconds": spent, "orders": int(count)})


def child_loop(count: str) -> None:
    """The yardstick: value, collar, window, side, free shares and totals of every order, in floats."""
    spent = 0.0
    for start in range(0, int(count), BATCH):
        orders = batch_of(start)
        plain = [
            (o.instrument, o.side.value, float(o.quantity), float(o.limit_price), o.send_from, o.send_until)
            for o in orders
        ]
        held = {name: 10_000.0 for name, *_ in plain}
        price = dict.fromkeys(held, 100.0)
        begun = time.process_time()
        assert plainly_sound(plain, held, price)
        spent += time.process_time() - begun
    say({"seconds": spent, "orders": int(count)})


def plainly_sound(orders: Sequence[tuple[Any, ...]], held: dict[str, float], price: dict[str, float]) -> bool:
    """What a few lines of floats would check; it trusts every fact that it reads."""
    buys = gross = 0.0
    for name, side, quantity, limit, begins, ends in orders:
        value = quantity * max(limit, price[name]) / 1e6
        sign = 1.0 if side == "BUY" else -1.0
        if not (value <= 0.07 and sign * (limit / price[name] - 1.0) <= 0.06 and begins <= NOW <= ends):
            return False
        if sign < 0 and quantity > held[name]:
            return False
        buys += value if sign > 0 else 0.0
        gross += value
    return buys <= 0.25 and gross <= 1.5 and len(orders) <= BATCH


def child_plan(count: str, kind: str) -> None:
    """Seconds inside the planner, from given targets; `kind` sliced: large orders become slices."""
    sys.path.insert(0, str(CHECKOUT / "tests" / "portfolio"))
    from conftest import random_inputs

    from marketbot_assets.portfolio.fallback import solve_target
    from marketbot_assets.portfolio.order_plan import plan_orders, to_orders
    from marketbot_assets.portfolio.slicing import slice_windows
    from marketbot_resources.alpaca_terms import ALPACA_CAPABILITIES
    from marketbot_resources.mandate import parse_mandate
    from marketbot_resources.mandate_execution import ExecutionRules

    text = (CHECKOUT / "mandate.yaml").read_text(encoding="utf-8")
    mandate = parse_mandate(text)
    if kind == "sliced":
        rules = {"targets": "limit", "slices": {"algorithm": "vwap", "from_value": 5_000, "count": 6}}
        mandate = mandate.model_copy(update={"execution": ExecutionRules.model_validate(rules)})
    cases = []
    for seed in range(8):
        inputs = random_inputs(seed, n=200, invested=0.6, nav=1e7)
        windows = slice_windows(inputs.mic, NOW, mandate, ALPACA_CAPABILITIES)
        inputs.slice_windows.update(windows)  # type: ignore[attr-defined]
        cases.append((inputs, solve_target(inputs, mandate)))
    plan_orders(*cases[0], mandate)  # warms what is compiled and cached
    spent, made, calls = 0.0, 0, 0
    while made < int(count):
        inputs, target = cases[calls % len(cases)]
        begun = time.process_time()
        found = to_orders(plan_orders(inputs, target, mandate), inputs)
        spent += time.process_time() - begun
        made, calls = made + len(found), calls + 1
    say({"seconds": spent, "orders": made, "plans": calls})


def peer(python: str, count: int) -> Sample:
    """One run of the peer in its own environment."""
    found = subprocess.run([python, str(PEER), str(count)], capture_output=True, text=True, check=True, timeout=600)
    line = next(line for line in reversed(found.stdout.splitlines()) if line.startswith(SAID))
    return Sample(0.0, 0.0, 0.0, json.loads(line.removeprefix(SAID)))


ROWS = {
    "gate": "the last-line gate, batches of 200",
    "gate open": "the same, 200 other orders open at the broker",
    "loop": "yardstick: a plain loop of float checks, the same batches",
    "plan": "the planner, given the target weights",
    "plan sliced": "the planner, large orders as six slices by VWAP",
    "peer": "peer: RiskEngine of NautilusTrader, one order at a time",
}


def measured(folder: Path, count: int, repetitions: int, python: str) -> dict[str, list[Sample]]:
    """Samples per row; rows take turns, in the other direction every second time."""
    modes = [
        ["gate", "plain"],
        ["gate", "open"],
        ["loop"],
        ["plan", "plain"],
        ["plan", "sliced"],
        *([["peer"]] if python else []),
    ]
    samples: dict[str, list[Sample]] = {}
    for turn in range(repetitions):
        for mode in modes if turn % 2 == 0 else modes[::-1]:
            name = " ".join(mode).removesuffix(" plain")
            if mode == ["peer"]:
                found = peer(python, count)
            else:
                arguments = [str(Path(__file__)), "--child", mode[0], str(count), *mode[1:]]
                found = run_child(arguments, log=folder / "child.log", environment={})
            samples.setdefault(name, []).append(found)
    return samples


def written(samples: dict[str, list[Sample]], count: int, repetitions: int) -> str:
    """The page."""
    each = {name: median_said(found, "seconds") / median_said(found, "orders") for name, found in samples.items()}
    rows = [
        [what, f"{each[name] * 1e6:.1f} us", f"{each[name] / each['gate']:.3g} x", f"{count * each[name]:.3f} s"]
        for name, what in ROWS.items()
        if name in each
    ]
    version = next((str(found[-1].said.get("version", "")) for name, found in samples.items() if name == "peer"), "")
    said = (
        f"The peer is NautilusTrader {version} (Cython), asked with the checks that it has: prices, quantities and notional of one"
        " limit order; it knows no batch, no approved hash, no account to compare, no session.\n\n"
        if version
        else ""
    )
    return (
        "# The last-line gate and the planner\n\n"
        "Written by `.venv/bin/python benchmarks/gate.py --peer PYTHON`; CPU time; absolute times belong to the machine, ratios"
        " are what counts.\n"
        f"{count:,} orders a row, each row {repetitions} times in fresh processes that take turns; medians.\n\n"
        + table(["what", "per order", "against the gate", f"{count:,} orders"], rows)
        + "\n\nThe gate works in exact decimals, hashes the batch, and treats every fact as one that may be missing or senseless;"
        "\nthe loop trusts them all and is no gate. A batch of 200 orders is what a session may send.\n\n" + said
    ).rstrip("\n") + "\n"


def main() -> None:
    """The parent, or one child."""
    if sys.argv[1:2] == ["--child"]:
        mode, *words = sys.argv[2:]
        CHILDREN[mode](*words)
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--peer", default="", metavar="PYTHON")
    given = parser.parse_args()
    count, repetitions = (QUICK, 1) if given.quick else (WHOLE, given.repetitions)
    folder = Path(tempfile.mkdtemp(prefix="marketbot-gate-"))
    try:
        samples = measured(folder, count, repetitions, given.peer)
        text = written(samples, count, repetitions)
        print(text)
        for name, found in samples.items():
            print(json.dumps({"benchmark": "gate", "row": name, **dict(found[-1].said)}))
        if not given.quick:
            RESULTS.write_text(text, encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


CHILDREN: dict[str, Callable[..., None]] = {"gate": child_gate, "loop": child_loop, "plan": child_plan}

if __name__ == "__main__":
    main()
