"""Label Studio: JSON and JSON-MIN exports of video timelines, audio regions and choices.

Timeline regions (``TimelineLabels``) hold frame numbers: from 1, both ends included, counted by the labeling
configuration's ``frameRate`` (24 unless it is set), whatever the stream's own rate. Regions of ``Labels`` on
an audio control that is synchronised with the video hold seconds. ``Choices`` label whole videos.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...errors import DataError
from ..walk import VIDEO_SUFFIXES
from .annotation import Annotation, Annotations, number_of, read_export

__all__ = ["DEFAULT_RATE", "read_label_studio"]

DEFAULT_RATE: Final = 24.0
"""Frames per second that Label Studio counts by where the labeling configuration does not say."""

_RATE_KEYS: Final = ("fps", "framerate", "frame_rate", "frameRate")
_LABEL_KEYS: Final = ("timelinelabels", "labels", "choices")


class _Region(NamedTuple):
    """Labels, and where they hold: seconds, frames from 1 with both ends included, or everywhere."""

    labels: list[str]
    seconds: tuple[float, float] | None = None
    frames: tuple[float, float] | None = None


def read_label_studio(path: Path, rate: float | None = None) -> Annotations:
    """Read an export.

    Of a task with several annotations the one marked as ground truth counts, else the last one; skipped ones
    and predictions are left out.

    Args:
        path: the export, JSON or JSON-MIN.
        rate: the labeling configuration's frameRate; by default a task's own field such as `fps`, else 24.

    Raises:
        DataError: no export of Label Studio.
    """
    tasks = read_export(path)
    tasks = [tasks] if isinstance(tasks, dict) else tasks
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise DataError(f"{path}: is no export of Label Studio (a list of tasks)")
    annotations, guessed = Annotations(), False
    for number, task in enumerate(tasks, start=1):
        place = f"task {task.get('id', number)}"
        data = task["data"] if isinstance(task.get("data"), dict) else task
        video = _video(data)
        if video is None:
            annotations.left_out["task(s) without a video in their data"] += 1
            continue
        own = next((number_of(data[key]) for key in _RATE_KEYS if key in data), None)
        task_rate = rate or own or DEFAULT_RATE
        for region in _regions(task, data, annotations):
            guessed |= region.frames is not None and rate is None and not own
            _add(annotations, place, video, region, task_rate)
    if guessed:
        annotations.notes.append(
            f"timeline regions count frames at {DEFAULT_RATE:g} per second, Label Studio's default; "
            "if the labeling configuration sets frameRate, give the same with --rate"
        )
    return annotations


def _video(data: Mapping[str, Any]) -> str | None:
    """The task's video: a field of that name, else the first one that ends like a video."""
    texts = {key: value for key, value in data.items() if isinstance(value, str) and value}
    if "video" in texts:
        return texts["video"]
    for value in texts.values():
        if Path(value.partition("?")[0]).suffix.lower() in VIDEO_SUFFIXES or "?d=" in value:
            return value
    return None


def _regions(task: Mapping[str, Any], data: Mapping[str, Any], annotations: Annotations) -> Iterator[_Region]:
    """Regions and choices of a task."""
    if not any(key in task for key in ("annotations", "completions", "data")):
        yield from _minimal(data, annotations)
        return
    for result in _results(task, annotations):
        value = result.get("value")
        if isinstance(value, dict):
            yield from _of_value(value, str(result.get("type", "")), annotations)


def _results(task: Mapping[str, Any], found: Annotations) -> list[dict[str, Any]]:
    """The results of the annotation that counts."""
    listed = task.get("annotations", task.get("completions"))
    annotations = [a for a in listed if isinstance(a, dict)] if isinstance(listed, list) else []
    usable = [a for a in annotations if not a.get("was_cancelled") and isinstance(a.get("result"), list)]
    if not usable:
        found.left_out["task(s) without a finished annotation"] += 1
        return []
    if len(usable) > 1:
        found.left_out["further annotation(s) of a task that another one counts for"] += len(usable) - 1
    usable.sort(
        key=lambda a: (bool(a.get("ground_truth")), str(a.get("updated_at") or a.get("created_at") or ""))
    )
    return [result for result in usable[-1]["result"] if isinstance(result, dict)]


def _of_value(value: Mapping[str, Any], kind: str, annotations: Annotations) -> Iterator[_Region]:
    """The regions in a result's value."""
    key = next((key for key in _LABEL_KEYS if isinstance(value.get(key), list)), None)
    if key is None or kind in ("videorectangle", "timeserieslabels") or "sequence" in value:
        annotations.left_out[
            f"result(s) of the type {kind or 'unknown'}, which is no label of a time span"
        ] += 1
        return
    labels = [label for label in value[key] if isinstance(label, str)]
    if isinstance(value.get("ranges"), list):
        for span in value["ranges"]:
            yield _Region(labels, frames=_span(span))
    elif "start" in value or "end" in value:
        yield _Region(labels, seconds=_span(value))
    else:
        yield _Region(labels)


def _minimal(data: Mapping[str, Any], annotations: Annotations) -> Iterator[_Region]:
    """The regions of a JSON-MIN task, whose fields are named by the labeling configuration."""
    for key, value in data.items():
        if isinstance(value, list):
            for region in value:
                if isinstance(region, dict):
                    yield from _of_value(region, key, annotations)
        elif isinstance(value, dict) and isinstance(value.get("choices"), list):
            yield _Region([label for label in value["choices"] if isinstance(label, str)])
        elif key in ("choice", "choices", "label", "class") and isinstance(value, str):
            yield _Region([value])


def _span(value: Any) -> tuple[float, float]:
    """Start and end; not numbers where the export holds none."""
    if not isinstance(value, dict):
        return float("nan"), float("nan")
    start, end = number_of(value.get("start")), number_of(value.get("end"))
    return float("nan") if start is None else start, float("nan") if end is None else end


def _add(annotations: Annotations, place: str, video: str, region: _Region, rate: float) -> None:
    if len(region.labels) != 1:
        count = "several labels, and a clip has one class" if region.labels else "no label"
        annotations.left_out[f"region(s) with {count}"] += 1
        return
    span = region.seconds
    if region.frames is not None:
        first, last = region.frames
        span = (first - 1) / rate, last / rate
    if span is not None and not 0 <= span[0] < span[1]:
        annotations.left_out[
            "region(s) whose end is not after their start, or whose times are no numbers"
        ] += 1
        return
    annotations.rows.append(Annotation(place, video, region.labels[0], span))
