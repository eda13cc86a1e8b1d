"""Metrics and report of a run as they are published: no path, and no clip by its name or picture."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..datasets.walk import VIDEO_SUFFIXES
from ..errors import CheckpointError
from ..experiment.config import Experiment
from ..experiment.settings.portable import portable
from ..results.metrics import Metrics
from ..results.read import Run, load_run
from ..results.report import publishable_report
from ..results.run_folder import RunFolder
from ..storage.files import read_json
from .private import map_texts

__all__ = ["published_report"]

_CLASS_NAMES: Final = ("labels", "per_class")
_SEPARATOR: Final = re.compile(r"[/\\]")
_VIDEO: Final = re.compile(
    rf"[^\s,;:()'\"]+(?:{'|'.join(re.escape(suffix) for suffix in sorted(VIDEO_SUFFIXES))})\b", re.IGNORECASE
)


def published_report(
    run: RunFolder, experiment: Experiment, repository: str, hide: Callable[[str], str]
) -> dict[str, bytes]:
    """metrics.json and the reports that the run has, rendered anew; nothing of an unfinished run.

    Args:
        run: its folder.
        experiment: its configuration.
        repository: USER/NAME, which the reports are called by.
        hide: takes paths out of a text.

    Raises:
        CheckpointError: the run's results are damaged.
    """
    if not run.metrics.is_file():
        return {}
    finished = load_run(run.path)
    metrics = _published(finished, _clip_names(run, finished), hide)
    files = {run.metrics.name: json.dumps(metrics.to_json(), indent=2, ensure_ascii=False)}
    general = portable(experiment).model_dump(mode="json")
    text, page = publishable_report(
        replace(finished, folder=Path(repository), metrics=metrics, config=general)
    )
    for path, content in ((run.report_text, text), (run.report_page, page)):
        if path.is_file():
            files[path.name] = content
    return {name: content.encode() for name, content in files.items()}


def _published(run: Run, clips: Sequence[str], hide: Callable[[str], str]) -> Metrics:
    """The metrics; of clips that could not be read, their number."""

    def clean(text: str) -> str:
        text = hide(text)  # first: a clip may be called as a part of a known path
        for name in clips:
            tail = _SEPARATOR.split(name)[-1]
            if tail in text:  # of a hidden path, the tail is left
                text = re.sub(rf"(?:(?<!\w){re.escape(name)}|…/{re.escape(tail)})(?!\w)", "…", text)
        return _VIDEO.sub("…", text)

    metrics = run.metrics
    failed = len({failure["name"] for failure in metrics.failures})
    notes = (
        (*metrics.notes, f"{failed} clip(s) could not be read and were left out.")
        if failed
        else metrics.notes
    )
    counted = replace(metrics, notes=notes, failures=())
    return Metrics.from_json(map_texts(counted.to_json(), clean, _CLASS_NAMES))


def _clip_names(run: RunFolder, finished: Run) -> list[str]:
    """Names of clips of a run, longest first, but for words and numbers, which mean other things in notes."""
    names = {key.name for rows in finished.predictions.values() for key in rows}
    names |= {failure["name"] for failure in finished.metrics.failures}
    for folder in (run, *run.fold_folders()):
        try:
            division = read_json(folder.division)
        except CheckpointError:  # a run of an older version has none
            continue
        if isinstance(division, dict):
            names.update(name for part in division.values() if isinstance(part, dict) for name in part)
    return sorted((name for name in names if _is_file(name)), key=len, reverse=True)


def _is_file(name: str) -> bool:
    """Whether a clip's name can only mean a file."""
    return bool(_SEPARATOR.search(name.strip("/\\")) or _VIDEO.search(name))
