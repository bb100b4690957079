"""Every quality rule: what should hold, which outcomes it may have, what it judges, what a bad outcome leads to. Pure.

The heat map and the reference list come from here; a finding of a rule that is not named here is a bug.
Not here: how a rule measures (`bar_rules`, `table_rules`, `restatement`).
"""

from dataclasses import dataclass

CLOSED = "the bar is flagged and the name is closed for the session: no order in it, no stop fires on the bar"
NAME = "the name is closed for the session: no order in it"
CURRENCY = "told in the report; RC-05 refuses orders on a stale rate by its own measure"
HALTED = "no buys, exits only (RC-87)"
TOLD = "told in the report"
PASS, WARN, QUARANTINE, HALT = "pass", "warn", "quarantine", "halt"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `outcomes`: those that it may have, mildest first; `subject`: bar, instrument, currency, series or table."""

    name: str
    statement: str
    outcomes: tuple[str, ...]
    subject: str
    leads_to: str


_RULES = (
    Rule("bars_have_positive_prices", "all four prices are finite and positive", (PASS, QUARANTINE), "bar", CLOSED),
    Rule(
        "bars_respect_ohlc_order",
        "open and close lie within low and high",
        (PASS, WARN, QUARANTINE),
        "bar",
        CLOSED,
    ),
    Rule("bars_have_plausible_ranges", "the high is at most twice the low", (PASS, QUARANTINE), "bar", CLOSED),
    Rule(
        "closes_move_plausibly",
        "no close jumps against the name's own history without an event, unless most names moved or later bars confirm it",
        (PASS, WARN, QUARANTINE),
        "bar",
        CLOSED,
    ),
    Rule(
        "moves_fit_the_market",
        "no close moves far from what the other names did",
        (PASS, WARN, QUARANTINE),
        "bar",
        TOLD,
    ),
    Rule("closes_are_not_repeated", "no bar is a copy of the one before", (PASS, WARN, QUARANTINE), "bar", CLOSED),
    Rule("closes_are_not_stale", "the close does not stand still for weeks", (PASS, WARN, QUARANTINE), "bar", CLOSED),
    Rule(
        "volumes_are_present",
        "the volume is there and not in another unit than usual",
        (PASS, WARN, QUARANTINE),
        "bar",
        CLOSED,
    ),
    Rule(
        "splits_match_price_jumps", "the price jumps by the ratio of a split", (PASS, WARN, QUARANTINE), "bar", CLOSED
    ),
    Rule(
        "dividends_are_not_doubled",
        "no dividend nearly repeats one of the week before",
        (PASS, WARN, QUARANTINE),
        "bar",
        TOLD,
    ),
    Rule(
        "payouts_match_price_jumps",
        "the price falls by what a special dividend or a spin-off paid",
        (PASS, WARN, QUARANTINE),
        "bar",
        CLOSED,
    ),
    Rule("spin_offs_have_a_value", "what a spin-off gave is known", (PASS, WARN, QUARANTINE), "bar", CLOSED),
    Rule("bars_end_with_the_listing", "no bar comes after a listing's end", (PASS, QUARANTINE), "bar", CLOSED),
    Rule(
        "providers_agree",
        "two providers agree on a close; unit, currency and adjustment never switch silently",
        (PASS, WARN, QUARANTINE),
        "bar",
        CLOSED,
    ),
    Rule(
        "history_is_not_restated",
        "a bar that is sent again says what it said before",
        (PASS, WARN, QUARANTINE, HALT),
        "instrument",
        NAME,
    ),
    Rule(
        "bars_have_no_gaps",
        "the newest usable bar is of the last own session",
        (PASS, WARN, QUARANTINE),
        "instrument",
        NAME,
    ),
    Rule("ends_match_last_prices", "a deal pays about the last close", (PASS, WARN, QUARANTINE), "instrument", TOLD),
    Rule("delistings_are_told", "an action says what a listing that is over paid", (PASS, WARN), "instrument", TOLD),
    Rule("universe_is_covered", "the bars that are due have landed", (PASS, WARN, QUARANTINE, HALT), "table", HALTED),
    Rule(
        "row_counts_are_steady",
        "about as many bars land as in the sessions before",
        (PASS, WARN, QUARANTINE),
        "table",
        TOLD,
    ),
    Rule("keys_are_unique", "no two bars share instrument and session", (PASS, HALT), "table", HALTED),
    Rule("no_row_from_the_future", "every row was known at the cutoff", (PASS, HALT), "table", HALTED),
    Rule("fx_is_fresh", "the newest rate is at most two TARGET days old", (PASS, QUARANTINE), "currency", CURRENCY),
    Rule(
        "fx_moves_plausibly", "no rate moves by more than 8 % in one fixing", (PASS, QUARANTINE), "currency", CURRENCY
    ),
    Rule("rates_triangulate", "every rate closes the triangle over the euro", (PASS, QUARANTINE), "currency", TOLD),
    Rule(
        "macro_is_fresh",
        "the series that decisions lean on are at most ten days old",
        (PASS, WARN, QUARANTINE),
        "series",
        TOLD,
    ),
    Rule(
        "macro_is_not_early", "no value is known before the day that it describes", (PASS, QUARANTINE), "series", TOLD
    ),
)
RULES = {rule.name: rule for rule in _RULES}
