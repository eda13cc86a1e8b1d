"""Routes of the HTTP interface."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path, PurePath
from typing import Any, Final, Literal

from fastapi import Depends, FastAPI, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response
from starlette.requests import ClientDisconnect

from ..versions import package_version
from .http.received import parsed_json
from .http.refusal import Refusal
from .jobs import STOPPING, Job
from .metrics import CONTENT_TYPE
from .models import About, Files, JobStatus, Options, PredictAnswer, Problem, SessionRequest
from .services import Services

__all__ = ["add_routes"]

_WRONG_TOKEN_PAUSE: Final = 0.5  # seconds
_POLL: Final = 0.5  # seconds between two checks that a client is still connected
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": Problem, "description": "no token"},
    404: {"model": Problem, "description": "no such job or file"},
    409: {"model": Problem, "description": "the file changed during its analysis"},
    410: {"model": Problem, "description": "the file went away during its analysis"},
    413: {"model": Problem, "description": "upload or video above a limit"},
    422: {"model": Problem, "description": "the video can't be analysed"},
    429: {"model": Problem, "description": "too many jobs of this client"},
    503: {"model": Problem, "description": "the queue is full"},
}
_QUERY: Final = {
    "name": {"type": "string"},
    "top_k": {"type": "integer", "default": 5},
    "preview": {"type": "string", "enum": ["auto", "yes", "no"], "default": "auto"},
}
_BODY: Final = {
    "parameters": [{"name": name, "in": "query", "schema": schema} for name, schema in _QUERY.items()],
    "requestBody": {
        "required": True,
        "description": "a video, or its path below the server's root folder",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "the video"},
                        "path": {"type": "string", "description": "instead of a file"},
                        "top_k": {"type": "integer", "default": 5},
                        "preview": {"type": "string", "enum": ["auto", "yes", "no"], "default": "auto"},
                    },
                }
            },
            "application/json": {"schema": Options.model_json_schema()},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
}
_VIDEO_TYPES: Final = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm"}
_TIMELINE_TYPES: Final = {"csv": "text/csv", "json": "application/json", "vtt": "text/vtt"}


def add_routes(app: FastAPI, services: Services) -> None:
    """Add all routes below /api, /metrics and /healthz."""
    _add_about(app, services)
    _add_session(app, services)
    _add_predict(app, services)
    _add_jobs(app, services)
    _add_results(app, services)


def _add_about(app: FastAPI, services: Services) -> None:
    settings = services.settings

    @app.get("/healthz", tags=["operation"], response_class=PlainTextResponse)
    async def healthz() -> str:
        """Say that the server is up; needs no token."""
        return "ok\n"

    @app.get("/metrics", tags=["operation"], response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Counters in Prometheus' text format."""
        return Response(services.metrics.text(*services.jobs.counts()), media_type=CONTENT_TYPE)

    @app.get("/api/about", tags=["model"], response_model=About)
    async def about() -> dict[str, Any]:
        """The model, its labels, and the bounds of this server."""
        return {
            **services.worker.about,
            "version": package_version(),
            "max_upload": settings.max_upload,
            "max_length": settings.max_length,
            "root": services.root is not None,
        }

    @app.get("/api/files", tags=["model"], response_model=Files, responses={404: {"model": Problem}})
    def files(folder: str = "") -> dict[str, Any]:
        """Videos and folders in a folder below the server's root: at most 500, and whether there are more."""
        if services.root is None:
            raise Refusal(404, "this server has no root folder")
        paths, more = services.root.listing(folder)
        return {"paths": paths, "more": more}


async def _unrepeated(request: Request) -> None:
    """Refuse a JSON body that gives a name twice."""
    parsed_json(await request.body())


def _add_session(app: FastAPI, services: Services) -> None:
    @app.post(
        "/api/session",
        tags=["operation"],
        status_code=204,
        responses={401: {"model": Problem}},
        dependencies=[Depends(_unrepeated)],
    )
    async def session(body: SessionRequest) -> Response:
        """Exchange the token for a cookie, which the page uses."""
        tokens = services.tokens
        response = Response(status_code=204)
        if tokens.required:
            if not tokens.matches(body.token):
                await asyncio.sleep(_WRONG_TOKEN_PAUSE)
                raise Refusal(401, "this is not the token that the server printed")
            response.set_cookie(tokens.cookie, tokens.session, httponly=True, samesite="strict", path="/")
        return response


def _add_predict(app: FastAPI, services: Services) -> None:
    @app.post(
        "/api/predict",
        tags=["analysis"],
        response_model=PredictAnswer,
        responses=_PROBLEMS,
        openapi_extra=_BODY,
    )
    async def predict(request: Request) -> Response:
        """Analyse a video and answer when it is done. Nothing of it is kept."""
        try:
            job = await services.submit(request, page=False)
        except ClientDisconnect:
            return Response(status_code=499)
        try:
            while not job.finished.is_set():
                with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                    await asyncio.wait_for(asyncio.shield(job.finished.wait()), _POLL)
                if not job.finished.is_set() and await request.is_disconnected():
                    return Response(status_code=499)
            if job.refusal is not None:
                raise job.refusal
            if job.state != "done":
                raise Refusal(503, STOPPING)
            return Response(job.file("result.json").read_bytes(), media_type="application/json")
        finally:
            services.jobs.remove(job)


