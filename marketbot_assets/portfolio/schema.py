"""Tables of the portfolio stage: the target, what moved it, and the plan of orders. Not here: rows (`target_frame`)."""

from marketbot_assets.normalization.schema import INSTRUMENT
from marketbot_assets.portfolio.order_columns import ORDER_COLUMNS
from marketbot_resources.store.table import Column, Table

CASH = "CASH"
METHODS = (
    *("mean_variance", "risk_parity", "scaled_previous", "to_cash", "cures_only", "risk_reducing_only"),
    *("min_variance", "black_litterman", "cvar", "tracking_error", "multi_period", "long_short"),
)
STATUSES = ("optimal", "no_answer")
CHANGES = (
    ("forecast", "due to expected returns"),
    ("risk", "due to the risk model and its scenarios"),
    ("limits", "due to ladder, stops, permissions and cadence"),
    ("holdings", "due to holdings, cash, prices and costs"),
    ("rest", "none of these: mandate, liquidity and listings"),
)
PURPOSES = ("TARGET", "PROTECTIVE", "LIMIT_CURE", "FX", "PROTECTION")

TARGET_PORTFOLIO = Table(
    "target_portfolio",
    "one instrument of the universe or held, or CASH",
    ("instrument",),
    (
        INSTRUMENT,
        Column("weight_now", "number", "fraction of NAV, open orders filled; null without price", nullable=True),
        Column(
            "weight_target",
            "number",
            "fraction of NAV on a grid of 1e-6; null for a held name without price",
            nullable=True,
        ),
        Column(
            "weight_without_llm",
            "number",
            "the target had no language model said anything; null when none tilts the forecasts: the target is that book",
            nullable=True,
        ),
        Column("llm_influence", "number", "weight_target - weight_without_llm; 0 when no view tilts or is heard"),
        Column("can_buy", "flag", "may be bought this session"),
        Column("can_trade", "flag", "may be traded at all"),
        Column("force_exit", "flag", "a stop is due"),
        Column("reason", "text", "why the weight moves or does not"),
        Column("method", "text", "method that answered", one_of=METHODS),
        Column("status", "text", "optimal, or no_answer when every method failed", one_of=STATUSES),
        Column("objective", "number", "utility per year; null when no optimizer answered", nullable=True),
        Column(
            "residual", "number", "largest violation of a limit, recomputed in numpy; null when unknown", nullable=True
        ),
        Column("failures", "text", "methods that were tried before and why they were not used"),
        Column("doubts", "text", "why the answer deserves a look: a solver that failed, a second opinion that differs"),
        Column(
            "eased",
            "text",
            "limits that are not kept as the mandate states them, because selling cannot reach them today",
        ),
        Column(
            "conflicts", "text", "sets of limits that cannot all be kept as stated, and what each would have to give"
        ),
        Column("no_buys", "text", "why nothing may be bought, empty when something may"),
        Column("solver", "text", "solver and tolerance"),
        Column("llm_note", "text", "why views of a language model were left out or clamped; empty when neither"),
        Column(
            "limits_json", "text", "CASH: every limit as [control, name, unit, left, limit, hard, dual]; else empty"
        ),
    ),
)

