"""Label Studio: JSON and JSON-MIN exports of video timelines, audio regions and choices.

Timeline regions (``TimelineLabels``) hold frame numbers: from 1, both ends included, counted by the labeling
configuration's ``frameRate`` (24 unless it is set), whatever the stream's own rate. Regions of ``Labels`` on
an audio control that is synchronised with the video hold seconds. ``Choices`` label whole videos.

JSON-MIN mixes a task's data with its labels: each control is a field, called as the labeling configuration
calls it. A single choice is plain text there, as data and comments are, so that it is only taken where one
field can be meant. Whatever gives no row is counted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
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
_CHOICE_KEYS: Final = ("choice", "choices", "label", "class")
_OWN_KEYS: Final = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")
"""Fields of JSON-MIN that are neither data nor labels."""


class _Region(NamedTuple):
    """Labels, and where they hold: seconds, frames from 1 with both ends included, or everywhere."""

    labels: list[str]
    seconds: tuple[float, float] | None = None
    frames: tuple[float, float] | None = None


def read_label_studio(path: Path, rate: float | None = None, control: str | None = None) -> Annotations:
    """Read an export.

    Of a task with several annotations the one marked as ground truth counts, else the last one; skipped ones
    and predictions are left out.

    Args:
        path: the export, JSON or JSON-MIN.
        rate: the labeling configuration's frameRate; by default a task's own field such as `fps`, else 24.
        control: name of the control whose labels are the classes; by default all that label time spans
            or whole videos.

    Raises:
        DataError: no export of Label Studio.
    """
    tasks = read_export(path)
    tasks = [tasks] if isinstance(tasks, dict) else tasks
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise DataError(f"{path}: is no export of Label Studio (a list of tasks)")
    annotations, guessed, doubtful = Annotations(), False, _doubtful(tasks)
    for number, task in enumerate(tasks, start=1):
        place = f"task {task.get('id', number)}"
        data = task["data"] if isinstance(task.get("data"), dict) else task
        key = _video_key(data)
        if key is None:
            annotations.left_out["task(s) without a video in their data"] += 1
            continue
        own = _own_rate(data, annotations) if rate is None else None
        task_rate = rate or own or DEFAULT_RATE
        if _is_minimal(task):
            regions = _minimal(_fields(task), control, doubtful, annotations)
        else:
            regions = _full(task, control, annotations)
        for region in regions:
            guessed |= region.frames is not None and rate is None and not own
            _add(annotations, place, data[key], region, task_rate)
    if guessed:
        annotations.notes.append(
            f"timeline regions count frames at {DEFAULT_RATE:g} per second, Label Studio's default; "
            "if the labeling configuration sets frameRate, give the same with --rate"
        )
    return annotations


def _own_rate(data: Mapping[str, Any], annotations: Annotations) -> float | None:
    """The frame rate among a task's data, a number or text; None where there is none that can be used."""
    for key in _RATE_KEYS:
        if data.get(key) in (None, ""):
            continue
        value = data[key]
        with contextlib.suppress(ValueError):
            value = float(value) if isinstance(value, str) else value
        rate = number_of(value)
        if rate is not None and rate > 0:
            return rate
        annotations.left_out[f"field(s) {key} that hold no frame rate, such as {str(data[key])[:40]!r}"] += 1
    return None


def _video_key(data: Mapping[str, Any]) -> str | None:
    """The field of a task's video: the one of that name, else the first whose value ends like a video."""
    texts = {key: value for key, value in data.items() if isinstance(value, str) and value}
    if "video" in texts:
        return "video"
    return next((key for key, value in texts.items() if _is_video(value)), None)


def _is_video(text: str) -> bool:
    return Path(text.partition("?")[0]).suffix.lower() in VIDEO_SUFFIXES or "?d=" in text


def _full(task: Mapping[str, Any], control: str | None, annotations: Annotations) -> Iterator[_Region]:
    """The regions and choices of a task of a JSON export."""
    for result in _results(task, annotations):
        value, kind = result.get("value"), str(result.get("type", "unknown"))
        if control is not None and result.get("from_name") != control:
            annotations.left_out[f"result(s) of other controls than {control}"] += 1
        elif isinstance(value, dict):
            yield from _of_value(value, kind, annotations)
        else:
            _leave_out(kind, annotations)


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
    results = [result for result in usable[-1]["result"] if isinstance(result, dict)]
    if not results:
        found.left_out["task(s) whose annotation is empty"] += 1
    return results


