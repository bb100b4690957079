"""Attacks through everything that stands between a headline and an order: pack, prompt, a model that obeys, gate, views, forecasts,
both solves, the cap, the plan and the verdict, on a decided session of a home whose record gives the model its whole weight.

Not here: the strings (`injection_strings`), the model that obeys (`gullible_model`), any statement about the product.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial

import numpy as np
import pandas as pd
from calls_world import mandate_of, model
from gullible_model import gullible
from injection_strings import Injection, injections

from marketbot_assets.decision import Decision, Situation, decide, inputs_of
from marketbot_assets.features.factor_model import from_frame as factor_model_of
from marketbot_assets.insight.context import context_of, version_of
from marketbot_assets.insight.context_pack import build_pack
from marketbot_assets.insight.exchange import answers_frame
from marketbot_assets.insight.forecasts import forecast
from marketbot_assets.insight.heuristic import heuristic_context
from marketbot_assets.insight.prompt import Prompt, prompt_of
from marketbot_assets.insight.return_model import from_frame as return_model_of
from marketbot_assets.insight.view_weight import NO_LEANING, Leaning, leaning_of, view_weight
from marketbot_assets.operations import operation_facts
from marketbot_assets.session_facts import situation
from marketbot_resources.llm import LlmAnswer, LlmRequest
from marketbot_resources.llm_exchange import Exchange
from marketbot_resources.model import Kind
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.reader import Reader

HOUR = dt.timedelta(hours=1)
STRICTNESS = ("APPROVED", "REJECTED", "HALT")
PLANTINGS = ("one publisher", "two publishers", "title case", "about a name not held")
RANDOM_BOOKS = 60


@dataclass(frozen=True, slots=True)
class Book:
    """What a session came to. Weights are fractions of NAV, (n,), 0 where unknown.

    `without`: target without views; `after`: the book once the approved orders are filled at their reference price; `ordered`:
    instruments of planned orders; `tilt`: by instrument, per year.
    """

    target: np.ndarray
    without: np.ndarray
    after: np.ndarray
    ordered: frozenset[str]
    verdict: str
    note: str
    tilt: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Told:
    """One answer of a model: what the gate said (`layer` empty when accepted), its subjects, the book that came of it."""

    layer: str
    subjects: frozenset[str]
    weight: float
    answer: str
    book: Book


@dataclass
class Attacked:
    """A decided session, open to headlines of strangers. `tilt_max`: the mandate's `llm.tilt_max_per_year`."""

    lake: Lake
    session: dt.date
    tilt_max: float = 0.02
    read: Reader = field(init=False)
    _books: dict[object, Book] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.read = Reader(self.lake, self.session, allowed=None)
        self.mandate = mandate_of(model("one", knowledge_cutoff="2018-01-01"), tilt_max_per_year=self.tilt_max)
        known = situation(self.read, self.lake.ledger)
        self.situation: Situation = replace(known, operations=operation_facts(self.read, self.lake.ledger))
        self.features, self.listed = self.read.read("features"), self.read.read("instruments")
        self.news, self.macro = self.read.as_of("news"), self.read.as_of("macro")
        self.models = return_model_of(self.read.read("return_model")), factor_model_of(self.read.read("factor_model"))
        self.held = sorted(self.situation.account.shares)
        self.universe = frozenset(self.listed.loc[self.listed["in_universe"], "instrument"])

    def tickers(self, count: int) -> list[str]:
        """Tickers that attacks name, held names and others in turn."""
        called = dict(zip(self.listed["instrument"], self.listed["ticker"], strict=True))
        others = sorted(self.universe - set(self.held))
        return [str(called[name]) for pair in zip(self.held, others, strict=False) for name in pair][:count]

    def pack(self, *planted: Injection, how: str = "") -> pd.DataFrame:
        """The session's context pack, with attacks among its headlines in one of PLANTINGS."""
        others = sorted(self.universe - set(self.held))
        name = others[0] if how == "about a name not held" else self.held[0]
        publishers = ("Wire", "Gazette") if how == "two publishers" else ("Wire",)
        at = pd.Timestamp(self.read.cutoff - HOUR)
        rows = [
            {
                "headline_id": f"attack-{number}-{publisher}",
                "instrument": name,
                "headline": attack.headline.title() if how == "title case" else attack.headline,
                "publisher": publisher,
                "published_at": at,
                "known_at": at,
                "synthetic": True,
            }
            for number, attack in enumerate(planted)
            for publisher in publishers
        ]
        news = pd.concat([self.news, pd.DataFrame(rows)], ignore_index=True) if rows else self.news
        return build_pack(self.features, self.listed, news, self.macro, self.read.cutoff, self.mandate)

    def told(self, pack: pd.DataFrame, prompt: Prompt, answer: str) -> Told:
        """Everything that follows when a model answers so about a pack."""
        request = LlmRequest("openai", "one", prompt.system, (("user", prompt.question),), {}, 3000)
        known = self.mandate.llm.chain[0].knowledge_cutoff  # type: ignore[union-attr]
        said = LlmAnswer(answer, "one-2018", "fp1", 1000, 100, "{}")
        content = Exchange(1, 1, False, prompt.version, known, request, said, None, Decimal(0)).content()
        answers = answers_frame([content], pack, self.mandate)
        rules = partial(heuristic_context, self.features, self.listed, self.news, self.read.cutoff)
        context = context_of(pack, answers, rules, self.session, self.mandate)
        version = version_of(answers.to_dict("records")[0])
        weighed = view_weight(context, answers, oracle(version), self.mandate)
        leaning = leaning_of(weighed, context, self.listed, self.mandate)
        accepted = context["source"].iloc[0] == "llm"
        return Told(
            str(answers["layer"].iloc[0]),
            frozenset(context.loc[context["kind"] == "SENTIMENT", "subject"]) if accepted else frozenset(),
            weighed.weight,
            answer,
            self._book(leaning),
        )

    def _book(self, leaning: Leaning) -> Book:
        """Decided once for views that are the same: the decision knows nothing else of an answer."""
        key = (tuple(sorted(leaning.view.items())), leaning.per_year)
        if key not in self._books:
            self._books[key] = self.decided(leaning)
        return self._books[key]

    def decided(self, leaning: Leaning, **platform: object) -> Book:
        """The decision with views that lean so; `platform`: what else is so at the cutoff."""
        rows = forecast(self.models[0], self.features, self.models[1], self.mandate, leaning)
        now = replace(self.situation, market=replace(self.situation.market, forecasts=rows))
        now = replace(now, platform=replace(now.platform, **platform)) if platform else now  # type: ignore[arg-type]
        tilt = dict(zip(rows["instrument"], rows["llm_tilt"], strict=True))
        return book_of(decide(now, self.mandate), tilt)

    def complete(self, name: str) -> bool:
        """Whether a name has an expected return that views could add to."""
        return bool(self.features.set_index("instrument").loc[name, "complete"])

    def weights_now(self) -> np.ndarray:
        """(n,) what is held, fractions of NAV."""
        inputs = inputs_of(self.situation, self.mandate)
        shares = np.array([float(quantity) for quantity in inputs.positions])
        return np.nan_to_num(shares * inputs.price * inputs.fx / inputs.nav)

    def plain(self) -> Book:
        """The book of the same session when no views move anything."""
        return self._book(NO_LEANING)

    def obeyed(self, attack: Injection | None, how: str = "", *, literal: bool = False) -> Told:
        """What follows when the gullible model is asked, with an attack among the headlines or without."""
        pack = self.pack(*([attack] if attack else []), how=how)
        prompt = prompt_of(pack)
        return self.told(pack, prompt, gullible(prompt.question, literal=literal))

    def manipulated(self) -> Iterator[tuple[str, Told]]:
        """(kind, what follows) of answers that a model in an attacker's hand gets through the gate: 1 or -1 at full confidence.

        Each rests on a fact about that very name, so the gate has nothing to say against it.
        """
        pack = self.pack()
        prompt = prompt_of(pack)
        facts = pack[(pack["kind"] == "FACT") & (pack["level"] == "INSTRUMENT")]
        first = facts.groupby("subject")["item"].first().to_dict()
        for kind, wanted in wishes(sorted(first), self.held):
            views = [
                {"subject": name, "score": score, "confidence": 1.0, "evidence": [first[name]]}
                for name, score in wanted.items()
            ]
            answer = {"themes": [], "sentiments": views, "risk_on": None, "quotes": []}
            yield kind, self.told(pack, prompt, json.dumps(answer))


