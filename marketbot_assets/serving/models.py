"""What every answer looks like: the contract that the OpenAPI document tells. Numbers that are not known are null.

Not here: how answers are made (`views`).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

SESSION = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
ORDER = r"^mb1-[a-z2-7]{6,26}$"


class _Answer(BaseModel):
    """Nothing but the named fields leaves."""

    model_config = ConfigDict(extra="forbid")


class Health(_Answer):
    """That the server answers; it says nothing about the book."""

    status: Literal["ok"]


class Problem(_Answer):
    """Why there is no answer."""

    detail: str


class LedgerHead(_Answer):
    """How long the ledger is, its root, and whether its chain holds."""

    size: int
    root: str
    whole: bool
    problem: str


class Halt(_Answer):
    """The halt flag of all sources."""

    status: str
    reason: str
    level: str


class Sessions(_Answer):
    """First, last and next session."""

    first: str | None
    last: str | None
    last_state: str
    last_reason: str
    next: str | None


class Status(_Answer):
    """Where the book, the limits and the last run stand; `fine` is false when someone has to act."""

    ledger: LedgerHead
    signed: int
    store_objects: int
    halt: Halt
    halt_sources: dict[str, str]
    sessions: Sessions | None
    book: dict[str, JsonValue] | None
    limits: list[dict[str, JsonValue]] | None
    open_orders: list[dict[str, JsonValue]] | None
    in_doubt_orders: list[dict[str, JsonValue]] | None
    failure: dict[str, JsonValue] | None
    trading_state: str | None
    breaches: list[dict[str, JsonValue]] | None
    flatten: JsonValue
    llm: JsonValue
    alerts: JsonValue
    next: str
    fine: bool


class Position(_Answer):
    """One held instrument; `weight` is a fraction of NAV, prices in the listing currency, quantities decimal text."""

    instrument: str
    ticker: str
    name: str
    currency: str
    quantity: str | None
    price: float | None
    fx: float | None
    value_base: float | None
    weight: float | None


class Cash(_Answer):
    """One currency's cash."""

    currency: str
    amount: str | None
    value_base: float | None


class Positions(_Answer):
    """The newest book; `nav` in base currency."""

    session: str
    nav: float | None
    positions: list[Position]
    cash: list[Cash]


class DecisionLine(_Answer):
    """One session's decision as its entry in the ledger, and how the session ended."""

    session: str
    seq: int
    hash: str
    record_sha256: str
    cutoff_at: str | None
    end_state: str
    end_reason: str


class Decisions(_Answer):
    """Decisions, newest first; `more`: there are older ones."""

    decisions: list[DecisionLine]
    more: bool


class OrderLine(_Answer):
    """One order of a frozen batch with its newest state."""

    client_order_id: str
    session: str | None
    instrument: str | None
    ticker: str
    name: str
    mic: str | None
    side: str | None
    quantity: str | None
    currency: str | None
    state: str


class Orders(_Answer):
    """The orders of a session."""

    session: str
    orders: list[OrderLine]


class Decision(DecisionLine):
    """A decision with its verdict, its orders and the versions that it names."""

    verdict: str | None
    rounds: int | None
    batch_sha256: str | None
    mandate_sha256: str | None
    facts: JsonValue
    versions: JsonValue
    orders: list[OrderLine]
    report: bool


class Explanation(_Answer):
    """Why an order exists: what `marketbot explain ORDER --json` shows. `fault` is empty when all evidence holds."""

    order: dict[str, JsonValue]
    plan: dict[str, JsonValue] | None
    target: dict[str, JsonValue] | None
    verdict: dict[str, JsonValue]
    fills: list[dict[str, JsonValue]]
    ledger: dict[str, JsonValue]
    synthetic: bool
    base_currency: str
    broker: str
    chain: list[dict[str, JsonValue]]
    blobs: list[str]
    tree: JsonValue
    faults: int
    fault: str


class Proof(_Answer):
    """What proves an order, to be checked with RFC 6962 trees: record -> leaf -> path -> root -> signed note.

    `objects`, `bodies`: the hashes of everything behind the decision. The files themselves: `marketbot prove ORDER`.
    """

    order: str
    session: str
    seq: int
    leaf_sha256: str
    record: str
    size: int
    root: str
    signed_note: str | None
    path: list[str]
    objects: list[dict[str, JsonValue]]
    bodies: list[str]
    faults: int
    fault: str


class Limit(_Answer):
    """One answer of a control: what it saw, what it allows, what it says."""

    control: str
    key: str
    name: str
    observed: float | None
    limit: float | None
    headroom: float | None
    unit: str
    status: str
    message: str


class Limits(_Answer):
    """Every answer of a session's verdict."""

    session: str
    verdict: str
    controls: list[Limit]


class Controls(_Answer):
    """Every control, its newest answer, and when it last said more than PASS."""

    first: str
    last: str
    verdicts: int
    controls: list[dict[str, JsonValue]]


class AlertLine(_Answer):
    """One alert; `channel`, `at`, `answer`: who took it and when, null while nobody has; `do`: what the runbook says."""

    key: str
    code: str
    severity: str
    subject: str
    session: str
    message: str
    do: str
    channel: str | None
    at: str | None
    answer: str | None
    failures: int
    last_failure: str | None
    acknowledged: bool


class Alerts(_Answer):
    """Recorded alerts, newest first; `found`: what calls for one now and is not recorded."""

    alerts: list[AlertLine]
    found: list[AlertLine]


class Reports(_Answer):
    """Sessions that have a report, newest first."""

    sessions: list[str]


class Found(_Answer):
    """What a search found; `next_before`: the number to go on with, null at the end."""

    query: str
    entries: list[dict[str, JsonValue]]
    objects: list[dict[str, JsonValue]]
    bodies: list[dict[str, JsonValue]]
    next_before: int | None


class HaltOrder(_Answer):
    """Stop. `reason` goes to the ledger; a level that cancels or sells needs the broker and therefore the command."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]
    level: Literal["no-new-runs", "reduce-only", "halt"] = "halt"


class Halted(_Answer):
    """What the switch says now; `problem`: what of it failed, though the flag is set."""

    halted: bool
    status: str
    level: str
    reason: str
    entry: int | None
    problem: str
