"""Tables of the audit stage: what a decision was made of, its replay, profit and loss, drift, the shadow book, the daily report.

Not here: how the numbers come about (`attribution`, `drift`, `shadow_book`), how they are shown (`report`).
"""

from marketbot_resources.store.table import Column, Table

INPUT, OUTPUT, FACT = "INPUT", "OUTPUT", "FACT"
INSTRUMENT, SECTOR, CURRENCY, TOTAL = "INSTRUMENT", "SECTOR", "CURRENCY", "TOTAL"
POSITION, CASH, GROUP = "POSITION", "CASH", "GROUP"
FORECAST, VOLATILITY, UNJUDGED, MEASURE, FEATURE = "FORECAST", "VOLATILITY", "UNJUDGED", "MEASURE", "FEATURE"
OK, WATCH, DRIFTED, UNKNOWN_STATE = "ok", "watch", "drifted", "unknown"
FORECASTS_PART, FEATURES_PART, DATA_PART, EXECUTION_PART, LLM_PART = "forecasts", "features", "data", "execution", "llm"
DRIFT_PARTS = (FORECASTS_PART, FEATURES_PART, DATA_PART, EXECUTION_PART, LLM_PART)

PARTS = ("price", "fx", "dividend", "trading", "residual")
COSTS = ("fee", "tax")

DECISION_RECORD = Table(
    "decision_record",
    "one version of an input or output of the session's decision, or one fact about it",
    ("kind", "asset", "partition", "content_sha256"),
    (
        Column("kind", "text", "INPUT, OUTPUT or FACT", one_of=(INPUT, OUTPUT, FACT)),
        Column("asset", "text", "asset, or name of the fact"),
        Column("partition", "text", "session of the object; empty for unpartitioned assets and facts"),
        Column("content_sha256", "text", "hash of the values; empty for facts"),
        Column("text", "text", "the fact; empty for objects"),
    ),
)

REPLAY_CHECK = Table(
    "replay_check",
    "one asset of the session, rebuilt from the stored inputs and compared",
    ("asset", "partition"),
    (
        Column("asset", "text", "asset that was rebuilt"),
        Column("partition", "text", "session of the object"),
        Column("stored_content_sha256", "text", "hash of the stored values"),
        Column("rebuilt_content_sha256", "text", "hash of the rebuilt values; empty when it could not be rebuilt"),
        Column("same", "flag", "both hashes are equal, in another environment: equal orders and floats within 1e-9"),
        Column("message", "text", "one sentence; empty when the hashes are equal"),
    ),
)

ATTRIBUTION = Table(
    "attribution",
    "profit and loss of one instrument, one currency's cash, one group or the book; "
    "total = price + fx + dividend + trading - fee - tax + residual, in base currency",
    ("dimension", "name"),
    (
        Column("dimension", "text", "what the row adds up", one_of=(INSTRUMENT, SECTOR, CURRENCY, TOTAL)),
        Column("name", "text", "internal id, CASH:<currency>, sector, currency, or TOTAL"),
        Column("kind", "text", "POSITION, CASH, or GROUP for sums", one_of=(POSITION, CASH, GROUP)),
        Column("sector", "text", "sector; CASH for cash; empty where a group holds several"),
        Column("currency", "text", "listing currency or currency of the cash; empty where a group holds several"),
        Column("price", "number", "move of the price on what was held before, at the rate before"),
        Column("fx", "number", "move of the rate on what was held before, at the price after"),
        Column(
            "dividend",
            "number",
            "cash of corporate actions, less the value of a fraction of a share that it paid for",
        ),
        Column("trading", "number", "fills against the close; conversions against the rate after"),
        Column("fee", "number", "fees, positive", at_least=0),
        Column("tax", "number", "taxes on trades, positive", at_least=0),
        Column("residual", "number", "what the parts do not explain: rounding of money, unknown prices, other flows"),
        Column("total", "number", "profit and loss, base currency"),
        Column("contribution", "number", "total as a fraction of NAV before; null without one", nullable=True),
        Column("note", "text", "what limits the row's parts; empty when nothing does"),
    ),
)

