"""The pages' addresses: a form takes a token and gives a session by cookie; behind it, pages that only show.

Not here: how they look (`pages`), what is looked at (`views`), the interface for programs (`routes`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, cast
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from marketbot_assets.serving import models, pages, views
from marketbot_assets.serving.access import COOKIE, SESSION_SECONDS, Access
from marketbot_assets.serving.routes import Answers, Order, Session
from marketbot_resources.errors import UsageError

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake

HTML = "text/html; charset=utf-8"
ALERTS_SHOWN = 100
View = dict[str, object]
Text = Annotated[str, Query(max_length=100)]


def login_router(answers: Answers, access: Access) -> APIRouter:
    """In and out."""
    router = APIRouter(include_in_schema=False)

    @router.get("/login")
    def form() -> Response:
        return Response(pages.login_page(), media_type=HTML)

    @router.post("/login")
    async def login(request: Request) -> Response:
        _same_origin(request)
        given = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=4).get("token", [""])[0]
        try:
            token = access.checked(request, given.strip())
        except HTTPException as error:
            told = "That is no token that is good." if error.status_code == 401 else "Too many attempts; wait a little."
            return Response(pages.login_page(told), error.status_code, media_type=HTML)
        response = Response(status_code=303, headers={"Location": "/"})
        secure = request.url.scheme == "https"
        response.set_cookie(
            COOKIE, access.begin(token), max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=secure
        )
        return response

    @router.post("/logout")
    async def logout(request: Request) -> Response:
        _same_origin(request)
        access.end(request)
        response = Response(status_code=303, headers={"Location": "/login"})
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    return router


def _same_origin(request: Request) -> None:
    """A form of another site is refused; browsers say where a form stood, other clients need not."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "the form stood on another site")


def page_router(answers: Answers, access: Access) -> APIRouter:
    """The pages behind a session."""
    router = APIRouter(include_in_schema=False, dependencies=[Depends(access.visitor)])
    show = _shower(answers)

    @router.get("/")
    def book() -> Response:
        return show(
            "book", lambda lake: pages.book_page(_clean(answers, views.status_view(lake)), _positions(answers, lake))
        )

    @router.get("/limits")
    def limits(session: Annotated[str | None, Query(pattern=models.SESSION)] = None) -> Response:
        def made(lake: "Lake") -> str:
            found = views.limits_view(lake, session)
            tickers = {name: str(one["ticker"]) for name, one in views.listings(lake, str(found["session"])).items()}
            return pages.limits_page(_clean(answers, found), tickers)

        return show(("limits", session), made)

    @router.get("/alerts")
    def alerts() -> Response:
        return show("alerts", lambda lake: pages.alerts_page(_clean(answers, views.alerts_view(lake, ALERTS_SHOWN))))

    @router.get("/decisions")
    def decisions() -> Response:
        return show(
            "decisions", lambda lake: pages.decisions_page(_clean(answers, views.decisions_view(lake, 100, None)))
        )

    @router.get("/orders")
    def orders(session: Annotated[str | None, Query(pattern=models.SESSION)] = None) -> Response:
        def made(lake: "Lake") -> str:
            newest = session or max((entry.key for entry in lake.ledger.entries("decision")), default="none")
            return pages.orders_page(_clean(answers, views.orders_view(lake, newest)))

        return show(("orders", session), made)

    @router.get("/orders/{order}")
    def order(order: Order) -> Response:
        def made() -> Response:
            view = answers.explained(order)
            return answers.page(("pages", "order", order), lambda lake: _dossier(view))

        return _found(answers, made)

    @router.get("/reports")
    def reports() -> Response:
        return show("reports", lambda lake: pages.reports_page(_clean(answers, views.reports_view(lake))))

    @router.get("/reports/{session}")
    def report(session: Session) -> Response:
        return show(("report", session), lambda lake: pages.with_links(views.report_page(lake, session)))

    @router.get("/audit")
    def audit(q: Text = "", before: Annotated[int | None, Query(ge=1, le=2**53)] = None) -> Response:
        def made(lake: "Lake") -> str:
            shown = answers.desk.cleaner().accounts
            found = views.search_view(lake, q, before, shown) if len(q.strip()) >= 2 else None
            return pages.audit_page(q, _clean(answers, found) if found else None)

        return show(("audit", q, before), made)

    return router


def _shower(answers: Answers) -> "Callable[[object, Callable[[Lake], str]], Response]":
    def show(key: object, make: "Callable[[Lake], str]") -> Response:
        return _found(answers, lambda: answers.page(("pages", key), make))

    return show


def _found(answers: Answers, make: Callable[[], Response]) -> Response:
    """What is made, or a page that says that there is no such thing."""
    try:
        return make()
    except UsageError as error:
        told = answers.desk.guard().text(pages.message_page("Not found", str(error)))
        return Response(told, 404, media_type=HTML)


def _positions(answers: Answers, lake: "Lake") -> View:
    return _clean(answers, views.positions_view(lake))


def _clean(answers: Answers, view: View) -> View:
    return cast("View", answers.desk.cleaner().value(view))


def _dossier(view: View) -> str:
    from marketbot_assets.audit.dossier import build_dossier

    return pages.with_links(build_dossier(view, cast("dict[str, str]", view["tickers"])))