def _of_value(value: Mapping[str, Any], kind: str, annotations: Annotations) -> Iterator[_Region]:
    """The regions in a result's value."""
    key = next((key for key in _LABEL_KEYS if isinstance(value.get(key), list)), None)
    if key is None or kind in ("videorectangle", "timeserieslabels") or "sequence" in value:
        _leave_out(kind, annotations)
        return
    labels = [label for label in value[key] if isinstance(label, str)]
    if isinstance(value.get("ranges"), list):
        if not value["ranges"]:
            annotations.left_out["region(s) without a time span"] += 1
        for span in value["ranges"]:
            yield _Region(labels, frames=_span(span))
    elif "start" in value or "end" in value:
        yield _Region(labels, seconds=_span(value))
    else:
        yield _Region(labels)


def _leave_out(kind: str, annotations: Annotations) -> None:
    what = f"result(s) of the type {kind[:40]}, which is no label of a time span"
    annotations.left_out[what] += 1


def _is_minimal(task: Mapping[str, Any]) -> bool:
    return not any(name in task for name in ("annotations", "completions", "data"))


def _fields(task: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a JSON-MIN task that hold its labels and its data, without the video."""
    known = (_video_key(task), *_OWN_KEYS, *_RATE_KEYS)
    return {key: value for key, value in task.items() if key not in known and value not in (None, "", [], {})}


def _doubtful(tasks: Sequence[Mapping[str, Any]]) -> set[str]:
    """Fields of JSON-MIN that may be choices and in some task stand beside a control or another of them."""
    doubtful = set()
    for fields in (_fields(task) for task in tasks if _is_minimal(task)):
        controls = [key for key, value in fields.items() if _of_control(key, value) is not None]
        texts = [key for key, value in fields.items() if key not in controls and _is_choice(value)]
        if controls or len(texts) > 1:
            doubtful.update(texts)
    return doubtful


def _minimal(
    fields: Mapping[str, Any], control: str | None, doubtful: set[str], annotations: Annotations
) -> Iterator[_Region]:
    """The regions of a JSON-MIN task: those of its controls, else the one text that can be a choice."""
    if control is None:
        controls = {key: _of_control(key, value) for key, value in fields.items()}
        texts = [key for key, value in fields.items() if _is_choice(value) and key not in doubtful]
        if len(texts) == 1 and not any(controls.values()):
            controls[texts[0]] = [{"choices": [fields[texts[0]]]}]
    else:
        controls = {control: _of_control(control, fields.get(control), asked=True)}
    read = {key: regions for key, regions in controls.items() if regions}
    for key, regions in read.items():
        for region in regions:
            yield from _of_value(region, key, annotations)
    unread = [key for key in fields if key not in read]
    if not read:
        what = f"the field {control}" if control else "a field that is surely a label"
        named = f" (they have {_names(unread)}; say which one is with --attribute)" if unread else ""
        annotations.left_out[f"task(s) without {what}{named}"] += 1
    elif unread:
        annotations.left_out[f"task(s) whose fields {_names(unread)}, beside a label, are not read"] += 1


def _of_control(key: str, value: Any, *, asked: bool = False) -> list[dict[str, Any]] | None:
    """The regions in a field that is surely a control's, or was asked for; None if it is none."""
    if isinstance(value, list) and (not value or any(isinstance(region, dict) for region in value)):
        return [region if isinstance(region, dict) else {} for region in value]
    if isinstance(value, dict) and isinstance(value.get("choices"), list):
        return [value]
    if isinstance(value, str) and (asked or key in _CHOICE_KEYS):
        return [{"choices": [value]}]
    return None


def _is_choice(value: Any) -> bool:
    """Whether a field can be a choice: text that is no address or path of a file."""
    return isinstance(value, str) and not (_is_video(value) or "://" in value or value.startswith("/"))


def _names(keys: Sequence[str]) -> str:
    return ", ".join(key[:40] for key in keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")


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
        if first < 1:
            annotations.left_out["region(s) that begin before frame 1, the first one of Label Studio"] += 1
            return
        span = (first - 1) / rate, last / rate
    if span is not None and not 0 <= span[0] < span[1]:
        annotations.left_out[
            "region(s) whose end is not after their start, or whose times are no numbers"
        ] += 1
        return
    annotations.rows.append(Annotation(place, video, region.labels[0], span))
