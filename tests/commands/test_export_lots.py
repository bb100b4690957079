"""`marketbot export-lots` on a real home of two sessions; expectations from the stored tables by other means."""

import csv
import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from views_world import FIRST, LAST, Command, commit, one_line, table

from marketbot_assets.audit.schema import ATTRIBUTION
from marketbot_assets.book.schema import FILLS, POSITIONS

pytestmark = pytest.mark.graph
D = Decimal
SOLD, PRICE, FEE = D(3), D("50.01"), D("0.25")


def read(path: Path) -> list[dict[str, str]]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("# ")]
    return list(csv.DictReader(lines))


def sold(home: Path) -> tuple[str, str]:
    """Adds a sale of three shares of the first held dollar name to the last session, in fills, shares and cash."""
    held = table(home, "positions", LAST)
    own = held[(held["kind"] == "POSITION") & (held["currency"] == "USD")].sort_values("key").iloc[0]
    name, got = str(own["key"]), SOLD * PRICE - FEE
    fill = {
        "execution_id": "e-tax",
        "client_order_id": "mb1-tax",
        "order_kind": "EQUITY",
        "instrument": name,
        "side": "SELL",
        "quantity": SOLD,
        "price": PRICE,
        "currency": "USD",
        "fee": FEE,
        "tax": D(0),
        "executed_at": pd.Timestamp(f"{LAST}T20:30:00Z"),
    }

    def with_fill(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([frame, pd.DataFrame([fill])], ignore_index=True).sort_values("execution_id")

    def after(frame: pd.DataFrame) -> pd.DataFrame:
        frame["quantity"] = [
            q - SOLD if (k, key) == ("POSITION", name) else q
            for k, key, q in zip(frame["kind"], frame["key"], frame["quantity"], strict=True)
        ]
        frame["amount"] = [
            a + got if (k, key) == ("CASH", "USD") else a
            for k, key, a in zip(frame["kind"], frame["key"], frame["amount"], strict=True)
        ]
        mine = (frame["kind"] == "POSITION") & (frame["key"] == name)
        frame["value_base"] = frame["value_base"].mask(mine, frame["value_base"] - float(SOLD) * frame["price"])
        return frame

    commit(home, FILLS, LAST, with_fill)
    commit(home, POSITIONS, LAST, after)
    return name, str(own["price"])


def attribute(home: Path, name: str, close: str) -> None:
    """What the sale earned against the close stands in the name's attribution, too."""
    earned = float(SOLD * PRICE - FEE) - float(SOLD) * float(close)

    def more(frame: pd.DataFrame) -> pd.DataFrame:
        frame["total"] = frame["total"].mask(frame["name"] == name, frame["total"] + earned)
        return frame

    commit(home, ATTRIBUTION, LAST, more)


def flows(home: Path, currency: str) -> Decimal:
    """Cash of all fills of shares and of all events, each rounded to the cent, less what the opening's shares were worth."""
    total = D(0)
    for session in (FIRST, LAST):
        for row in table(home, "fills", session).to_dict("records"):
            if row["order_kind"] == "EQUITY" and row["currency"] == currency:
                sign = 1 if row["side"] == "SELL" else -1
                total += sign * (row["quantity"] * row["price"]).quantize(D("0.01")) - row["fee"] - row["tax"]
        events = table(home, "positions", session)
        events = events[(events["kind"] == "EVENT") & (events["currency"] == currency)]
        total += sum(events["amount"], D(0))
    return total


def worth(home: Path, currency: str) -> Decimal:
    opening = table(home, "opening_balance", "static")
    held = opening[(opening["kind"] == "POSITION") & (opening["currency"] == currency)]
    return sum(
        (D(repr(float(q) * p)).quantize(D("0.01")) for q, p in zip(held["quantity"], held["price"], strict=True)), D(0)
    )


def test_the_lots_meet_the_book(finished: Path, marketbot: Command, tmp_path: Path) -> None:
    """Cash to the cent against the stored tables, profit against attribution, the ledger's head and the files' hashes."""
    lots, paid = tmp_path / "lots.csv", tmp_path / "paid.csv"
    said = marketbot(finished, "export-lots", "--out", str(lots), "--dividends", str(paid), "--json")
    assert said.code == 0, said.err
    view = said.json
    assert (view["method"], view["meets"], view["first"], view["last"]) == ("fifo", True, FIRST, LAST)
    assert view["broker_cash"] == {}
    told = {row["currency"]: row for row in view["cash"]}
    assert D(told["USD"]["moved"]) == flows(finished, "USD") - worth(finished, "USD")
    assert {row["difference"] for row in view["cash"]} == {"0"}
    profit = view["profit"]
    assert profit["left_out"] == []
    assert profit["names"] > 5
    totals = [table(finished, "attribution", session) for session in (FIRST, LAST)]
    names = [f[(f["dimension"] == "INSTRUMENT") & (f["kind"] == "POSITION")] for f in totals]
    assert profit["attributed"] == pytest.approx(sum(float(f["total"].sum()) for f in names), abs=1e-6)
    assert abs(profit["difference"]) < 1.0
    assert [file["sha256"] for file in view["files"]] == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in (lots, paid)
    ]
    head = f"# ledger {view['ledger']['size']} entries, root {view['ledger']['root']}"
    assert head in lots.read_text(encoding="utf-8").splitlines()
    count = sqlite3.connect(finished / "ledger.sqlite").execute("select count(*) from entry").fetchone()[0]
    assert view["ledger"]["size"] == count


