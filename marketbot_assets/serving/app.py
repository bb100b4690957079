"""The application: routes, pages and errors put together behind their doors. Not here: its process (`commands.serve`)."""

import logging
from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from marketbot_assets.serving.access import Access
from marketbot_assets.serving.desk import Clock, Desk
from marketbot_assets.serving.doors import Doors, Rules
from marketbot_assets.serving.page_routes import login_router, page_router
from marketbot_assets.serving.routes import Answers, book_router, halt_router, open_router, trail_router
from marketbot_resources.errors import MarketbotError, UsageError
from marketbot_resources.tokens import Tokens

LOG = logging.getLogger("marketbot.serve")
TITLE, VERSION = "marketbot", "1"
TOLD = "What the book holds, what was decided and why, and what proves it. Everything reads, but `POST /v1/halt`, which stops."


def make_app(home: Path, clock: Clock, rules: Rules) -> Doors:
    """The whole interface of one home. `clock`: the present instant, UTC."""
    desk, access = Desk(home, clock), Access(Tokens(home), clock, rules.per_second)
    app = FastAPI(
        title=TITLE,
        version=VERSION,
        description=TOLD,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        strict_content_type=False,
    )
    app.router.redirect_slashes = False
    doors = Doors(app, desk, rules, lambda: clock().timestamp())
    answers = Answers(desk)
    for router in (
        open_router(),
        book_router(answers, access, _given(doors)),
        trail_router(answers, access, _given(doors)),
        halt_router(answers, access),
        login_router(answers, access),
        page_router(answers, access),
    ):
        app.include_router(router)
    _errors(app, desk)
    doors.document = app.openapi
    return doors


def _given(doors: Doors) -> Callable[[], Doors]:
    return lambda: doors


def _errors(app: FastAPI, desk: Desk) -> None:
    """Every error as one sentence in JSON: what was asked for is never repeated, what the home's folder is called neither."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return JSONResponse({"detail": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def odd(request: Request, error: RequestValidationError) -> Response:
        places = sorted({".".join(str(part) for part in one["loc"][:2]) for one in error.errors()})
        return JSONResponse({"detail": f"expected other values: {', '.join(places)}"}, 422)

    @app.exception_handler(MarketbotError)
    async def told(request: Request, error: MarketbotError) -> Response:
        missing = isinstance(error, UsageError)
        text = str(error) if missing else f"{type(error).__name__}: the home cannot be read now; see `marketbot status`"
        if not missing:
            LOG.warning("%s: %s", request.url.path, error)
        return JSONResponse({"detail": text}, 404 if missing else 503)
