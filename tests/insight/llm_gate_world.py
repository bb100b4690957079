"""A small context pack and answers over it, for tests of the gate. What belongs to whom stands here by hand."""

import json
from typing import Any

import pandas as pd

Row = tuple[str, str, str, str, str, float | None, str]
ROWS: tuple[Row, ...] = (  # item, kind, subject, level, text, value, publisher
    ("S1", "SUBJECT", "AAPL", "INSTRUMENT", "AAPL Apple Inc., Technology, US", None, ""),
    ("S2", "SUBJECT", "XOM", "INSTRUMENT", "XOM Exxon Mobil, Energy, US", None, ""),
    ("S3", "SUBJECT", "SAP", "INSTRUMENT", "SAP SE, Technology, DE", None, ""),
    ("S4", "SUBJECT", "Technology", "SECTOR", "Technology", None, ""),
    ("S5", "SUBJECT", "Energy", "SECTOR", "Energy", None, ""),
    ("S6", "SUBJECT", "US", "COUNTRY", "US", None, ""),
    ("S7", "SUBJECT", "DE", "COUNTRY", "DE", None, ""),
    ("S8", "SUBJECT", "market", "MARKET", "the market", None, ""),
    ("F1", "FACT", "AAPL", "INSTRUMENT", "AAPL: return of 21 sessions 5.20 %", 5.2, ""),
    ("F2", "FACT", "Technology", "SECTOR", "Technology: return of 63 sessions 12 %", 12.0, ""),
    ("F3", "FACT", "market", "MARKET", "market: drawdown -0.034 over 252 sessions", -0.034, ""),
    ("F4", "FACT", "XOM", "INSTRUMENT", "XOM: return of 5 sessions 0.00 %", 0.0, ""),
    ("M1", "MACRO", "VIX", "SERIES", "VIX 20.1 index points, before 19.4", 20.1, "CBOE"),
    ("H1", "HEADLINE", "AAPL", "INSTRUMENT", "Apple beats estimates", None, "Reuters"),
    ("H2", "HEADLINE", "AAPL", "INSTRUMENT", "Apple raises outlook", None, "AP; DPA"),
    ("H3", "HEADLINE", "XOM", "INSTRUMENT", "Exxon cuts 100 jobs", None, "Reuters"),
    ("H4", "HEADLINE", "AAPL", "INSTRUMENT", "Apple faces probe", None, "Reuters"),
    ("H5", "HEADLINE", "SAP", "INSTRUMENT", "SAP warns", None, " REUTERS ;  reuters;"),
    ("H6", "HEADLINE", "US", "COUNTRY", "US exports fall", None, "Bloomberg"),
    ("H7", "HEADLINE", "market", "MARKET", "Shares gain", None, "FT"),
    ("H8", "HEADLINE", "XOM", "INSTRUMENT", "Exxon wins", None, ""),
)
BELONGS = {"AAPL": {"Technology", "US"}, "XOM": {"Energy", "US"}, "SAP": {"Technology", "DE"}}


def pack_of(rows: tuple[Row, ...] = ROWS) -> pd.DataFrame:
    """CONTEXT_PACK rows."""
    frame = pd.DataFrame(rows, columns=["item", "kind", "subject", "level", "text", "value", "publisher"])
    frame.insert(0, "place", range(len(frame)))
    shared = {"unit": "", "known_at": pd.Timestamp("2018-11-01T21:00:00Z"), "source_ids": "", "synthetic": True}
    return frame.assign(value=frame["value"].astype(float), **shared)


def theme(
    name: str = "volatility", rank: Any = 1, direction: Any = -0.2, confidence: Any = 0.5, *ids: str
) -> dict[str, Any]:
    evidence = list(ids) or ["M1"]
    return {"name": name, "rank": rank, "direction": direction, "confidence": confidence, "evidence": evidence}


def sentiment(subject: str = "AAPL", score: Any = 0.3, confidence: Any = 0.6, *ids: str) -> dict[str, Any]:
    return {"subject": subject, "score": score, "confidence": confidence, "evidence": list(ids) or ["M1"]}


def answer(**parts: Any) -> dict[str, Any]:
    """An acceptable answer, with other parts where given."""
    whole = {
        "themes": [theme(), theme("growth", 2, 0.1, 0.4, "F3", "H7")],
        "sentiments": [sentiment("AAPL", 0.3, 0.6, "H1", "F1"), sentiment("Energy", -0.25, 0.5, "H3")],
        "risk_on": {"score": -0.1, "confidence": 0.5, "evidence": ["M1", "F3"]},
        "quotes": [{"item": "F1", "value": 5.2}, {"item": "M1", "value": 20.1}],
    }
    return {**whole, **parts}


def text_of(**parts: Any) -> str:
    return json.dumps(answer(**parts))
