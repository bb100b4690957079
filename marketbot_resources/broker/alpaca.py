"""Alpaca's Trading API as a BrokerPort: one POST per order, never repeated; every other question is a GET.

A refusal is believed only after Alpaca, asked by our id, does not know the order; silence, an answer that is no JSON, or an order
that is not the one sent, is a BrokerError or UNKNOWN, never a success. The account is verified before the first order.
Source: https://docs.alpaca.markets/reference (keys: environment variables APCA_API_KEY_ID and APCA_API_SECRET_KEY).
Not here: orders and states on the wire (`alpaca_orders`, `alpaca_states`), the account (`alpaca_account`).
"""

import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from marketbot_resources import settings
from marketbot_resources.alpaca_terms import ALPACA_CAPABILITIES
from marketbot_resources.broker import alpaca_orders, alpaca_states, broker_json
from marketbot_resources.broker.alpaca_account import Listings, Told, activity_ids, report_of
from marketbot_resources.broker.broker_json import Row
from marketbot_resources.broker.http import Answer, BrokerHttp, NoAnswer, local_base
from marketbot_resources.broker.symbols import Symbols
from marketbot_resources.capabilities import Capabilities
from marketbot_resources.closures import clock_of
from marketbot_resources.errors import BrokerError, HomeError
from marketbot_resources.market.vendor_json import shown, words
from marketbot_resources.model import PAPER, TERMINAL_STATES, AccountReport, Acknowledgement, Order, OrderState
from marketbot_resources.redaction import redactor

if TYPE_CHECKING:
    from marketbot_resources.mandate import Mandate

HOSTS = {PAPER: "https://paper-api.alpaca.markets", "live": "https://api.alpaca.markets"}
KEY_PREFIXES = {PAPER: "PK", "live": "AK"}
PAPER_NUMBER = "PA"
ADDRESS_VARIABLE = "MARKETBOT_BROKER_URL"
KEY_VARIABLES = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
PACE_SECONDS = 0.31  # Alpaca takes 200 requests a minute
PAGE, PAGES_MAX, ORDERS_PAGE = 100, 200, 500
OVERLAP = dt.timedelta(days=1)
STILL_TRIES, CANCEL_PAUSES = 3, (0.2, 0.5, 1.0)


