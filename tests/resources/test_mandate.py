"""The mandate is refused with one line that names the key, or it is exactly what the file says."""

import hashlib
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from marketbot_resources.errors import MandateError
from marketbot_resources.mandate import parse_calendar, parse_mandate

TEXT = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
EXAMPLE_LLM = (Path(__file__).parents[2] / "examples" / "llm" / "mandate.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("cadence: daily", "cadence: daily\ncadenze: daily", "cadenze"),
        ("cadence: daily", "cadence: daily\ncadence: daily", "twice"),
        ("{target: 0.0475,", "{target: 5,", "RC-30_position.target"),
        (
            "{target: 0.0475, warn: 0.0490, hard: 0.0500}",
            "{target: 0.0475, warn: 0.04, hard: 0.05}",
            "target <= warn <= hard",
        ),
        (
            "{target: 0.0475, warn: 0.0490, hard: 0.0500}",
            "{target: 0.0475, warn: 0.049, hard: .nan}",
            "RC-30_position.hard",
        ),
        ("go_live: 2018-10-01", "go_live: 2018-13-01", "dates"),
        ("go_live: 2018-10-01", "go_live: 2023-10-01", "go_live lies after"),
        ("cadence: daily ", "cadence: weekly ", "rebalance_weekday"),
        ("opening_cash: 1_000_000", "opening_cash: -5", "opening_cash"),
        ('decide_at: "17:45"', 'decide_at: "25:45"', "decide_at"),
        ("mandate_version: 1", "mandate_version: 2", "mandate_version"),
        ("base_currency: USD", "base_currency: usd", "base_currency"),
        ("    XLON: all", "    XLON: []", "XLON"),
        ("clock: replay", "clock: guess", "providers.clock"),
        ("market: sample", "market: [yahoo, yahoo]", "a vendor is named twice"),
        ("market: sample", "market: [yahoo]", "a source of exchange rates"),
        ("market: sample", "market: [yahoo], fx: [ecb]", "universe.listings.XETR: expected tickers"),
        ("market: sample", "market: sample, instruments: import", "which has its own listings"),
        ("method: mean_variance", "method: long_short", "expects portfolio.long_short.enabled"),
        ("{enabled: false,", "{enabled: true,", "the paper broker has no shorts"),
        ("{enabled: false,", "{enabled: false, locate: 1,", "portfolio.long_short.locate"),
        ("{steps: 3,", "{steps: 6,", "portfolio.multi_period.steps"),
        ("{steps: 3,", "{steps: 1,", "portfolio.multi_period.steps"),
        ("{tail: 0.025,", "{tail: 0.0,", "portfolio.cvar.tail"),
        ("confidence: 0.5,", "confidence: 1.0,", "portfolio.black_litterman.confidence"),
        ("momentum_12_1: ", "momentum: ", "expected a score of the return model: low_volatility_126d, momentum_12_1"),
        ("tracking_error_per_year: 0.06", "tracking_error_per_year: .nan", "portfolio.tracking_error_per_year"),
        ("news: sample", "news: [feeds]", "at least one address"),
        ("news: sample", "news: sample, feeds: [{address: 'https://x.example/f', mic: XNAS, ticker: A}]", "feeds"),
        ("news: sample", "news: [feeds], feeds: [{address: 'http://x.example/f', mic: XNAS, ticker: A}]", "address"),
    ],
)
def test_a_wrong_mandate_is_one_line(old: str, new: str, named: str) -> None:
    """Unknown keys, doubled keys, impossible values and dates are refused by name."""
    assert old in TEXT
    with pytest.raises(MandateError) as caught:
        parse_mandate(TEXT.replace(old, new, 1))
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shorts_on_a_cash_account_are_refused() -> None:
    """Shorts need a margin account, whatever the broker can do."""
    text = TEXT.replace("type: margin", "type: cash").replace("{enabled: false,", "{enabled: true,")
    with pytest.raises(MandateError, match="expected a margin account for shorts"):
        parse_mandate(text)


def test_empty_universe_is_refused() -> None:
    """A mandate without listings cannot trade."""
    start = TEXT.index("  listings:")
    end = TEXT.index("  floor:")
    with pytest.raises(MandateError, match=r"universe\.listings"):
        parse_mandate(TEXT[:start] + "  listings: {}\n" + TEXT[end:])


