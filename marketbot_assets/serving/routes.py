"""The interface, version 1: every route reads, but one, which halts. Answers are checked by their models before they leave.

Not here: what is looked at (`views`), who may (`access`), the pages for people (`page_routes`).
"""

import json
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Response
from pydantic import BaseModel

from marketbot_assets.commands.order_names import intent_of
from marketbot_assets.serving import models, views
from marketbot_assets.serving.access import Access
from marketbot_assets.serving.metrics import metrics_text
from marketbot_resources.errors import UsageError
from marketbot_resources.model import HaltLevel
from marketbot_resources.tokens import Scope, Token

if TYPE_CHECKING:
    from marketbot_assets.serving.desk import Desk
    from marketbot_assets.serving.doors import Doors
    from marketbot_resources.store.lake import Lake

Session = Annotated[str, Path(pattern=models.SESSION, description="A session, like 2018-12-24.")]
Order = Annotated[str, Path(pattern=models.ORDER, description="An order's id or a unique beginning of it.")]
JSON, PROMETHEUS = "application/json", "text/plain; version=0.0.4; charset=utf-8"
_TOLD = {
    400: "The request cannot be read",
    401: "No token, or none that is good",
    403: "The token's scope does not cover this",
    404: "There is no such thing",
    409: "The switch would let more go than now",
    408: "The body came too slowly",
    413: "The body is too large",
    414: "The address is too long",
    421: "Another host name",
    422: "A part of the request is not as it should be",
    429: "Too many requests",
    503: "The home cannot be read now, or the answer took too long",
}


def _may(*statuses: int) -> "dict[int | str, dict[str, object]]":
    return {status: {"model": models.Problem, "description": _TOLD[status]} for status in statuses}


DOORS = (408, 413, 414, 421, 429)
READ = _may(401, 403, 404, 422, 503, *DOORS)


class Answers:
    """Turns views into answers: cleaned, checked by their model, kept as bytes while nothing changed."""

    def __init__(self, desk: "Desk") -> None:
        self.desk = desk

    def explained(self, order: str) -> views.View:
        """What `explain` shows of an order that begins like this, and its session's tickers; not cleaned yet."""
        name = self.desk.view(("name", order), lambda lake: intent_of(lake.ledger, order).key)
        return self.desk.view(("explain", name), lambda lake: views.explain_view(lake, name), slow=True)

    def json(self, key: Hashable, model: type[BaseModel], make: "Callable[[Lake], object]") -> Response:
        """The answer of a model. What `make` and the desk raise passes."""
        cleaner = self.desk.cleaner()

        def made(lake: "Lake") -> bytes:
            return model.model_validate(cleaner.value(make(lake))).model_dump_json().encode()

        return Response(self.desk.view((cleaner.number, key), made), media_type=JSON)

    def page(self, key: Hashable, make: "Callable[[Lake], str]") -> Response:
        """A page for people."""
        cleaner = self.desk.cleaner()

        def made(lake: "Lake") -> bytes:
            return cleaner.text(make(lake)).encode()

        return Response(self.desk.view((cleaner.number, "page", key), made), media_type="text/html")


def _name(view: views.View) -> str:
    return str(cast("views.View", view["order"])["client_order_id"])


def open_router() -> APIRouter:
    """What needs no token: that the server answers."""
    router = APIRouter(prefix="/v1")

    @router.get("/health", response_model=models.Health, responses=_may(*DOORS))
    def health() -> Response:
        """Whether the server answers; nothing about the book."""
        return Response(models.Health(status="ok").model_dump_json(), media_type=JSON)

    return router