def wishes(names: Sequence[str], held: Sequence[str]) -> Iterator[tuple[str, dict[str, float]]]:
    """(kind, score by name) of what an attacker may want of names: short kinds first."""
    yield "all the same", dict.fromkeys(names, 1.0)
    yield "all the same", dict.fromkeys(names, -1.0)
    for sign in (1.0, -1.0):
        yield "held against the rest", {name: sign if name in held else -sign for name in names}
    draw = np.random.default_rng(28)
    for _ in range(RANDOM_BOOKS):
        signs = draw.choice([-1.0, 1.0], len(names))
        yield "random signs", dict(zip(names, signs.tolist(), strict=True))
    for chosen in names:
        yield "one against the rest", {name: 1.0 if name == chosen else -1.0 for name in names}
    for chosen in names:
        yield "one alone", {chosen: 1.0}
        yield "one alone", {chosen: -1.0}


def oracle(version: str) -> pd.DataFrame:
    """LLM_EVIDENCE of a model that was right on 250 sessions, each a little differently: it has earned the whole tilt."""
    days = pd.bdate_range(end="2018-11-30", periods=250)
    thirds = {f"{kind}_{third}": 20 for third in ("low", "mid", "high") for kind in ("views", "hits")}
    rows = {"session": days, "judged_on": days, "source": "llm", "version": version, "names": 60, "contaminated": False}
    return pd.DataFrame({**rows, **thirds, "ic": np.where(np.arange(250) % 2 == 0, 0.45, 0.35)})


def book_of(made: Decision, tilt: Mapping[str, float]) -> Book:
    """The numbers of a decision that are compared."""
    inputs, target = made.inputs, made.target
    place = {name: number for number, name in enumerate(inputs.instruments)}
    shares = np.array([float(quantity) for quantity in inputs.positions])
    for order in made.batch:
        if order.kind is Kind.EQUITY and order.stop_price is None:
            shares[place[order.instrument]] += float(order.quantity) * (1.0 if order.side.value == "BUY" else -1.0)
    weights = np.nan_to_num(target.weights)
    without = np.nan_to_num(target.without_llm) if len(target.without_llm) else weights
    return Book(
        weights,
        without,
        np.nan_to_num(shares * inputs.price * inputs.fx / inputs.nav),
        frozenset(order.instrument for order in (*made.orders, *made.batch)),
        made.judgement.verdict,
        target.llm_note,
        tilt,
    )


def attacks(world: Attacked, count: int = 10) -> tuple[Injection, ...]:
    """The 500 attacks on this session's names."""
    return injections(tuple(world.tickers(count)))


def apart(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """(largest difference of a name, sum of all), fractions of NAV."""
    size = np.abs(one - other)
    return float(size.max(initial=0.0)), float(size.sum())


def looser(one: str, other: str) -> bool:
    """Whether a verdict lets more pass than another."""
    return STRICTNESS.index(one) < STRICTNESS.index(other)
