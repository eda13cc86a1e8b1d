"""Run folders to publish."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from moclip_lite.experiment.config import load_experiment
from moclip_lite.motion.network import build_motion_net
from moclip_lite.results.run_folder import RunFolder
from moclip_lite.training.checkpoint import save_weights

from .cli import MOTION_ONLY
from .runs import made_run

LABELS = ["left", "right"]


def small_run(tmp_path: Path, settings: Iterable[str] = ()) -> RunFolder:
    """A finished run of a motion network, with paths of this machine in its files.

    Args:
        tmp_path: the run is its folder "run".
        settings: "section.key=value".
    """
    made_run(tmp_path / "run", LABELS)
    folder = RunFolder(tmp_path / "run")
    places = (f"data.root={tmp_path / 'secret' / 'clips'}", f"run.dir={folder.path}")
    experiment = load_experiment(None, [*MOTION_ONLY, "run.streams=[motion]", *places, *settings])
    folder.describe(experiment.to_yaml(), LABELS)
    save_weights(
        folder.weights("motion"), build_motion_net(experiment.motion, 2, pretrained=False), LABELS, {}
    )
    metrics = json.loads(folder.metrics.read_text(encoding="utf-8"))
    for stream in ("appearance", "fusion"):
        del metrics[stream]
        folder.predictions(stream).unlink()
    metrics["costs"] = {"motion": metrics["costs"]["fusion"]}
    metrics["notes"] = [f"the data set lies in {tmp_path}/secret/clips"]
    folder.metrics.write_text(json.dumps(metrics), encoding="utf-8")
    folder.report_text.write_text(f"root: {tmp_path}/secret/clips\n", encoding="utf-8")
    folder.report_page.write_text(f"<td>{tmp_path}/secret/clips</td>", encoding="utf-8")
    return folder