def book_router(answers: Answers, access: Access, doors: "Callable[[], Doors]") -> APIRouter:
    """Status, numbers, positions, limits."""
    router = APIRouter(prefix="/v1", dependencies=[Depends(access.needs(Scope.READ))], responses=READ)

    @router.get("/status", response_model=models.Status)
    def status() -> Response:
        """Where the book, the limits and the last run stand."""
        return answers.json("status", models.Status, views.status_view)

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def metrics() -> Response:
        """The same as numbers, for Prometheus."""
        cleaner = answers.desk.cleaner()
        view = answers.desk.view("numbers", views.status_view)
        text = metrics_text(view, dict(doors().counts), doors().seconds)
        return Response(cleaner.text(text), media_type=PROMETHEUS)

    @router.get("/positions", response_model=models.Positions)
    def positions() -> Response:
        """The newest book."""
        return answers.json("positions", models.Positions, views.positions_view)

    @router.get("/controls", response_model=models.Controls)
    def controls() -> Response:
        """Every control, its newest answer, and when it last said more than PASS."""
        return answers.json("controls", models.Controls, views.controls_view)

    @router.get("/alerts", response_model=models.Alerts)
    def alerts(limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Response:
        """The newest alerts, and whether somebody was told."""
        return answers.json(("alerts", limit), models.Alerts, lambda lake: views.alerts_view(lake, limit))

    @router.get("/sessions/{session}/limits", response_model=models.Limits)
    def limits(session: Session) -> Response:
        """Every control's answers in a session's verdict."""
        return answers.json(("limits", session), models.Limits, lambda lake: views.limits_view(lake, session))

    return router


def trail_router(answers: Answers, access: Access, doors: "Callable[[], Doors]") -> APIRouter:
    """Decisions, orders, proofs, reports, the search."""
    router = APIRouter(prefix="/v1", dependencies=[Depends(access.needs(Scope.READ))], responses=READ)

    @router.get("/decisions", response_model=models.Decisions)
    def decisions(
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        before: Annotated[str | None, Query(pattern=models.SESSION)] = None,
    ) -> Response:
        """The newest decisions, newest first."""
        key = ("decisions", limit, before)
        return answers.json(key, models.Decisions, lambda lake: views.decisions_view(lake, limit, before))

    @router.get("/decisions/{session}", response_model=models.Decision)
    def decision(session: Session) -> Response:
        """One session's decision with its verdict and orders."""
        return answers.json(("decision", session), models.Decision, lambda lake: views.decision_view(lake, session))

    @router.get("/sessions/{session}/orders", response_model=models.Orders)
    def orders(session: Session) -> Response:
        """The orders of a session."""
        return answers.json(("orders", session), models.Orders, lambda lake: views.orders_view(lake, session))

    @router.get("/orders/{order}", response_model=models.Explanation)
    def order(order: Order) -> Response:
        """Why an order exists and what became of it; everything behind it is read and hashed again."""
        view = answers.explained(order)
        told = {name: value for name, value in view.items() if name != "tickers"}
        return answers.json(("order", _name(view)), models.Explanation, lambda lake: told)

    @router.get("/orders/{order}/proof", response_model=models.Proof)
    def proof(order: Order) -> Response:
        """What proves an order: record, way to a signed head, and the hashes of everything behind it."""
        view = answers.explained(order)
        name = _name(view)
        return answers.json(("proof", name), models.Proof, lambda lake: views.proof_view(lake, name, view))

    @router.get("/openapi.json", include_in_schema=False)
    def document() -> Response:
        """The interface as an OpenAPI document."""
        return Response(json.dumps(doors().document()), media_type=JSON)

    @router.get("/reports", response_model=models.Reports)
    def reports() -> Response:
        """The sessions that have a report."""
        return answers.json("reports", models.Reports, views.reports_view)

    @router.get("/reports/{session}", response_class=Response, responses={200: {"content": {"text/html": {}}}})
    def report(session: Session) -> Response:
        """The report of a session, one HTML page."""
        return answers.page(("report", session), lambda lake: views.report_page(lake, session))

    @router.get("/audit", response_model=models.Found)
    def audit(
        q: Annotated[str, Query(min_length=2, max_length=100, description="A part of kind and key, or of a hash.")],
        before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    ) -> Response:
        """What the ledger and the store have under a text or the beginning of a hash."""
        shown = answers.desk.cleaner().accounts
        return answers.json(("audit", q, before), models.Found, lambda lake: views.search_view(lake, q, before, shown))

    return router


def halt_router(answers: Answers, access: Access) -> APIRouter:
    """The one switch."""
    router = APIRouter(prefix="/v1", responses=_may(400, 401, 403, 409, 422, 503, *DOORS))
    needed = access.needs(Scope.OPERATOR)

    @router.post("/halt", response_model=models.Halted)
    def halt(order: models.HaltOrder, caller: Annotated[Token, Depends(needed)]) -> Response:
        """Stop now, as `marketbot halt` does; going on is for the command alone."""
        from marketbot_assets.commands.halt import halt_now

        try:
            view = halt_now(f"{order.reason} (token {caller.name})", HaltLevel(order.level))
        except UsageError as error:
            raise HTTPException(409, str(error)) from error
        told = {name: view[name] for name in models.Halted.model_fields}
        body = models.Halted.model_validate(answers.desk.guard().value(told))
        return Response(body.model_dump_json(), media_type=JSON)

    return router
