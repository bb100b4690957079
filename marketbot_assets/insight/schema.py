"""Tables of the insight stage: what a language model may know and said, its views and their worth, the return model, forecasts."""

from marketbot_resources.store.table import Column, Table

CONTEXT_PACK = Table(
    "context_pack",
    "one item that a language model may know, in the order of the prompt",
    ("place",),
    (
        Column("place", "integer", "place in the prompt", at_least=0),
        Column("item", "text", "id that evidence names: F1 (fact), M1 (macro release), H1 (headline), S1 (subject)"),
        Column("kind", "text", "what the item is", one_of=("FACT", "MACRO", "HEADLINE", "SUBJECT")),
        Column("subject", "text", "market, series, sector, country or instrument"),
        Column("level", "text", "what the subject is", one_of=("MARKET", "SERIES", "SECTOR", "COUNTRY", "INSTRUMENT")),
        Column("text", "text", "as the prompt shows it: plain text, hidden characters removed"),
        Column("value", "number", "the number that the text states", nullable=True),
        Column("unit", "text", "of the value, empty without one"),
        Column("publisher", "text", "who published it, empty for what we computed"),
        Column("known_at", "instant", "when it became known"),
        Column("source_ids", "text", "ids of the stored rows behind it, separated by blanks"),
        Column("synthetic", "flag", "whether a simulated row stands behind it"),
    ),
)

LLM_ANSWERS = Table(
    "llm_answers",
    "one try of one model",
    ("attempt",),
    (
        Column("attempt", "integer", "1, 2, ... in the order of asking", at_least=1),
        Column("run", "integer", "which pass over the pack, 1 or 2", at_least=1),
        Column("repair", "flag", "whether the try repairs the refused answer before it"),
        Column("provider", "text", "who was asked"),
        Column("model", "text", "which model was asked for"),
        Column("knowledge_cutoff", "date", "newest day of what it was trained on, as the mandate says"),
        Column("prompt", "text", "version of the prompt"),
        Column("request_sha256", "text", "hash of the question"),
        Column("answer_sha256", "text", "hash of the answer as kept, with the provider's response; empty without one"),
        Column("answered_by", "text", "the model as the answer names it, empty without one"),
        Column("fingerprint", "text", "the provider's system fingerprint, empty without one"),
        Column("version", "text", "whose evidence counts for the answer: provider:model@fingerprint#prompt, or empty"),
        Column("outcome", "text", "what became of the try", one_of=("ACCEPTED", "REFUSED", "FAILED")),
        Column("layer", "text", "layer of the gate that refused it, or the kind of failure; empty when accepted"),
        Column("reason", "text", "why, in one line; empty when accepted"),
        Column("answer", "text", "the text of the answer, empty without one"),
        Column("tokens_in", "integer", "tokens of the question", at_least=0),
        Column("tokens_out", "integer", "tokens of the answer", at_least=0),
        Column("cost_usd", "decimal", "US dollars by the mandate's prices"),
        Column("drifted", "flag", "whether the model behind the name is not the one that earned the evidence"),
    ),
)

SOURCES = ("llm", "repaired", "fallback")
LLM_CONTEXT = Table(
    "llm_context",
    "one view: a theme, a sentiment, or the risk-on score",
    ("kind", "subject"),
    (
        Column("kind", "text", "THEME, SENTIMENT or RISK_ON", one_of=("THEME", "SENTIMENT", "RISK_ON")),
        Column("subject", "text", "theme, sector, country, instrument, or market"),
        Column("rank", "integer", "1 = first theme; 0 for what is no theme", at_least=0),
        Column("score", "number", "direction, -1 to 1", at_least=-1, at_most=1),
        Column("confidence", "number", "0 to 1", at_least=0, at_most=1),
        Column("evidence", "text", "ids of items of the pack, of macro series and headlines, separated by blanks"),
        Column("source", "text", "llm, repaired (by a second try), fallback: made by rules", one_of=SOURCES),
        Column("version", "text", "of the rules, or provider:model@fingerprint#prompt"),
        Column("contaminated", "flag", "whether the model may have been trained on what happened after this session"),
        Column("reason", "text", "why the rules stand in; empty when a model's views do or none is asked"),
    ),
)

LLM_EVIDENCE = Table(
    "llm_evidence",
    "the views of one past session against what became of them",
    ("session",),
    (
        Column("session", "date", "session of the views"),
        Column("judged_on", "date", "session at whose cutoff the outcome was known"),
        Column("source", "text", "llm, repaired or fallback", one_of=SOURCES),
        Column("version", "text", "version of the views"),
        Column("names", "integer", "names with a view and an outcome", at_least=0),
        Column("ic", "number", "rank correlation of view and outcome", nullable=True, at_least=-1, at_most=1),
        Column("contaminated", "flag", "whether the model may have known the outcome: kept out of every claim"),
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
        Column(
            "llm_view", "number", "what a language model says of the name, -1 to 1; NaN = it abstained", nullable=True
        ),
        Column("llm_tilt", "number", "what its views add per year, 0 until they have earned it"),
        Column("expected_return", "number", "excess return per year", nullable=True),
        Column("uncertainty", "number", "standard error of the expected return per year", nullable=True),
        Column("volatility", "number", "per year, the larger of two estimators", nullable=True),
    ),
)
TABLES = (CONTEXT_PACK, LLM_ANSWERS, LLM_CONTEXT, LLM_EVIDENCE, RETURN_MODEL, FORECASTS)
