"""The day's budget is hard: counted from the ledger, over restarts, killed processes and many processes at once."""

import datetime as dt
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from calls_world import DAY, NEXT_DAY, PRICES, Scripted, World, failed, mandate_of, model, said
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.llm_budget import Budget, Spent, call_key, cost_of, tokens_at_most, worst_case
from marketbot_resources.errors import Equivocation, LedgerError
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.llm import FailureKind, LlmRequest
from marketbot_resources.mandate_llm import LlmModel

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).parent / "budget_child.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"}
FACTS = {"request_sha256": "a" * 64}


def budget(folder: Path, usd: str = "1") -> Budget:
    return Budget(SqliteLedger(folder / "ledger.sqlite"), dt.date(2018, 12, 12), Decimal(usd))


@pytest.mark.parametrize(
    ("usd", "worst", "taken"),
    [
        ("1", "0.5", 2),
        ("1", "0.500001", 1),
        ("1", "1", 1),
        ("1", "1.000001", 0),
        ("0", "0.000001", 0),
        ("1", "NaN", 0),
        ("1", "Infinity", 0),
    ],
)
def test_what_the_day_cannot_pay_for_is_not_reserved(usd: str, worst: str, taken: int, tmp_path: Path) -> None:
    """The sum of reservations may reach the budget and never passes it; an unknown price is refused."""
    day = budget(tmp_path, usd)
    got = [day.reserve(Decimal(worst), FACTS) for _ in range(3)]
    assert [key is not None for key in got] == [True] * taken + [False] * (3 - taken)
    assert day.spent() == Spent(Decimal(0), Decimal(worst) * taken if taken else Decimal(0))


def test_a_call_costs_what_it_did_cost_and_an_open_reservation_its_worst(tmp_path: Path) -> None:
    """0.40 reserved, 0.10 spent: 0.90 are left; another day has its own budget."""
    day = budget(tmp_path)
    first, second = day.reserve(Decimal("0.40"), FACTS), day.reserve(Decimal("0.40"), FACTS)
    assert (first, second) == ("2018-12-12/1", "2018-12-12/2")
    day.ledger.append("llm_call", call_key("a" * 64, str(first)), {"cost_usd": "0.10"})
    assert day.spent() == Spent(Decimal("0.10"), Decimal("0.40"))
    assert day.reserve(Decimal("0.51"), FACTS) is None
    assert Budget(day.ledger, dt.date(2018, 12, 13), Decimal(1)).spent().total == 0


def test_a_local_model_without_a_price_works_on_a_budget_of_zero(tmp_path: Path) -> None:
    """0 dollars a day and 0 dollars a token: asked as often as the passes say."""
    free = model(provider="local", address="http://127.0.0.1:9", usd_per_million_input=0.0, usd_per_million_output=0.0)
    world = World(tmp_path, mandate_of(free, usd_per_day=0.0, passes=2))
    assert list(world.rows(world.ask(Scripted([said()])))["outcome"]) == ["ACCEPTED", "ACCEPTED"]
    assert world.incidents() == []


def test_an_exhausted_budget_asks_nobody_and_says_so(tmp_path: Path) -> None:
    """The dear model is not called, the free one is; the try is a row, the incident names the numbers; the next day pays again."""
    free = model("two", usd_per_million_input=0.0, usd_per_million_output=0.0)
    world = World(tmp_path, mandate_of(model(), free, usd_per_day=0.06))
    port = Scripted([said()])
    world.ask(port)
    assert [request.model for request in port.asked] == ["one"]
    rows = world.rows(world.ask(port, fresh=True))
    assert [request.model for request in port.asked] == ["one", "two"]
    assert list(rows["layer"]) == ["budget", ""]
    assert list(rows["cost_usd"]) == [Decimal(0), Decimal(0)]
    (incident,) = world.bodies("llm_incident")
    assert incident["code"] == "LLM_BUDGET"
    assert "0.013" in str(incident["reason"])
    assert list(world.rows(world.ask(port, NEXT_DAY, fresh=True))["model"]) == ["one"]


def test_a_budget_that_pays_for_nobody_is_one_incident(tmp_path: Path) -> None:
    """No call, no reservation, the rules stand in; said once, however often the session runs."""
    world = World(tmp_path, mandate_of(model(), model("two"), usd_per_day=0.001))
    port = Scripted([said()])
    for _ in range(2):
        assert list(world.rows(world.ask(port))["layer"]) == ["budget", "budget"]
    assert (port.asked, world.incidents()) == ([], ["LLM_BUDGET"])
    assert world.bodies("llm_reserved") == world.bodies("llm_call") == []


@pytest.mark.parametrize(
    ("answer", "cost"),
    [  # 10 and 30 dollars per million tokens; the question's high count is T, the answer may have 500 tokens
        ({}, Decimal("0.013")),
        ({"tokens_in": None}, None),
        ({"tokens_out": None}, Decimal("0.010") + Decimal("0.015")),
        ({"tokens_out": 0}, Decimal("0.010") + Decimal("0.015")),
        ({"tokens_in": 0}, None),
        ({"tokens_in": 2_000_000}, Decimal("20.003")),
    ],
)
def test_tokens_that_nobody_reports_cost_the_worst(
    answer: dict[str, int | None], cost: Decimal | None, tmp_path: Path
) -> None:
    """A provider that hides its counts is charged the most; one that reports more than expected, its report."""
    world = World(tmp_path)
    port = Scripted([said(None, **answer)])
    rows = world.rows(world.ask(port))
    at_most = Decimal(tokens_at_most(port.asked[0])) / 100_000 + Decimal("0.003")
    assert rows["cost_usd"].iloc[0] == (at_most if cost is None else cost)
    assert world.bodies("llm_call")[0]["tokens_in"] == answer.get("tokens_in", 1000)


