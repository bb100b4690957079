"""Interactive Brokers' gateway as a signed-in brokerage session: questions answered in JSON, and the broker's own clock.

A GET may be asked again, a POST never is (`http`). The gateway runs beside us, is signed in by a person, and loses its session
once a day. Not here: what orders and accounts look like (`ibkr_orders`, `ibkr_account`).
"""

import datetime as dt
import ssl
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeAlias, cast

from marketbot_resources.broker import broker_json
from marketbot_resources.broker.http import Answer, BrokerHttp, NoAnswer, Seen, is_loopback, one_line
from marketbot_resources.errors import BrokerError

GATEWAY = "https://127.0.0.1:5000/v1/api"
PAPER_PREFIX = "D"  # ids of paper accounts: DU..., DF... of advisors
# The gateway refuses what comes sooner: one question in five seconds at these addresses (429), ten in a second in all.
PAUSES = {"/iserver/account/orders": 5.0, "/iserver/account/trades": 5.0, "/portfolio/accounts": 5.0}
WARMUP_TRIES = 4
FRESH = 5.0
"""Seconds for which an answer to the same question stands, unless something was sent since: the gateway keeps it as long."""

Json: TypeAlias = "str | int | bool | Decimal | list[Json] | dict[str, Json] | None"


def pinned_tls(host: str, certificate: Path | None) -> ssl.SSLContext | None:
    """How the gateway proves itself; None: by the public authorities.

    Its own certificate is self-signed. With a file, exactly that certificate is taken; without one, any, but only on this machine,
    where nobody stands between. Raises BrokerError when the file cannot be used.
    """
    if certificate is not None:
        try:
            context = ssl.create_default_context(cafile=str(certificate))
        except (OSError, ssl.SSLError) as error:
            raise BrokerError(
                f"MARKETBOT_IBKR_CERTIFICATE: expected a PEM certificate at {certificate}: {error}"
            ) from error
        context.check_hostname = False  # this one certificate is the proof, whatever name it carries
        return context
    if not is_loopback(host):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class IbkrGateway:
    """The brokerage session of one account. `environment`: "paper" or "live", as the mandate says.

    `wait` lets seconds pass, `now` counts them. Raises BrokerError at once when the account's id says another environment
    (RC-82), or when the address is neither https nor this machine.
    """

    def __init__(
        self,
        address: str,
        account: str,
        environment: str,
        *,
        certificate: Path | None = None,
        seen: Callable[[Seen], None] | None = None,
        wait: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        paper = account.startswith(PAPER_PREFIX)
        if paper != (environment == "paper") or not account.isalnum():
            found = "a paper account" if paper else "a live account"
            raise BrokerError(
                f"broker.account: expected an account for {environment} trading, found {found}; see RC-82"
            )
        base, _, path = address.partition("://")[2].partition("/")
        scheme = address.partition("://")[0]
        host = base.rpartition(":")[0] or base
        self.account, self.environment, self.address = account, environment, address
        self._prefix = "/" + path.strip("/") if path else ""
        tls = pinned_tls(host, certificate) if scheme == "https" else None
        self._http = BrokerHttp(f"{scheme}://{base}", seen=seen, wait=wait, tls=tls)
        self._wait, self._now, self._asked_at = wait, now, dict[str, float]()
        self._lists: dict[str, tuple[float, list[dict[str, Json]]]] = {}
        self._signed_in_at: float | None = None
        self.broker_at: dt.datetime | None = None

    def signed_in(self, *, again: bool = False) -> None:
        """Makes sure that orders may be sent in this session and that the account is one of its own.

        What was seen within FRESH seconds stands, unless `again`. Raises BrokerError with what to do when nobody is signed in,
        another session competes, or the account is not there.
        """
        begun = self._now()
        if not again and self._signed_in_at is not None and begun - self._signed_in_at < FRESH:
            return
        self._told("the session", self._http.post(self._prefix + "/tickle", None))
        status = record(
            self._told("the session", self._http.post(self._prefix + "/iserver/auth/status", None)), "status"
        )
        if status.get("competing") is True:
            raise BrokerError(
                "Interactive Brokers: another session of this user trades (TWS, a phone, another gateway); end it, "
                f"then sign in again at {self._site}"
            )
        if status.get("authenticated") is not True or status.get("connected") is not True:
            raise BrokerError(f"Interactive Brokers: the gateway is not signed in; open {self._site} and sign in")
        known = record(self.read("/iserver/accounts"), "accounts")
        if self.account not in listed(known.get("accounts"), "accounts"):
            raise BrokerError(
                "broker.account: expected one of the gateway's accounts, found another user's or a wrong id"
            )
        if isinstance(paper := known.get("isPaper"), bool) and paper != (self.environment == "paper"):
            raise BrokerError(
                f"broker.environment: expected {self.environment}, found that the session is of the other"
            )
        self._signed_in_at = begun

    def read(self, target: str, query: Mapping[str, str] | None = None) -> Json:
        """What a question's answer says. Raises BrokerError when there is none that can be used."""
        self._pace(target)
        return self._told(target, self._http.get(self._prefix + target, query))

    def found(self, target: str) -> Json:
        """The same for something that may not exist: None when the broker says so."""
        answer = self._http.get(self._prefix + target)
        if isinstance(answer, Answer) and answer.status in (400, 404):
            self._clock(answer)
            return None
        told = self._told(target, answer)
        return None if isinstance(told, dict) and "error" in told else told

    def post(self, target: str, body: object) -> Answer | NoAnswer:
        """Sends once. What was asked before is asked anew afterwards."""
        self._lists.clear()
        return self._kept(self._http.post(self._prefix + target, body))

    def delete(self, target: str) -> Answer | NoAnswer:
        """Asks once for an end. What was asked before is asked anew afterwards."""
        self._lists.clear()
        return self._kept(self._http.delete(self._prefix + target))

    def live_orders(self) -> list[dict[str, Json]]:
        """The account's orders of this brokerage session, open and ended, in the order told.

        The first question only makes the gateway fetch them, and its answer is empty. Raises BrokerError when it never tells.
        """
        return self._fresh("orders", self._orders)

    def trades(self, days: int) -> list[dict[str, Json]]:
        """The account's executions of so many days, 7 at most."""
        query = {"days": str(days), "accountId": self.account}
        return self._fresh(
            "trades",
            lambda: [record(e, "trade") for e in listed(self.read("/iserver/account/trades", query), "trades")],
        )

    def _fresh(self, name: str, ask: Callable[[], list[dict[str, Json]]]) -> list[dict[str, Json]]:
        """The list as it was told within FRESH seconds, or asked for now; the account's own entries."""
        begun = self._now()
        known = self._lists.get(name)
        if known is not None and begun - known[0] < FRESH:
            return known[1]
        names = ("account", "acct", "accountCode")
        mine = [entry for entry in ask() if self.account in (entry.get(name) for name in names)]
        self._lists[name] = (begun, mine)
        return mine

    def _orders(self) -> list[dict[str, Json]]:
        target, mine = "/iserver/account/orders", {"accountId": self.account}
        self.read(target, {**mine, "force": "true"})
        for _ in range(WARMUP_TRIES):
            told = record(self.read(target, mine), "orders")
            if told.get("snapshot") is True:
                return [record(entry, "order") for entry in listed(told.get("orders"), "orders")]
        raise BrokerError("Interactive Brokers: expected the list of orders, found it not ready; try again later")

    def wait(self, seconds: float) -> None:
        """Lets seconds pass."""
        self._wait(seconds)

    def close(self) -> None:
        """Closes what connections are open; the session stays, and may be used again."""
        self._http.close()

    @property
    def _site(self) -> str:
        return self.address.removesuffix(self._prefix)

    def _pace(self, target: str) -> None:
        pause, now = PAUSES.get(target, 0.0), self._now()
        left = self._asked_at.get(target, now - pause) + pause - now
        if left > 0:
            self._wait(left)
        self._asked_at[target] = self._now()

    def _kept(self, answer: Answer | NoAnswer) -> Answer | NoAnswer:
        if isinstance(answer, Answer):
            self._clock(answer)
        return answer

    def _clock(self, answer: Answer) -> None:
        """The API tells no time of its own: its answers' Date header does, to the second."""
        try:
            at = parsedate_to_datetime(answer.headers["date"])
        except (KeyError, ValueError):
            return
        if at.tzinfo is not None:
            self.broker_at = at.astimezone(dt.UTC)

    def _told(self, what: str, answer: Answer | NoAnswer) -> Json:
        self._kept(answer)
        if isinstance(answer, NoAnswer):
            raise BrokerError(f"Interactive Brokers, {what}: no answer: {answer.reason}; does the gateway run?")
        if answer.status == 401:
            raise BrokerError(f"Interactive Brokers: the gateway is not signed in; open {self._site} and sign in")
        if answer.status != 200:
            raise BrokerError(f"Interactive Brokers, {what}: expected an answer, found status {answer.status}")
        return parsed(answer.body, what)


def parsed(body: bytes, what: str) -> Json:
    """JSON with exact numbers. Raises BrokerError for anything else: keys told twice, NaN and infinity included."""
    return cast("Json", broker_json.read(f"Interactive Brokers, {what}", body))


def record(told: Json, what: str) -> dict[str, Json]:
    """A JSON object. Raises BrokerError for anything else."""
    if not isinstance(told, dict):
        raise BrokerError(f"Interactive Brokers: expected an object as {what}, found {type(told).__name__}")
    if "error" in told:
        raise BrokerError(f"Interactive Brokers, {what}: {one_line(str(told['error']))}")
    return told


def listed(told: Json, what: str) -> list[Json]:
    """A JSON array. Raises BrokerError for anything else."""
    if not isinstance(told, list):
        raise BrokerError(f"Interactive Brokers: expected a list as {what}, found {type(told).__name__}")
    return told


def number(told: Json, what: str) -> Decimal:
    """A finite number, whether written as one or as text with thousands separators. Raises BrokerError for anything else."""
    try:
        if isinstance(told, bool) or not isinstance(told, str | int | Decimal):
            raise ValueError
        found = Decimal(told.replace(",", "") if isinstance(told, str) else told)
        if not found.is_finite():
            raise ValueError
    except (ArithmeticError, ValueError) as error:
        raise BrokerError(f"Interactive Brokers: expected a number as {what}, found {one_line(repr(told))}") from error
    return found


def text(told: Json) -> str:
    """A name or id as text, empty when it is missing: ids come as numbers in one answer and as text in the next."""
    return "" if told is None or isinstance(told, bool | list | dict) else str(told).strip()
