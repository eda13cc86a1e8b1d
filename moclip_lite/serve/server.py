"""Running the server: address, token, uvicorn."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConfigError, MoclipError
from .settings import ServeSettings
from .worker import Worker
from .workplace import Workplace

if TYPE_CHECKING:
    from .app import WebApp

__all__ = ["require_packages", "run_server", "uvicorn_server", "with_token"]

_GRACE: Final = 3  # seconds for open connections at the end
_BACKLOG: Final = 128


def require_packages() -> None:
    """Import what the server needs.

    Raises:
        MoclipError: it is not installed.
    """
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MoclipError(f"serve needs {error.name}: pip install 'moclip-lite[web]'") from error


def with_token(settings: ServeSettings) -> tuple[ServeSettings, bool]:
    """The settings with a generated token where other machines can connect and none was given.

    Returns:
        The settings, and whether the token was generated.
    """
    if settings.local or settings.token is not None:
        return settings, False
    return settings.model_copy(update={"token": secrets.token_urlsafe(24)}), True


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigError: the port is in use, or the address is none of this machine.
    """
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(f"--host {host}: there is no such address") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"{where} is in use by another program; choose another --port, 0 for any free one"
            ) from error
        if error.errno == errno.EACCES:
            raise ConfigError(f"{where}: ports below 1024 need more rights; choose another --port") from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise ConfigError(f"--host {host} is no address of this machine") from error
        raise
    return listener


def run_server(
    settings: ServeSettings, command: Sequence[str], on_ready: Callable[[str, dict[str, Any]], None]
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        settings: with the token that :func:`with_token` gives.
        command: of the analysing process, see :func:`moclip_lite.serve.worker.child_command`.
        on_ready: receives the address and what is known of the model, before the first request.

    Raises:
        ConfigError: the address can't be listened on.
        MoclipError: the model can't be loaded.
        OSError: the root folder can't be read.
    """
    listener = bind(settings.host, settings.port)
    try:
        asyncio.run(_serve(settings, listener, command, on_ready))
    finally:
        listener.close()


async def _serve(
    settings: ServeSettings,
    listener: socket.socket,
    command: Sequence[str],
    on_ready: Callable[[str, dict[str, Any]], None],
) -> None:
    from .app import create_app

    port = int(listener.getsockname()[1])
    workplace = Workplace()
    worker = Worker(command, settings.time_limit, workplace.scratch)
    try:
        app = create_app(settings, worker, workplace, port)
        await worker.start()
        on_ready(f"http://{_url_host(settings.host)}:{port}/", worker.about)
        await uvicorn_server(app, settings, _GRACE).serve(sockets=[listener])
    finally:
        await worker.stop()
        workplace.close()


def uvicorn_server(app: WebApp, settings: ServeSettings, grace: int) -> Any:
    """The server of the application, which answers requests that wait for work before it ends them.

    Args:
        app: that :func:`moclip_lite.serve.app.create_app` made.
        settings: the same.
        grace: seconds for open connections at the end.
    """
    import uvicorn

    from .http.connections import protocol_for

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await app.stop()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app.asgi,
        http=protocol_for(settings),
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=grace,
    )
    return Server(config)


def _url_host(host: str) -> str:
    """The host as a browser on this machine would name it."""
    bare = host.strip("[]")
    if bare in ("0.0.0.0", "::"):  # noqa: S104
        return socket.gethostname()
    return f"[{bare}]" if ":" in bare else bare
