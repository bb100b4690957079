"""Hand-made tables of one session on which language models were asked: three tries, views with evidence, what they moved."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pandas as pd
from report_world import IDS, example, framed, the_mandate

from marketbot_assets.audit.report_facts import ReportFacts
from marketbot_assets.insight.schema import CONTEXT_PACK, LLM_ANSWERS, LLM_CONTEXT, LLM_EVIDENCE
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_llm import Llm, LlmModel

VERSION = "local:tiny-1b@fp_7#views-1"
HEADLINE = "Apple wins record order"
EVIL = "![x](http://evil.example/p.png) [read](http://evil.example) <img src=x onerror=y> `code` | www.evil.example a@evil.example"
KNOWN = pd.Timestamp("2018-12-14T20:30:00Z")


def mandate() -> Mandate:
    """The house's mandate with two models, 0.50 US dollars a day."""
    models = (
        LlmModel(provider="openai", model="gpt-x", knowledge_cutoff=dt.date(2018, 6, 1), usd_per_million_input=1.0,
                 usd_per_million_output=4.0),
        LlmModel(provider="local", model="tiny-1b", knowledge_cutoff=dt.date(2018, 6, 1), usd_per_million_input=0.0,
                 usd_per_million_output=0.0, address="http://127.0.0.1:8080/v1"),
    )  # fmt: skip
    return the_mandate().model_copy(update={"llm": Llm(chain=models, usd_per_day=0.5)})


def pack() -> pd.DataFrame:
    """Two headlines, one of them hostile, a fact, a macro release and a subject."""
    rows: list[dict[str, object]] = [
        {"item": "S1", "kind": "SUBJECT", "subject": IDS["AAPL"], "level": "INSTRUMENT", "text": f"{IDS['AAPL']} Apple"},
        {"item": "F1", "kind": "FACT", "subject": IDS["AAPL"], "level": "INSTRUMENT", "value": -3.1,
         "text": "return 21d -3.1%"},
        {"item": "M1", "kind": "MACRO", "subject": "VIX", "level": "SERIES", "value": 20.65,
         "text": "2018-12-13: 20.65 index, change -0.81"},
        {"item": "H1", "kind": "HEADLINE", "subject": IDS["AAPL"], "level": "INSTRUMENT", "text": HEADLINE,
         "publisher": "Wire", "source_ids": "wire-17"},
        {"item": "H2", "kind": "HEADLINE", "subject": IDS["KO"], "level": "INSTRUMENT", "text": EVIL,
         "publisher": "[Evil](http://evil.example)", "source_ids": "evil-1 evil-2"},
    ]  # fmt: skip
    blank = {
        "value": float("nan"),
        "unit": "",
        "publisher": "",
        "source_ids": "",
        "known_at": KNOWN,
        "synthetic": False,
    }
    return framed(CONTEXT_PACK, [{**blank, "place": n, **row} for n, row in enumerate(rows)])


def answers() -> pd.DataFrame:
    """A failure, a refusal, and its accepted repair: 2,500 + 300 + 400 tokens, 0.0042 US dollars."""
    asked = {
        "run": 1,
        "knowledge_cutoff": pd.Timestamp("2018-06-01"),
        "prompt": "views-1",
        "drifted": False,
        "answer": "",
    }
    rows: list[dict[str, object]] = [
        {"attempt": 1, "repair": False, "provider": "openai", "model": "gpt-x", "answered_by": "", "outcome": "FAILED",
         "layer": "overloaded", "reason": "529 from <b>the</b> provider", "tokens_in": 0, "tokens_out": 0,
         "cost_usd": Decimal("0.0042000000")},
        {"attempt": 2, "repair": False, "provider": "local", "model": "tiny-1b", "answered_by": "tiny-1b", "outcome": "REFUSED",
         "layer": "evidence", "reason": "H9 is not in the pack", "tokens_in": 1200, "tokens_out": 300, "cost_usd": Decimal(0)},
        {"attempt": 3, "repair": True, "provider": "local", "model": "tiny-1b", "answered_by": "tiny-1b", "outcome": "ACCEPTED",
         "layer": "", "reason": "", "tokens_in": 1300, "tokens_out": 400, "cost_usd": Decimal(0)},
    ]  # fmt: skip
    return framed(LLM_ANSWERS, [{**asked, **row} for row in rows])


def context(*, contaminated: bool = False) -> pd.DataFrame:
    """A risk-on score, a theme, a strong and a weak sentiment, repaired at the second try."""
    shared = {"source": "repaired", "version": VERSION, "contaminated": contaminated, "reason": ""}
    rows: list[dict[str, object]] = [
        {"kind": "SENTIMENT", "subject": IDS["KO"], "rank": 0, "score": -0.2, "confidence": 0.5, "evidence": "H2"},
        {"kind": "SENTIMENT", "subject": IDS["AAPL"], "rank": 0, "score": 0.5, "confidence": 0.6, "evidence": "H1 F1"},
        {"kind": "THEME", "subject": "volatility", "rank": 1, "score": -0.4, "confidence": 0.7, "evidence": "M1"},
        {"kind": "RISK_ON", "subject": "market", "rank": 0, "score": -0.3, "confidence": 0.6, "evidence": "M1 X9"},
    ]
    return framed(LLM_CONTEXT, [{**row, **shared} for row in rows])


def by_rules(reason: str = "") -> pd.DataFrame:
    """One view of the rules, which names a series and a headline by the ids of the stored rows."""
    row = {"kind": "SENTIMENT", "subject": IDS["KO"], "rank": 0, "score": -0.2, "confidence": 0.5, "evidence": "macro:VIX evil-2",
           "source": "fallback", "version": "rules-1", "contaminated": False, "reason": reason}  # fmt: skip
    return framed(LLM_CONTEXT, [row])


def evidence() -> pd.DataFrame:
    """Three sessions of the model, one of them contaminated, and one of the rules."""
    told = ((1, "llm", VERSION, 0.10, False), (2, "llm", VERSION, -0.02, False), (3, "llm", VERSION, 0.99, True),
            (4, "fallback", "rules-1", 0.03, False))  # fmt: skip
    rows: list[dict[str, object]] = [
        {"session": pd.Timestamp(2018, 12, day), "judged_on": pd.Timestamp(2018, 12, day + 8), "source": source,
         "version": version, "names": 20, "ic": ic, "contaminated": contaminated,
         "views_low": 10, "hits_low": 4, "views_high": 5, "hits_high": 4}
        for day, source, version, ic, contaminated in told
    ]  # fmt: skip
    return framed(LLM_EVIDENCE, rows)


def moved(target: pd.DataFrame) -> pd.DataFrame:
    """The target of the report's world with two names moved: AAPL by +40 bp, KO by -15 bp."""
    shift = target["instrument"].map({IDS["AAPL"]: 0.0040, IDS["KO"]: -0.0015}).fillna(0.0)
    note = "clamped to 0.8 of the views by the cap"
    return target.assign(weight_without_llm=target["weight_target"] - shift, llm_influence=shift, llm_note=note)


def facts(*, contaminated: bool = False) -> ReportFacts:
    """The report's world on such a session."""
    world = example()
    return replace(
        world,
        mandate=mandate(),
        context_pack=pack(),
        llm_answers=answers(),
        llm_context=context(contaminated=contaminated),
        llm_evidence=evidence(),
        target_portfolio=moved(world.target_portfolio),
    )
