"""The ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ..errors import report_bug
from ..versions import package_version
from .http.answers import refusal_response
from .http.guard import Guard, Tokens
from .http.refusal import Refusal
from .jobs import Jobs
from .metrics import Metrics
from .pages import add_pages
from .root_files import RootFiles
from .routes import add_routes
from .services import Services
from .settings import ServeSettings
from .worker import Worker
from .workplace import Workplace

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

__all__ = ["create_app"]

_JSON_EXPECTED: Final = "the body must be a JSON object; the page /docs says which keys it has"


class _RefusalResponse(Response):
    """A refusal as a response that ends connections whose body was not read."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(status_code=refusal.status)
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await refusal_response(self._refusal, scope, receive, send)


class WebApp(NamedTuple):
    """The application, as ASGI calls it, and what ends its work: requests that wait for it are answered."""

    asgi: Any
    stop: Callable[[], Awaitable[None]]


def create_app(
    settings: ServeSettings, worker: Worker, workplace: Workplace, port: int | None = None
) -> WebApp:
    """Make the application; its lifespan starts the worker if it does not run, and ends it.

    Args:
        settings: bounds, root, token.
        worker: the analysing process.
        workplace: where uploads and results lie; removed at the end.
        port: that is listened on, if it is not that of the settings.

    Raises:
        OSError: the root folder can't be read.
    """
    metrics = Metrics()
    jobs = Jobs(settings, worker, workplace, metrics)
    tokens = Tokens(settings.token, settings.port if port is None else port)
    root = None if settings.root is None else RootFiles(settings.root)
    services = Services(settings, worker, workplace, metrics, jobs, tokens, root)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            if not worker.alive:
                await worker.start()
            jobs.start()
            yield
        finally:
            await jobs.stop()
            await worker.stop()
            workplace.close()

    app = FastAPI(
        title="moclip",
        version=package_version(),
        description="Labels of videos over time, from their motion vectors and a few frames.",
        docs_url=None,  # Swagger UI comes from a CDN; pages.py has a page of our own
        redoc_url=None,
        lifespan=lifespan,
    )
    _add_error_handlers(app)
    add_routes(app, services)
    add_pages(app, tokens.required)
    _answer_head(app)
    return WebApp(Guard(app, settings, tokens, metrics), jobs.stop)


def _invalid_sentence(first: Mapping[str, Any]) -> str:
    """What is wrong with a value of the address, or with a JSON body."""
    place, *keys = first["loc"]
    if place == "body" and (not keys or first["type"] == "json_invalid"):
        return _JSON_EXPECTED
    return f"{'.'.join(str(key) for key in keys)}: {first['msg'].lower()}"


def _answer_head(app: FastAPI) -> None:
    """Answer HEAD wherever GET is answered."""
    app.openapi()  # made and kept before, because it would describe each route twice
    for route in app.routes:
        methods = getattr(route, "methods", None) or set()
        if "GET" in methods:
            methods.add("HEAD")


def _add_error_handlers(app: FastAPI) -> None:
    """Every error is a JSON object with one sentence."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return _RefusalResponse(error)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _RefusalResponse(Refusal(422, _invalid_sentence(error.errors()[0])))

    async def standard(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        # FastAPI answers so to bodies that are no JSON, and to nothing else.
        unreadable = error.status_code == 400
        sentence = _JSON_EXPECTED if unreadable else str(error.detail).lower()
        return _RefusalResponse(Refusal(error.status_code, sentence))

    async def bug(request: Request, error: Exception) -> Response:
        report_bug(f"{request.method} {request.url.path}", error)
        return _RefusalResponse(Refusal(500, "a bug in this program; the server's log has the details"))

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, standard)
    app.add_exception_handler(Exception, bug)