def test_a_sale_is_a_row_with_its_order(home: Path, marketbot: Command, tmp_path: Path) -> None:
    """A sale of three shares: proceeds after the fee, the execution and the order; an unknown basis is empty, never 0."""
    name, close = sold(home)
    attribute(home, name, close)
    out = tmp_path / "lots.csv"
    said = marketbot(home, "export-lots", "--out", str(out), "--json", "--year", LAST[:4])
    assert said.code == 0, said.out
    (row,) = [row for row in read(out) if row["disposal_references"] == "e-tax"]
    assert (row["instrument"], row["quantity"], row["proceeds"], row["disposal_costs"]) == (name, "3", "149.78", "0.25")
    assert (row["disposed_on"], row["disposal_orders"], row["proceeds_base"]) == (LAST, "mb1-tax", "149.78")
    listed = table(home, "instruments", LAST).set_index("instrument").loc[name]
    assert (row["ticker_disposed"], row["mic_disposed"]) == (listed["ticker"], listed["mic"])
    opening = table(home, "opening_balance", "static")
    unknown = name in set(opening.loc[opening["kind"] == "POSITION", "item"])
    assert (row["basis"], row["cost"] == "", row["gain_base"] == "") == (
        "basis unknown" if unknown else "known",
        unknown,
        unknown,
    )
    assert marketbot(home, "export-lots", "--out", str(out), "--year", "2017").code == 0
    assert read(out) == []


def test_what_attribution_does_not_know_is_told(home: Path, marketbot: Command, tmp_path: Path) -> None:
    """Profit that attribution does not have by far more than rounding: exit 1, and the file says so, too."""
    sold(home)

    def less(frame: pd.DataFrame) -> pd.DataFrame:
        mine = (frame["dimension"] == "INSTRUMENT") & (frame["kind"] == "POSITION")
        frame["total"] = frame["total"].mask(mine, frame["total"] - 100.0)
        return frame

    commit(home, ATTRIBUTION, LAST, less)
    out = tmp_path / "lots.csv"
    said = marketbot(home, "export-lots", "--out", str(out))
    assert said.code == 1
    assert "DOES NOT MEET" in said.out
    assert "DOES NOT MEET" in out.read_text(encoding="utf-8")


def test_a_busted_sale_is_no_disposal(home: Path, marketbot: Command, tmp_path: Path) -> None:
    """The broker took the sale back: no row, shares as before, and the fee that stays is nobody's gain."""
    name, _ = sold(home)

    def undone(frame: pd.DataFrame) -> pd.DataFrame:
        sale = frame[frame["execution_id"] == "e-tax"]
        bust = sale.assign(execution_id="bust:e-tax", side="BUY", fee=[D(0)])
        bust["executed_at"] = pd.Timestamp(f"{LAST}T20:40:00Z")
        return pd.concat([frame, bust], ignore_index=True).sort_values("execution_id")

    def back(frame: pd.DataFrame) -> pd.DataFrame:
        mine = (frame["kind"] == "POSITION") & (frame["key"] == name)
        frame["quantity"] = [q + SOLD if own else q for q, own in zip(frame["quantity"], mine, strict=True)]
        cash = (frame["kind"] == "CASH") & (frame["key"] == "USD")
        frame["amount"] = [a - SOLD * PRICE if own else a for a, own in zip(frame["amount"], cash, strict=True)]
        frame["value_base"] = frame["value_base"].mask(mine, frame["value_base"] + float(SOLD) * frame["price"])
        return frame

    commit(home, FILLS, LAST, undone)
    commit(home, POSITIONS, LAST, back)
    out = tmp_path / "lots.csv"
    said = marketbot(home, "export-lots", "--out", str(out), "--json")
    assert said.code == 0, said.err
    assert [row for row in read(out) if "e-tax" in row["disposal_references"]] == []
    assert said.json["broker_cash"] == {}


def more_shares(frame: pd.DataFrame) -> pd.DataFrame:
    first = frame.index[frame["kind"] == "POSITION"][0]
    frame["quantity"] = [q + 1 if n == first else q for n, q in frame["quantity"].items()]
    return frame


def no_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[:0]


@pytest.mark.parametrize(("schema", "change"), [(POSITIONS, more_shares), (FILLS, no_rows)], ids=["shares", "fills"])
def test_other_shares_than_the_book_are_refused(
    home: Path,
    marketbot: Command,
    tmp_path: Path,
    schema: object,
    change: Callable[[pd.DataFrame], pd.DataFrame],
) -> None:
    """A share that no fill bought, and fills that went missing: no file, exit 1, one line."""
    commit(home, schema, LAST, change)  # type: ignore[arg-type]
    out = tmp_path / "lots.csv"
    said = marketbot(home, "export-lots", "--out", str(out))
    assert said.code == 1
    assert one_line(said)
    assert "by the book" in said.err
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments",
    [["--out", "/proc/none/lots.csv"], ["--method", "lifo", "--out", "x"], []],
    ids=["out", "method", "none"],
)
def test_wrong_arguments(finished: Path, marketbot: Command, arguments: Sequence[str]) -> None:
    """A file that cannot be written, an unknown method, no file: exit 2, one line."""
    said = marketbot(finished, "export-lots", *arguments)
    assert said.code == 2
    assert one_line(said)


def test_before_the_first_session(tmp_path: Path, marketbot: Command) -> None:
    """An empty home: one line, exit 2."""
    said = marketbot(tmp_path / "empty", "export-lots", "--out", str(tmp_path / "x.csv"))
    assert said.code == 2
    assert one_line(said)


def test_section_104_and_average_on_the_same_home(finished: Path, marketbot: Command, tmp_path: Path) -> None:
    """Each method meets the book; JSON holds decimals as text."""
    for method in ("average", "section-104"):
        said = marketbot(finished, "export-lots", "--out", str(tmp_path / method), "--method", method, "--json")
        assert (said.code, json.loads(said.out)["meets"]) == (0, True)
