"""Shared state of the routes, and creation of jobs from requests."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from .http.guard import Tokens
from .http.received import display_name
from .http.refusal import Refusal
from .jobs import Job, Jobs
from .metrics import Metrics
from .models import Options
from .root_files import RootFile, RootFiles
from .settings import ServeSettings
from .uploads import receive
from .worker import Worker
from .workplace import Workplace

__all__ = ["Services"]


@dataclass(frozen=True)
class Services:
    """What the routes work with."""

    settings: ServeSettings
    worker: Worker
    workplace: Workplace
    metrics: Metrics
    jobs: Jobs
    tokens: Tokens
    root: RootFiles | None

    async def submit(self, request: Request, *, page: bool) -> Job:
        """Receive a video or a path and put it into the queue.

        Raises:
            Refusal: bounds are exceeded, or the request is wrong.
            ClientDisconnect: the client went away; nothing is left.
        """
        client = request.client.host if request.client else "unknown"
        with self.jobs.place(client):
            folder = self.workplace.new_folder()
            try:
                free = self.workplace.free_bytes()
                received = await receive(request, folder, self.settings, self.metrics, free)
                given = {name: value for name, value in received.fields.items() if value != ""}
                options = Options.of(given)
                if (received.video is None) == (options.path is None):
                    raise Refusal(400, "send a video as `file`, or its `path` below the server's root folder")
                video, name, source = received.video, received.name, None
                if video is None:
                    assert options.path is not None
                    source, name = self._named(options.path), display_name(options.path)
                    video = source.path
                task = {"top_k": options.top_k, "preview": options.preview, "page": page}
                job = Job(name, video, folder, source, task, client)
            except BaseException:
                self.workplace.remove(folder)
                raise
        return self.jobs.add(job)

    def _named(self, path: str) -> RootFile:
        if self.root is None:
            raise Refusal(
                403, "this server takes uploads only; start it with --root DIR to name files by path"
            )
        return self.root.take(path)