@pytest.mark.parametrize(("may_cost", "free"), [(True, False), (False, True)])
def test_a_failure_that_may_cost_costs_the_worst(may_cost: bool, free: bool, tmp_path: Path) -> None:
    """A time-out after the provider took the question may be charged; a refused connection is not."""
    world = World(tmp_path)
    rows = world.rows(world.ask(Scripted([failed(FailureKind.TIMEOUT, may_cost=may_cost)])))
    (reserved,) = world.bodies("llm_reserved")
    expected = Decimal(0) if free else Decimal(str(reserved["worst_usd"]))
    assert rows["cost_usd"].iloc[0] == expected
    assert Budget(world.lake.ledger, DAY, Decimal(1)).spent().total == expected


def test_a_killed_process_has_spent_its_worst_case(tmp_path: Path) -> None:
    """kill -9 while the model is asked: the reservation stays, counts in full, and a new process sees it."""
    command = [sys.executable, str(CHILD), "hang", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "asking\n"
        child.kill()
    world = World(tmp_path)
    (reserved,) = world.bodies("llm_reserved")
    spent = Budget(world.lake.ledger, DAY, Decimal(1)).spent()
    assert spent == Spent(Decimal(0), Decimal(str(reserved["worst_usd"])))
    assert spent.open > 0


def test_processes_at_once_never_overspend(tmp_path: Path) -> None:
    """Four processes want 0.01 twenty times each of 0.25: exactly 25 reservations, each process told how many were its own."""
    command = [sys.executable, str(CHILD), "reserve", str(tmp_path), "20"]
    SqliteLedger(tmp_path / "ledger.sqlite")
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) for _ in range(4)]
    got = [int(child.communicate(timeout=120)[0]) for child in children]
    assert [child.returncode for child in children] == [0] * 4
    assert sum(got) == 25
    assert budget(tmp_path, "0.25").spent() == Spent(Decimal(0), Decimal("0.25"))


def test_a_number_that_another_process_took_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same number with another body, or with the very same one, is the other's; after a hundred it is an error."""
    day = budget(tmp_path)
    append, rivals = (
        day.ledger.append,
        [{"worst_usd": "0.3", "request_sha256": "b" * 64}, {**FACTS, "worst_usd": "0.2"}],
    )

    def overtaken(kind: str, key: str, body: dict[str, object], fence: object = None) -> object:
        if rivals:
            append(kind, key, rivals.pop())  # type: ignore[arg-type]
        return append(kind, key, body)  # type: ignore[arg-type]

    monkeypatch.setattr(day.ledger, "append", overtaken)
    assert day.reserve(Decimal("0.2"), FACTS) == "2018-12-12/3"
    assert day.spent().total == Decimal("0.7")

    def always(kind: str, key: str, body: object, fence: object = None) -> object:
        raise Equivocation("taken")

    monkeypatch.setattr(day.ledger, "append", always)
    with pytest.raises(LedgerError, match="overtaken"):
        day.reserve(Decimal("0.2"), FACTS)


@settings(max_examples=8)
@given(st.lists(st.tuples(st.integers(0, 400_000), st.one_of(st.none(), st.integers(0, 400_000))), max_size=12))
def test_no_order_of_calls_passes_the_budget(steps: list[tuple[int, int | None]]) -> None:
    """Reservations of any size, some closed at no more than their worst: what is spent never passes the budget."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        day = budget(Path(folder))
        expected = Decimal(0)
        for worst, cost in steps:
            dollars = Decimal(worst) / 1_000_000
            key = day.reserve(dollars, FACTS)
            assert (key is not None) == (expected + dollars <= 1)
            if key is not None:
                paid = None if cost is None else Decimal(min(cost, worst)) / 1_000_000
                if paid is not None:
                    day.ledger.append("llm_call", call_key("a" * 64, key), {"cost_usd": f"{paid:f}"})
                expected += dollars if paid is None else paid
            assert day.spent().total == expected <= 1


def request(text: str) -> LlmRequest:
    return LlmRequest("openai", "m", "", (("user", text),), {}, 100)


@settings(max_examples=40)
@given(st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), max_size=300))  # what is printable
def test_the_count_of_tokens_is_high_for_what_is_finest_cut(text: str) -> None:
    """Digits, signs and bytes outside of ASCII one each, letters two to a token: never below half of the bytes."""
    counted = tokens_at_most(request(text)) - tokens_at_most(request(""))
    foreign = sum(len(c.encode()) for c in text if not c.isascii())
    signs = sum(1 for c in text if c.isascii() and not c.isalpha() and c != " ")
    letters = sum(1 for c in text if c.isascii() and (c.isalpha() or c == " "))
    assert counted >= foreign + signs + letters // 2


def test_the_worst_case_holds_question_and_longest_answer() -> None:
    """10 dollars per million in, 30 out, 100 tokens of answer: 0.003 beside the question's count."""
    asked = LlmModel.model_validate({"provider": "openai", "model": "m", "knowledge_cutoff": "2018-01-01", **PRICES})
    question = request("abc")
    assert worst_case(question, asked) == Decimal(tokens_at_most(question)) / 100_000 + Decimal("0.003")
    assert cost_of(said(""), question, asked) == Decimal("0.013")