@pytest.mark.parametrize(
    ("address", "holds"),
    [
        ("http://127.0.0.1:8080/v1", True),
        ("https://models.example/a-b/v1", True),
        ("http://[::1]:8080/v1", True),
        ("http://user:word@127.0.0.1:8080/v1", False),
        ("http://word@127.0.0.1:8080/v1", False),
        ("http://127.0.0.1:8080/v1?key=word", False),
        ("http://127.0.0.1:8080/v1#word", False),
        ("ftp://127.0.0.1/v1", False),
        ("http:///v1", False),
        ("http://127.0.0.1:8080/v1 x", False),
    ],
)
def test_the_address_of_a_model_has_no_place_for_a_secret(address: str, holds: bool) -> None:
    """The mandate is evidence and is given away with it: no user name, password, query or fragment."""
    text = EXAMPLE_LLM.replace("http://127.0.0.1:8080/v1", address)
    if holds:
        llm = parse_mandate(text).llm
        assert llm is not None
        assert llm.chain[0].address == address
        return
    with pytest.raises(MandateError, match="without user name, password or query"):
        parse_mandate(text)


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "42"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    """Something else than a mapping of keys is refused."""
    with pytest.raises(MandateError):
        parse_mandate(text)


def test_hash_depends_on_meaning_not_on_comments() -> None:
    """The same limits in another order and with other comments are the same mandate; another limit is another one."""
    reordered = "# more words\n" + TEXT
    assert parse_mandate(reordered).sha256 == parse_mandate(TEXT).sha256
    assert parse_mandate(TEXT.replace("hard: 0.0500", "hard: 0.0501")).sha256 != parse_mandate(TEXT).sha256


def test_a_copy_has_its_own_hash() -> None:
    """The hash is worked out once per object: neither a copy nor another object at the address of a dead one may inherit it."""
    mandate = parse_mandate(TEXT)
    assert mandate.sha256 == mandate.sha256 == hashlib.sha256(mandate.canonical()).hexdigest()
    for cash in range(100):
        copied = mandate.model_copy(update={"opening_cash": Decimal(cash)})
        assert copied.sha256 == hashlib.sha256(copied.canonical()).hexdigest() != mandate.sha256
        mandate = copied


def test_canonical_text_parses_to_the_same_mandate() -> None:
    """What the store keeps is the whole mandate."""
    mandate = parse_mandate(TEXT)
    assert parse_mandate(mandate.canonical().decode()) == mandate


def test_calendar_alone_needs_only_its_keys() -> None:
    """Definitions read `calendar` and `schedule` and nothing else."""
    calendar, schedule = parse_calendar(
        "calendar: {mic: XNYS, go_live: 2018-10-01, last_session: 2018-12-31}\n"
        "schedule: {decide_at: '17:45', timezone: America/New_York, landing_minutes_max: 30, execute: next_open}\nnonsense: 1"
    )
    assert (calendar.mic, schedule.landing_minutes_max) == ("XNYS", 30)


EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", sorted(str(path.relative_to(EXAMPLES)) for path in EXAMPLES.glob("*/mandate*.yaml")))
def test_the_examples_are_mandates(name: str) -> None:
    """What a user copies can be read."""
    assert parse_mandate((EXAMPLES / name).read_text(encoding="utf-8")).universe.listings


STRATEGIES: dict[str, dict[str, dict[str, object]]] = {
    "risk_parity": {"portfolio": {"method": "risk_parity"}},
    "momentum_vol_target": {
        "portfolio": {"forecast_tilt_per_sd_per_year": 0.04, "score_weights": {"momentum_12_1": 1.0}},
        "volatility": {"target_per_year": 0.12},
    },
    "low_vol_multi_factor": {
        "portfolio": {
            "risk_aversion": 8.0,
            "score_weights": {"low_volatility_126d": 0.6, "momentum_12_1": 0.25, "reversal_5d": 0.15},
        },
        "volatility": {"target_per_year": 0.08},
    },
}


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize(("file", "base"), [("mandate.yaml", ""), ("mandate-482.yaml", "examples/us_equities/")])
def test_a_strategy_differs_in_what_it_says(name: str, file: str, base: str) -> None:
    """A strategy's file is the default mandate, or that of the 482 names, but for its own keys: limits stay as they are."""
    root = EXAMPLES.parent
    plain = yaml.safe_load((root / base / "mandate.yaml").read_text(encoding="utf-8"))
    found = yaml.safe_load((EXAMPLES / name / file).read_text(encoding="utf-8"))
    for section, changes in STRATEGIES[name].items():
        plain[section] |= changes
    plain["account"]["id"] = name.replace("_", "-")
    if base:
        plain["calendar"]["go_live"] = found["calendar"]["go_live"]
    if base and name == "risk_parity":  # every name gets a little, also on the days in which the book is built up
        plain["portfolio"]["min_order"] = {"usd": 50, "fraction": 0.00005}
        plain["limits"]["RC-14_order_count"]["per_session"] = 600
    assert found == plain