def _status(services: Services, job: Job) -> dict[str, Any]:
    links: dict[str, str] = {}
    if job.state == "done":
        base = f"/api/jobs/{job.id}"
        links = {"result": f"{base}/result"}
        links |= {
            kind: f"{base}/timeline.{kind}" for kind in _TIMELINE_TYPES if _timeline(job, kind).is_file()
        }
        if not job.upload or job.file("preview.mp4").is_file():
            links["video"] = f"{base}/video"
        if job.file("vectors-0.gz").is_file():
            links["vectors"] = f"{base}/vectors/{{chunk}}"
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "stage": job.stage,
        "done": job.done,
        "total": job.total,
        "position": services.jobs.position(job),
        "error": None if job.refusal is None else job.refusal.sentence,
        "links": links,
    }


def _timeline(job: Job, kind: str) -> Path:
    return job.file(f"timeline.{kind}")


def _add_jobs(app: FastAPI, services: Services) -> None:
    @app.post(
        "/api/jobs",
        tags=["analysis"],
        status_code=202,
        response_model=JobStatus,
        responses=_PROBLEMS,
        openapi_extra=_BODY,
    )
    async def create_job(request: Request, response: Response) -> Any:
        """Put a video into the queue; its state and result are asked for under its id.

        An upload is removed as soon as it is analysed, results when they are deleted or no longer asked for.
        """
        try:
            job = await services.submit(request, page=True)
        except ClientDisconnect:
            return Response(status_code=499)
        response.headers["location"] = f"/api/jobs/{job.id}"
        return _status(services, job)

    @app.get(
        "/api/jobs/{job_id}", tags=["analysis"], response_model=JobStatus, responses={404: {"model": Problem}}
    )
    async def job_status(job_id: str) -> Any:
        """State and progress of a job."""
        return _status(services, services.jobs.find(job_id))

    @app.delete("/api/jobs/{job_id}", tags=["analysis"], status_code=204, responses={404: {"model": Problem}})
    async def delete_job(job_id: str) -> Response:
        """Cancel a job and remove its files."""
        services.jobs.remove(services.jobs.find(job_id))
        return Response(status_code=204)


def _add_results(app: FastAPI, services: Services) -> None:
    missing: dict[int | str, dict[str, Any]] = {404: {"model": Problem}, 409: {"model": Problem}}
    gone: dict[int | str, dict[str, Any]] = {**missing, 410: {"model": Problem}}

    @app.get("/api/jobs/{job_id}/result", tags=["results"], response_model=PredictAnswer, responses=missing)
    def result(job_id: str) -> Response:
        """Labels and timeline as JSON; for the page also `video` and `vectors`."""
        return FileResponse(_finished(services, job_id).file("result.json"), media_type="application/json")

    @app.get("/api/jobs/{job_id}/timeline.{kind}", tags=["results"], responses=missing)
    def timeline(job_id: str, kind: Literal["csv", "json", "vtt"]) -> Response:
        """The timeline as a file: CSV, JSON or WebVTT."""
        job = _finished(services, job_id)
        path = _timeline(job, kind)
        _require(path)
        name = f"{PurePath(job.name).stem}.{kind}"
        return FileResponse(path, media_type=_TIMELINE_TYPES[kind], filename=name)

    @app.get("/api/jobs/{job_id}/vectors/{chunk}", tags=["results"], responses=missing)
    def vectors(job_id: str, chunk: str) -> Response:
        """Motion vectors of a stretch of pictures, binary (format: moclip_lite/serve/child/vectors.py)."""
        if not re.fullmatch("0|[1-9][0-9]{0,8}", chunk):
            raise Refusal(404, "the stretches of vectors are numbered 0, 1, 2 and so on")
        path = _finished(services, job_id).file(f"vectors-{chunk}.gz")
        _require(path)
        headers = {"content-encoding": "gzip", "cache-control": "private, max-age=600"}
        return FileResponse(path, media_type="application/octet-stream", headers=headers)

    @app.get("/api/jobs/{job_id}/video", tags=["results"], responses=gone)
    def video(job_id: str) -> Response:
        """What the page plays: the preview, or the file below the root. Uploads are not kept."""
        job = _finished(services, job_id)
        path = job.file("preview.mp4")
        if not path.is_file():
            if job.source is None:
                raise Refusal(404, "uploads are not kept")
            path = job.source.unchanged()
        _require(path)
        kind = _VIDEO_TYPES.get(path.suffix.lower(), "application/octet-stream")
        return FileResponse(path, media_type=kind, headers={"cache-control": "private, max-age=600"})


def _finished(services: Services, job_id: str) -> Job:
    """A job that is done.

    Raises:
        Refusal: there is no such job, it failed, or it is not done yet.
    """
    job = services.jobs.find(job_id)
    if job.refusal is not None:
        raise job.refusal
    if job.state != "done":
        raise Refusal(409, "the job is not done yet", retry_after=1)
    return job


def _require(path: Path) -> None:
    if not path.is_file():
        raise Refusal(404, "this result has no such file")
