"""Tables of the insight stage: context, the fitted return model with its card, forecasts."""

from marketbot_resources.store.table import Column, Table

LLM_CONTEXT = Table(
    "llm_context",
    "one view: a theme, a sentiment, or the risk-on score",
    ("kind", "subject"),
    (
        Column("kind", "text", "THEME, SENTIMENT or RISK_ON", one_of=("THEME", "SENTIMENT", "RISK_ON")),
        Column("subject", "text", "theme, sector, country, instrument, or market"),
        Column("score", "number", "direction, -1 to 1", at_least=-1, at_most=1),
        Column("confidence", "number", "0 to 1", at_least=0, at_most=1),
        Column("evidence", "text", "ids of macro series and headlines, separated by blanks"),
        Column("source", "text", "fallback: made by rules, not by a language model", one_of=("fallback",)),
        Column("version", "text", "version of the rules"),
    ),
)

RETURN_MODEL = Table(
    "return_model",
    "the fitted model in force",
    ("name",),
    (
        Column("name", "text", "name of the model"),
        Column("fitted_on", "date", "session of the fit"),
        Column("spec_sha256", "text", "hash of the specification"),
        Column("model_json", "text", "coefficients as JSON"),
        Column("card_json", "text", "model card as JSON: purpose, data, method, limits, metrics"),
    ),
)

FORECASTS = Table(
    "forecasts",
    "one instrument's expected excess return and risk",
    ("instrument",),
    (
        Column("instrument", "text", "internal id"),
        Column("prior", "number", "equilibrium excess return per year", nullable=True),
        Column("score", "number", "cross-sectional z-score of the model, winsorised at 3", nullable=True),
        Column("tilt", "number", "what the score adds per year", nullable=True),
        Column("expected_return", "number", "excess return per year", nullable=True),
        Column("uncertainty", "number", "standard error of the expected return per year", nullable=True),
        Column("volatility", "number", "per year, the larger of two estimators", nullable=True),
    ),
)
TABLES = (LLM_CONTEXT, RETURN_MODEL, FORECASTS)
