"""What decides the answers of a run folder, as one digest."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..engine.base import Engine
from ..engine.files import made_from
from ..experiment.config import Experiment
from ..results.fold_folder import FoldFolder
from ..storage.digest import digest_bytes, digest_file

__all__ = ["content_digest"]


def content_digest(folder: FoldFolder, experiment: Experiment, labels: Sequence[str], engine: Engine) -> str:
    """Digest of what decides the answers: settings, labels, weights, engine, calibration of timelines.

    Args:
        folder: of the run; its weights and calibration are read as they are now.
        experiment: the configuration.
        labels: class names.
        engine: that computes the networks; its files are those that it loaded.

    Raises:
        OSError: the folder can't be read.
    """
    calibration = digest_file(folder.timeline) if folder.timeline.is_file() else ""
    content = [made_from(folder, experiment, labels), calibration, engine.name, dict(engine.files)]
    return digest_bytes([json.dumps(content, sort_keys=True).encode()])