DRIFT = Table(
    "drift",
    "one measure against what it was compared with (MEASURE), one feature (FEATURE), one past session's forecasts against the "
    "outcome (FORECAST), forecast and realized risk (VOLATILITY), or why no forecast can be judged (UNJUDGED)",
    ("kind", "session", "part", "name"),
    (
        Column(
            "kind",
            "text",
            "MEASURE, FEATURE, FORECAST, VOLATILITY or UNJUDGED",
            one_of=(FORECAST, VOLATILITY, UNJUDGED, MEASURE, FEATURE),
        ),
        Column("session", "text", "session that forecast; else the last one measured; may be empty"),
        Column("horizon_sessions", "integer", "sessions from forecast to outcome; of the others 1", at_least=1),
        Column("names", "integer", "what was compared: instruments, sessions, orders, answers", at_least=0),
        Column(
            "rank_ic",
            "number",
            "rank correlation of expected and realized return, -1 to 1",
            nullable=True,
            at_least=-1,
            at_most=1,
        ),
        Column(
            "hit_rate",
            "number",
            "share of names on the same side of the mean in forecast and outcome",
            nullable=True,
            at_least=0,
            at_most=1,
        ),
        Column("forecast", "number", "mean forecast over the horizon, fraction; volatility per year", nullable=True),
        Column("outcome", "number", "mean outcome over the horizon, fraction; volatility per year", nullable=True),
        Column("message", "text", "what limits the judgement; empty when nothing does"),
        Column("part", "text", "forecasts, features, data, execution or llm", one_of=DRIFT_PARTS),
        Column("name", "text", "the measure or the feature; empty for the other kinds"),
        Column(
            "coverage",
            "number",
            "of a forecast: share of names whose outcome lay in its 90 % interval",
            nullable=True,
            at_least=0,
            at_most=1,
        ),
        Column("qlike", "number", "of a forecast: QLIKE loss of its variances, 0 = exact", nullable=True, at_least=0),
        Column("observed", "number", "the measure; of a feature its PSI", nullable=True),
        Column("error", "number", "standard error of the measure", nullable=True, at_least=0),
        Column("ks", "number", "of a feature: the KS distance", nullable=True, at_least=0, at_most=1),
        Column("ks_p", "number", "of a feature: p of the KS test", nullable=True, at_least=0, at_most=1),
        Column("watch", "number", "from here on it is watched; null where nothing is judged", nullable=True),
        Column("threshold", "number", "beyond this it has drifted; null where nothing is judged", nullable=True),
        Column(
            "side", "text", "which way is bad; empty where nothing is judged", one_of=("", "above", "below", "either")
        ),
        Column("state", "text", "empty where nothing is judged", one_of=("", OK, WATCH, DRIFTED, UNKNOWN_STATE)),
        Column("since", "text", "first session in a row with this state; empty where nothing is judged"),
        Column("answer", "text", "what happens by itself when it has drifted"),
    ),
)

SHADOW_BOOK = Table(
    "shadow_book",
    "one session of two model books: one follows the targets with a language model's views, one those without",
    ("session",),
    (
        Column("session", "date", "decision session"),
        Column("opened_on", "date", "session at which both books opened with the value of the real one"),
        Column(
            "decided_on", "date", "session of the target held until this close; null before there is one", nullable=True
        ),
        Column("nav_with", "number", "value of the model book with views, base currency", at_least=0),
        Column("nav_without", "number", "value of the model book without views, base currency", at_least=0),
        Column("return_with", "number", "since the row before, costs taken off, fraction"),
        Column("return_without", "number", "since the row before, costs taken off, fraction"),
        Column("cost_with", "number", "cost of moving to the target, fraction, in it", at_least=0),
        Column("cost_without", "number", "cost of moving to the target, fraction, in it", at_least=0),
        Column("difference_bps", "number", "return with less return without, basis points"),
        Column("cumulated_bps", "number", "value with over value without less 1, basis points"),
        Column("influence", "number", "sum over names of |weight with - weight without| held", at_least=0),
        Column("contaminated", "flag", "whether the model may have known what came after: no claim rests on it"),
        Column("message", "text", "what limits the row; empty when nothing does"),
    ),
)

MODEL_WATCH = Table(
    "model_watch",
    "one session of a registered model that is shadow or champion (DAY), or what it said of one name then (FORECAST)",
    ("kind", "spec_sha256", "session", "instrument"),
    (
        Column("kind", "text", "DAY or FORECAST", one_of=("DAY", "FORECAST")),
        Column("spec_sha256", "text", "specification"),
        Column("session", "date", "session of the forecasts"),
        Column("instrument", "text", "internal id; empty for a DAY"),
        Column("state", "text", "shadow or champion at that cutoff; empty for a FORECAST"),
        Column("fit_sha256", "text", "fit that it was forecast with; empty for a FORECAST"),
        Column("names", "integer", "names forecast; 0 for a FORECAST", at_least=0),
        Column("expected", "number", "expected label, cross-sectional deviations of the forward return", nullable=True),
        Column("earned", "number", "of its book of ranks in the next session, after costs, fraction", nullable=True),
        Column("remade", "number", "the same made again from what was known a session later", nullable=True),
        Column("ic", "number", "rank correlation of forecast and label", nullable=True, at_least=-1, at_most=1),
        Column("squared_error", "number", "mean squared difference of label and forecast", nullable=True, at_least=0),
    ),
)

DAILY_REPORT = Table(
    "daily_report",
    "the session's report for people, and its headline numbers",
    ("session",),
    (
        Column("session", "text", "decision session"),
        Column("html", "text", "one self-contained page"),
        Column("summary_json", "text", "headline numbers as a JSON object"),
    ),
)

PROOF = Table(
    "proof",
    "one object that the session stored, covered by the signed head of the ledger",
    ("asset", "partition"),
    (
        Column("asset", "text", "asset"),
        Column("partition", "text", "session, or static for what was stored once"),
        Column("content_sha256", "text", "hash of the values"),
    ),
)

TABLES = (DECISION_RECORD, REPLAY_CHECK, ATTRIBUTION, DRIFT, SHADOW_BOOK, MODEL_WATCH, DAILY_REPORT, PROOF)