TARGET_EXPLANATION = Table(
    "target_explanation",
    "the forces on one weight (INSTRUMENT), or one limit with its price (LIMIT)",
    ("kind", "place"),
    (
        Column("kind", "text", "INSTRUMENT or LIMIT", one_of=("INSTRUMENT", "LIMIT")),
        Column("place", "integer", "position in its kind", at_least=0),
        Column("subject", "text", "internal id, or control of the limit"),
        Column("name", "text", "name of the limit; for an instrument the limit that presses most, or empty"),
        Column("weight_before", "number", "fraction of NAV", nullable=True),
        Column("weight_after", "number", "fraction of NAV", nullable=True),
        Column(
            "expected_return",
            "number",
            "pull of the expected return without views, utility per year and unit of weight",
            nullable=True,
        ),
        Column("views", "number", "pull of the views of a language model, same unit; 0 when left out", nullable=True),
        Column("risk", "number", "pull of the marginal risk, same unit", nullable=True),
        Column("cost", "number", "pull of the cost of moving, same unit", nullable=True),
        Column("limits", "number", "pull of all priced limits, same unit", nullable=True),
        Column(
            "bound", "number", "what the name's own bounds, or the cap on views, hold back, same unit", nullable=True
        ),
        Column(
            "return_contribution", "number", "expected return of the weight, fraction of NAV per year", nullable=True
        ),
        Column(
            "risk_contribution",
            "number",
            "w (S w) / sigma: part of the book's volatility per year; the parts add up to it",
            nullable=True,
        ),
        Column("trade_cost", "number", "expected cost of moving to the weight, fraction of NAV, once", nullable=True),
        Column(
            "cost_bps",
            "number",
            "cost charged for trading in the direction of the move (a buy when nothing moves), basis points of the value",
            nullable=True,
        ),
        Column(
            "cost_multiple", "number", "factor of the calibration in it, on half-spread, fee and impact", nullable=True
        ),
        Column("weight_yesterday", "number", "target of the session before, fraction of NAV", nullable=True),
        *(
            Column(f"change_{cause}", "number", f"part of the change since then that is {what}", nullable=True)
            for cause, what in CHANGES
        ),
        Column("change", "text", "the change since the session before in words, or why there is none to show"),
        Column("left", "number", "left side of the limit, in its unit", nullable=True),
        Column("limit", "number", "bound that the target keeps", nullable=True),
        Column("hard", "number", "bound that the verdict keeps", nullable=True),
        Column("slack", "number", "limit - left", nullable=True),
        Column("dual", "number", "price of the limit: utility per year for one unit more", nullable=True),
        Column("price", "number", "utility per year gained were the bound 1 % looser, solved again", nullable=True),
        Column("price_by_dual", "number", "the same to first order, from the dual", nullable=True),
        Column("price_return", "number", "expected return per year gained were the bound 1 % looser", nullable=True),
        Column("binding", "flag", "left touches limit; false for instruments"),
        Column("unit", "text", "unit of left, limit, hard and slack; empty for instruments"),
        Column("reason", "text", "one line for people; empty for limits"),
    ),
)

ORDER_PLAN = Table(
    "order_plan",
    "one proposed order before the verdict",
    ("client_order_id",),
    (
        *ORDER_COLUMNS,
        Column(
            "reference_price",
            "number",
            "last close in the listing currency; for a currency leg base per unit",
            at_least=0,
        ),
        Column("value_base", "number", "quantity at limit (currency leg: at the rate) in base currency", at_least=0),
        Column("cost_bps", "number", "expected cost, basis points of the value", at_least=0),
        Column("purpose", "text", "what the order is for", one_of=PURPOSES),
        Column(
            "utility_lost_bps",
            "number",
            "whole plan: utility per year of the ideal weights less that of the planned ones, basis points",
            nullable=True,
        ),
        Column(
            "active_risk_bps",
            "number",
            "whole plan: volatility per year of planned less ideal weights, basis points",
            nullable=True,
        ),
    ),
)

COST_CALIBRATION = Table(
    "cost_calibration",
    "the cost of one live, or paper, order against the model (ORDER), or the factor of one bucket and side (BUCKET)",
    ("kind", "key"),
    (
        Column("kind", "text", "ORDER or BUCKET", one_of=("ORDER", "BUCKET")),
        Column("key", "text", "client order id and session of its exchange, or bucket and side"),
        Column("bucket", "text", "currency, or FUND"),
        Column("side", "text", "BUY or SELL", one_of=("BUY", "SELL")),
        Column("environment", "text", "what the broker says its account is: series are never mixed"),
        Column("executed_on", "date", "session of the exchange; null for a bucket", nullable=True),
        Column("orders", "integer", "how many orders it rests on", at_least=0),
        Column(
            "realised_bps", "number", "fills against the auction's price, and fees; mean for a bucket", nullable=True
        ),
        Column("model_bps", "number", "half-spread, fee and impact of the mandate; mean for a bucket", nullable=True),
        Column("ratio", "number", "realised to modelled, outliers cut; null for an order", nullable=True),
        Column("standard_error", "number", "of the ratio; null for an order", nullable=True, at_least=0),
        Column(
            "multiple", "number", "factor that is charged; null for an order", nullable=True, at_least=0.5, at_most=3.0
        ),
        Column("reason", "text", "why the factor is what it is; empty for an order"),
    ),
)

TABLES = (COST_CALIBRATION, TARGET_PORTFOLIO, TARGET_EXPLANATION, ORDER_PLAN)
