"""Bodies of requests and responses, as OpenAPI describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .http.refusal import Refusal

__all__ = ["About", "Files", "JobStatus", "Options", "PredictAnswer", "Problem", "Score", "SessionRequest"]


class Options(BaseModel):
    """What a request may ask for.

    Attributes:
        path: of a video below the server's root folder, instead of an upload.
        top_k: labels per stream.
        preview: whether an H.264 copy is made for browsers; "auto" judges by the file.
    """

    model_config = ConfigDict(extra="forbid")

    path: str | None = Field(None, max_length=1024, description="a video below the server's --root")
    top_k: int = Field(5, ge=1, le=1000, description="labels per stream")
    preview: Literal["auto", "yes", "no"] = Field(
        "auto", description="make an H.264 copy for browsers; auto judges by the file (jobs only)"
    )

    @classmethod
    def of(cls, fields: Mapping[str, Any], *, strict: bool = False) -> Options:
        """The options of a request.

        Args:
            fields: by name.
            strict: values must be of their type; otherwise text is read as a number where one is needed.

        Raises:
            Refusal: 400, an unknown name or a value out of range.
        """
        try:
            return cls.model_validate(fields, strict=strict)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise Refusal(400, f"{where}: {first['msg'].lower()}") from error


class Score(BaseModel):
    """A label with its probability."""

    label: str
    score: float


class PredictAnswer(BaseModel):
    """Labels of a video, with the fields of ``moclip predict --json``, and its timeline."""

    path: str = Field(description="name of the video")
    predictions: list[Score] = Field(description="of the stream that answers, best first")
    stream: str = Field(description="the stream that answers: fusion, appearance or motion")
    streams: dict[str, list[Score]] = Field(description="the same of each stream")
    notes: list[str] = Field(description="what a reader should know")
    seconds: float = Field(description="time of the prediction")
    cpu_seconds: float = Field(description="CPU time of all threads meanwhile")
    frames: int = Field(description="pictures that the appearance encoder saw")
    engine: str = Field(description="what computed the networks: onnx, onnx-int8 or torch")
    gflops: float | None = Field(description="operations of the networks; null where the run does not tell")
    timeline: dict[str, Any] | None = Field(
        description="segments {start, end, label, score, scores} and the windows they were made of; "
        "null where the run does not tell how long its windows are, notes say so"
    )


class JobStatus(BaseModel):
    """State of a job."""

    id: str
    name: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    stage: str = Field(description="read, predict, timeline, vectors or preview while it runs")
    done: int = Field(description="steps of this stage")
    total: int = Field(description="steps in all; 0 if unknown")
    position: int = Field(description="jobs before this one")
    error: str | None = Field(None, description="why it failed")
    links: dict[str, str] = Field(description="result and its files, once it is done")


class About(BaseModel):
    """The model and the bounds of this server."""

    version: str
    model: str
    engine: str = Field(description="what computes the networks: onnx, onnx-int8 or torch")
    labels: list[str]
    streams: list[str]
    warnings: list[str]
    max_upload: int = Field(description="bytes")
    max_length: float = Field(description="seconds")
    root: bool = Field(description="whether videos may be named by path")


class Files(BaseModel):
    """Videos and folders (with a slash at the end) in a folder below the root."""

    paths: list[str]
    more: bool = Field(description="whether the folder holds others beside these 500")


class Problem(BaseModel):
    """Why a request was refused."""

    error: str


class SessionRequest(BaseModel):
    """A token, in exchange for a session's cookie."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=1024)
