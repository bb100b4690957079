"""Tables of the research stage: the opening balance of a home, a backtest's sessions, sweeps, and what scores were worth."""

from marketbot_resources.store.table import Column, Table

OPENING_BALANCE = Table(
    "opening_balance",
    "one holding, one currency's cash, or one fact of the book's state before the first session",
    ("kind", "item", "instrument"),
    (
        Column("kind", "text", "POSITION, CASH or STATE", one_of=("POSITION", "CASH", "STATE")),
        Column("item", "text", "instrument, currency, or name of the fact"),
        Column("instrument", "text", "internal id; empty for cash and facts of the whole book"),
        Column("currency", "text", "listing currency, or currency of the cash; empty for facts"),
        Column("quantity", "decimal", "shares", nullable=True),
        Column("amount", "decimal", "cash in the currency", nullable=True),
        Column("price", "number", "last close, listing currency", nullable=True),
        Column("fx", "number", "base currency per unit", nullable=True),
        Column("value_base", "number", "value in base currency", nullable=True),
        Column("number", "number", "value of a fact that is a number", nullable=True),
        Column("text", "text", "value of a fact that is a date, a decimal or a word"),
    ),
)

BACKTEST = Table(
    "backtest",
    "one session of a past range as decided by the same functions",
    ("session",),
    (
        Column("session", "date", "decision session"),
        Column("nav", "number", "net asset value, base currency"),
        Column("drawdown", "number", "loss from the highest NAV since inception, fraction"),
        Column("rung", "text", "rung of the drawdown ladder"),
        Column("multiple", "number", "factor on the volatility target"),
        Column("invested", "number", "value of the holdings over NAV, before the session's orders"),
        Column("names", "integer", "names held"),
        Column("orders", "integer", "orders approved"),
        Column("planned", "integer", "orders planned"),
        Column("buys", "number", "value of approved buys over NAV"),
        Column("sells", "number", "value of approved sells over NAV"),
        Column("fills", "integer", "fills since the session before"),
        Column("costs_base", "number", "fees and taxes of these fills, base currency"),
        Column("stops", "integer", "stops hit"),
        Column("method", "text", "method that answered"),
        Column("verdict", "text", "APPROVED, REJECTED or HALT", one_of=("APPROVED", "REJECTED", "HALT")),
        Column("warned", "text", "controls that warned in any round"),
        Column("shrank", "text", "controls that made orders smaller or dropped some"),
        Column("rejected", "text", "controls that rejected the batch, reduced it to exits or halted"),
        Column("binding", "text", "limits that bound the target"),
        Column("llm", "text", "none, or which language models the mandate names and that it was decided without them"),
    ),
)

FACTOR_EVALUATION = Table(
    "factor_evaluation",
    "one measure of one score over a past range, with its error and what it rests on",
    ("factor", "measure", "variant", "horizon", "item"),
    (
        Column("factor", "text", "feature or score"),
        Column("measure", "text", "what is measured"),
        Column("variant", "text", "all, sector neutral, high volatility or low volatility"),
        Column("horizon", "integer", "sessions over which outcomes count; 0: none", at_least=0),
        Column("item", "text", "quantile, lag in sessions, month, end of the ranking or other score; empty otherwise"),
        Column("mean", "number", "mean over sessions, or the number itself; null: not known", nullable=True),
        Column("sd", "number", "standard deviation over sessions", nullable=True),
        Column("ratio", "number", "mean over standard deviation, per session", nullable=True),
        Column("error", "number", "standard error of the mean, for horizons that overlap", nullable=True),
        Column("t", "number", "mean over its error", nullable=True),
        Column("observations", "integer", "sessions that it rests on", at_least=0),
        Column("apart", "integer", "horizons among them that do not overlap", at_least=0),
        Column("message", "text", "why it is not known; empty when it is"),
    ),
)

PARITY_CHECK = Table(
    "parity_check",
    "one field of one live session, or one order that differs, beside what the backtest makes of the data as they are known now",
    ("session", "field", "item"),
    (
        Column("session", "date", "live session that is compared"),
        Column("field", "text", "table or number that is compared, in the order of the pipeline; order: one order"),
        Column("item", "text", "of an order: instrument, leg and client order id; empty for whole tables"),
        Column("live", "text", "hash, number or order as the live session had it"),
        Column("backtest", "text", "the same as the backtest has it"),
        Column("same", "flag", "whether both are equal, bit for bit"),
        Column(
            "cause",
            "text",
            "why they differ; empty where they are equal",
            one_of=("", "data", "mandate", "code", "environment", "fill", "unexplained"),
        ),
        Column("reason", "text", "what exactly changed; empty where they are equal"),
        Column(
            "value_live",
            "number",
            "of the field return: return of the live book since the session before",
            nullable=True,
        ),
        Column("value_backtest", "number", "the same with the fills of the model", nullable=True),
    ),
)
SWEEP = Table(
    "sweep",
    "one backtest of a grid: its parameters, what it showed, and what that is worth among all trials",
    ("point",),
    (
        Column("point", "integer", "number in the grid, from 1", at_least=1),
        Column("name", "text", "its choices for people"),
        Column("parameters", "text", "axis -> value, JSON"),
        Column("first", "date", "first session"),
        Column("last", "date", "last session that was asked for"),
        Column("state", "text", "done, or failed: it could not be run", one_of=("done", "failed")),
        Column("message", "text", "why it failed; empty otherwise"),
        Column("mandate_sha256", "text", "hash of its mandate, whose canonical bytes are in the store"),
        Column("inputs_sha256", "text", "hash of the description of the bodies behind it"),
        Column("backtest", "text", "partition of its rows among the objects of `backtest`; empty when it failed"),
        Column("content_sha256", "text", "hash of these rows; empty when it failed"),
        Column("trials", "integer", "backtests on record when the table was made", at_least=0),
        Column("overfitting", "number", "probability of backtest overfitting of its period", nullable=True),
        Column("sessions", "integer", "sessions decided; fewer than asked for after a halt of class C", at_least=0),
        Column("sharpe_per_year", "number", "ratio after costs", nullable=True),
        Column("return_per_year", "number", "compound return after costs", nullable=True),
        Column("volatility_per_year", "number", "standard deviation of returns", nullable=True),
        Column("drawdown_max", "number", "largest loss from the highest NAV, fraction", nullable=True),
        Column("turnover_per_year", "number", "half of the approved buys and sells over NAV", nullable=True),
        Column("costs_per_year", "number", "fees and taxes over mean NAV", nullable=True),
        Column("invested", "number", "mean value of the holdings over NAV", nullable=True),
        Column("approved", "number", "share of verdicts APPROVED", nullable=True),
        Column(
            "deflated_sharpe", "number", "probability that the ratio beats that many worthless trials", nullable=True
        ),
    ),
)
TABLES = (OPENING_BALANCE, BACKTEST, FACTOR_EVALUATION, PARITY_CHECK, SWEEP)