class AlpacaBroker:
    """A BrokerPort over one account. `account`: its number or id; `environment`: paper or live, as the host that is asked.

    `symbols` gives the listings of the newest session. Raises BrokerError whenever an answer cannot be trusted.
    """

    def __init__(
        self,
        http: BrokerHttp,
        symbols: Callable[[], Symbols],
        *,
        account: str,
        environment: str,
        capabilities: Capabilities,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http, self._symbols, self._wait = http, symbols, wait
        self._account, self._environment = account, environment
        self.capabilities = capabilities
        self._known: Symbols | None = None
        self._verified = False
        self._sent: dict[str, tuple[Order, str]] = {}

    # --- orders ---

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        """Sends one order once. REJECTED without a request when Alpaca cannot do it; BrokerError when its fate is unknown."""
        name = order.client_order_id
        why = alpaca_orders.refused(order, self.capabilities, at)
        if why:
            return Acknowledgement(name, OrderState.REJECTED, "", why)
        ticker = self._ticker(order)
        if ticker is None:
            return Acknowledgement(name, OrderState.REJECTED, "", f"alpaca lists nothing for {order.instrument}")
        if not self._verified:
            self._verify(self._one("/v2/account"))
        before, self._sent[name] = self._sent.get(name), (order, ticker)
        answer = self._http.post("/v2/orders", alpaca_orders.body_of(order, ticker))
        if isinstance(answer, NoAnswer):
            raise BrokerError(f"order {name}: expected an answer, found none: {answer.reason}")
        if answer.status in (200, 201):
            return self._acknowledged(self._row(answer), name)
        if not 400 <= answer.status < 500 or answer.status in alpaca_states.IN_DOUBT:
            raise BrokerError(f"order {name}: expected an answer that decides, found {_said(answer)}")
        return self._refused(name, alpaca_states.refusal_of(answer.status, answer.body), before)

    def _refused(self, name: str, refusal: alpaca_states.Refusal, before: tuple[Order, str] | None) -> Acknowledgement:
        """A refusal stands when Alpaca does not know the order; else the order is what it is there."""
        rejected = Acknowledgement(name, OrderState.REJECTED, "", _clean(refusal.text))
        if refusal.word == "UNAUTHORIZED":
            return rejected
        row = self._by_client_id(name)
        if row is None and refusal.word == "DUPLICATE_ID":
            raise BrokerError(f"order {name}: its id is taken, as alpaca says, and alpaca does not know it; ask alpaca")
        if row is None:
            return rejected
        order, ticker = self._sent[name]
        other = alpaca_orders.differs(row, order, ticker)
        if other:
            self._sent[name] = before or self._sent[name]  # the one that alpaca has
            reason = f"the id belongs to an order with other fields: {other}"
            return Acknowledgement(name, OrderState.REJECTED, broker_json.text(row, "id"), _clean(reason))
        return self._acknowledged(row, name)

    def find(self, client_order_id: str) -> Acknowledgement | None:
        """Alpaca's view of an order by our id; None when it says that it does not know it. UNKNOWN for an unmapped state."""
        row = self._by_client_id(client_order_id)
        return None if row is None else self._acknowledged(row, client_order_id)

    def cancel(self, client_order_id: str, at: dt.datetime) -> Acknowledgement | None:
        """Asks for the end of an open order, once, and tells the state that Alpaca shows then; it may still be working."""
        row = self._by_client_id(client_order_id)
        if row is None:
            return None
        before = self._acknowledged(row, client_order_id)
        if before.state in TERMINAL_STATES:
            return before
        if not self._verified:
            self._verify(self._one("/v2/account"))
        answer = self._http.delete(f"/v2/orders/{quote(broker_json.text(row, 'id'), safe='')}")
        if isinstance(answer, NoAnswer) or answer.status not in (200, 204, 404, 422):
            said = answer.reason if isinstance(answer, NoAnswer) else _said(answer)
            raise BrokerError(f"order {client_order_id}: expected that its end was asked for, found {said}")
        found = self.find(client_order_id)
        for pause in CANCEL_PAUSES:
            if answer.status not in (200, 204) or found is None or found.state in TERMINAL_STATES:
                break
            self._wait(pause)
            found = self.find(client_order_id)
        if found is not None and found.state is OrderState.CANCELED:
            return dataclasses.replace(found, reason="canceled as asked")
        return found

    def _by_client_id(self, name: str) -> Row | None:
        answer = self._http.get("/v2/orders:by_client_order_id", {"client_order_id": name})
        if isinstance(answer, Answer) and answer.status == 404:
            if alpaca_states.refusal_of(404, answer.body).word == "NOT_FOUND":
                return None
        return self._row(self._ok(answer, f"order {name}"))

    def _acknowledged(self, row: Row, name: str) -> Acknowledgement:
        """The order as Alpaca tells it; UNKNOWN when it is not the one that this process sent."""
        if row.get("client_order_id") != name:
            raise BrokerError(f"order {name}: expected an answer about it, found {shown(row.get('client_order_id'))}")
        broker_id = broker_json.text(row, "id")
        state, reason = alpaca_states.state_of(row)
        if name in self._sent and (other := alpaca_orders.differs(row, *self._sent[name])):
            state, reason = OrderState.UNKNOWN, f"alpaca tells another order: {other}"
        return Acknowledgement(
            name,
            state,
            broker_id,
            _clean(reason),
            instrument=self._listings().instrument(broker_json.text(row, "symbol")),
            side=alpaca_orders.side_of(row),
            quantity=broker_json.number_or_none(row, "qty"),
            limit_price=broker_json.number_or_none(row, "limit_price"),
            filled=broker_json.number_or_none(row, "filled_qty"),
        )

    def _listings(self) -> Listings:
        if self._known is None:
            self._known = self._symbols()
        return Listings(self._known)

    def _ticker(self, order: Order) -> str | None:
        for symbols in (self._known, None):
            if symbols is None:
                symbols = self._known = self._symbols()
            try:
                listed = symbols.of(order.instrument)
            except BrokerError:
                continue
            return alpaca_orders.ticker_of(listed) if listed.mic == order.mic else None
        return None

    # --- the account ---

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        """The account at `until` (see `report_of`). Asked again while activities come in between, else BrokerError."""
        if since.tzinfo is None or until.tzinfo is None:
            raise BrokerError(f"alpaca: expected instants with a time zone, found {since} and {until}")
        self._known = self._symbols()
        after = min(since, until) - OVERLAP
        activities = self._activities(after)
        for _ in range(STILL_TRIES):
            told = self._told(activities, after)
            again = self._activities(after)
            if activity_ids(again) == activity_ids(activities):
                return report_of(told, Listings(self._known), environment=self._environment, since=since, until=until)
            activities = again
        raise BrokerError(
            "alpaca: expected an account that stands still while it is read, found new activities each time"
        )

    def _told(self, activities: list[Row], after: dt.datetime) -> Told:
        account = self._one("/v2/account")
        self._verify(account)
        positions = broker_json.rows_of("alpaca", self._value("/v2/positions"))
        working, names = self._orders("open", None), {}
        for row, name in [*self._orders("all", after), *working]:
            names[broker_json.text(row, "id")] = name
        for order in sorted({broker_json.text(r, "order_id") for r in activities if r.get("activity_type") == "FILL"}):
            if order not in names:
                row = self._one(f"/v2/orders/{quote(order, safe='')}")
                names[order] = broker_json.text(row, "client_order_id")
        at, _ = clock_of(self._ok(self._http.get("/v2/clock"), "clock").body)
        return Told(account, positions, [row for row, _ in working], activities, names, at)

    def _orders(self, status: str, after: dt.datetime | None) -> list[tuple[Row, str]]:
        """Orders and the client order id each belongs to: the legs of a bracket are its entry's."""
        query = {"status": status, "limit": str(ORDERS_PAGE), "direction": "asc", "nested": "true"}
        found: dict[str, tuple[Row, str]] = {}
        if after is not None:
            query["after"] = _stamp(after)
        for _ in range(PAGES_MAX):
            rows = broker_json.rows_of("alpaca", self._value("/v2/orders", query))
            fresh = [row for row in rows if broker_json.text(row, "id") not in found]
            for row in fresh:
                name = broker_json.text(row, "client_order_id")
                legs = row.get("legs")
                for one in (row, *(broker_json.rows_of("alpaca", legs) if legs is not None else ())):
                    found[broker_json.text(one, "id")] = (one, name)
            if len(rows) < ORDERS_PAGE or not fresh:
                break
            query["after"] = broker_json.text(rows[-1], "submitted_at")
        else:
            raise BrokerError(f"alpaca: expected at most {PAGES_MAX} pages of orders, found more")
        kept = list(found.values())
        return kept if status != "open" else [pair for pair in kept if _works(pair[0])]

    def _activities(self, after: dt.datetime) -> list[Row]:
        query = {"after": _stamp(after), "direction": "asc", "page_size": str(PAGE)}
        found: list[Row] = []
        for _ in range(PAGES_MAX):
            rows = broker_json.rows_of("alpaca", self._value("/v2/account/activities", query))
            found += rows
            if len(rows) < PAGE:
                return found
            query["page_token"] = broker_json.text(rows[-1], "id")
        raise BrokerError(f"alpaca: expected at most {PAGES_MAX} pages of activities, found more")

    def _verify(self, account: Row) -> None:
        """The account that answers is the mandate's and of its environment; else nothing is asked of it."""
        number, internal = broker_json.text(account, "account_number"), broker_json.text(account, "id")
        if self._account not in (number, internal):
            raise BrokerError(
                "alpaca: expected the account that the mandate names, found another one; see broker.account"
            )
        if number.startswith(PAPER_NUMBER) != (self._environment == PAPER):
            raise BrokerError(f"alpaca: expected an account of {self._environment} money, found one of the other kind")
        self._verified = True

    # --- questions ---

    def _one(self, target: str) -> Row:
        return broker_json.row_of("alpaca", self._value(target))

    def _value(self, target: str, query: Mapping[str, str] | None = None) -> object:
        answer = self._ok(self._http.get(target, query), target)
        return broker_json.read("alpaca", answer.body)

    def _row(self, answer: Answer) -> Row:
        return broker_json.row_of("alpaca", broker_json.read("alpaca", answer.body))

    def _ok(self, answer: Answer | NoAnswer, what: str) -> Answer:
        if isinstance(answer, NoAnswer):
            raise BrokerError(f"alpaca: {what}: expected an answer, found none: {answer.reason}")
        if answer.status != 200:
            raise BrokerError(f"alpaca: {what}: expected status 200, found {_said(answer)}")
        return answer


def open_alpaca(mandate: "Mandate", home: Path) -> AlpacaBroker:
    """The mandate's account at Alpaca. Raises HomeError without keys, BrokerError for keys of the other environment (RC-82).

    MARKETBOT_BROKER_URL names another address on this machine, for tests.
    """
    from marketbot_resources.broker.symbols import symbols_of
    from marketbot_resources.broker.wire_log import WireLog
    from marketbot_resources.store.lake import open_lake

    key, secret = (settings.variable(name) for name in KEY_VARIABLES)
    if key is None or secret is None:
        raise HomeError(f"alpaca: expected keys in {' and '.join(KEY_VARIABLES)}, found none; set them")
    environment = mandate.broker.environment
    if not key.startswith(KEY_PREFIXES[environment]):
        raise BrokerError(
            f"alpaca (RC-82): expected a key of the {environment} environment, which begins with "
            f"{KEY_PREFIXES[environment]}, found another one; nothing was asked"
        )
    local = local_base(ADDRESS_VARIABLE, settings.variable(ADDRESS_VARIABLE))
    headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret}
    return AlpacaBroker(
        BrokerHttp(
            local or HOSTS[environment],
            headers=headers,
            seen=WireLog(home, "alpaca").keep,
            pace=0.0 if local else PACE_SECONDS,
        ),
        lambda: symbols_of(open_lake(home)),
        account=mandate.broker.account,
        environment=environment,
        capabilities=dataclasses.replace(ALPACA_CAPABILITIES, dedupes_client_id=mandate.broker.dedupes_client_id),
    )


def _works(row: Row) -> bool:
    state, _ = alpaca_states.state_of(row)
    return state not in TERMINAL_STATES


def _stamp(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _said(answer: Answer) -> str:
    return f"{answer.status}: {_clean(words(answer.body))}"


def _clean(text: str) -> str:
    return redactor().text(text)
