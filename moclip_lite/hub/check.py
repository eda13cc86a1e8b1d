"""Checks of a run folder that leaves this machine or comes from another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from ..engine.files import EngineFiles, onnx_folder
from ..engine.model_json import MODEL_JSON
from ..errors import CheckpointError, MoclipError
from ..experiment.config import Experiment, load_run_settings
from ..results.calibration import read_calibration
from ..results.cascade import read_cascade
from ..results.fold_folder import STAGES, FoldFolder
from ..results.metrics import Metrics
from ..results.run_folder import RunFolder
from ..storage.files import read_json, read_tensors
from ..streams import Stream
from ..training.weights_file import check_content, check_labels

__all__ = ["check_networks", "check_run", "refusal"]


@contextmanager
def refusal(draft: Path, source: object, verdict: str, advice: str = "") -> Iterator[None]:
    """Turn what is wrong with a draft of a run folder into one sentence about what it is made from.

    Args:
        draft: the folder, which goes again.
        source: what people know: the address or the run folder.
        verdict: what can't be done with it, such as "can't be used".
        advice: what to do, the end of the sentence.

    Raises:
        CheckpointError: in place of any error about the draft.
    """
    try:
        yield
    except (MoclipError, ValueError) as error:
        reason = " ".join(str(error).replace(f"{draft}/", "").replace(str(draft), str(source)).split())
        raise CheckpointError(f"{source} {verdict}: {reason}{advice and f'; {advice}'}") from error


def check_run(folder: FoldFolder) -> None:
    """Check that prediction can use a folder: each file is whole, and weights fit labels and settings.

    Weights are loaded as prediction loads them. Where PyTorch is not installed, their content and labels are
    checked, and the ONNX files that answer in its place.

    Raises:
        MoclipError, ValueError: it can't be used; says why.
    """
    experiment = load_run_settings(folder.config)
    if experiment.data.kind == "features":
        raise CheckpointError("it was trained on a file of features and can't read videos")
    labels = folder.read_labels()
    for path in sorted(folder.path.rglob("*.json")):
        read_json(path)
    read_calibration(folder.timeline)
    read_cascade(folder.cascade)
    if (metrics := RunFolder(folder.path).metrics).is_file() and not Metrics.read(metrics).streams:
        raise CheckpointError(f"{metrics} is damaged or not of a run of this program: no stream has scores")
    if find_spec("torch") is not None:
        _load_weights(folder, experiment, labels)
        return
    for stage in filter(folder.has, STAGES):
        arrays, metadata = read_tensors(folder.weights(stage))
        check_labels(folder.weights(stage), metadata, labels)
        check_content(folder.weights(stage), arrays, metadata)
    check_networks(folder)


def check_networks(folder: FoldFolder) -> None:
    """Check that ONNX files belong to the weights beside them, where there are some.

    Raises:
        MoclipError: they do not, or are damaged.
    """
    if (onnx_folder(folder) / MODEL_JSON).is_file():
        EngineFiles.without_encoder(folder, load_run_settings(folder.config), folder.read_labels())


def _load_weights(folder: FoldFolder, experiment: Experiment, labels: list[str]) -> None:
    from ..engine.pytorch import TorchEngine
    from ..experiment.fold.stored import load_head

    on_cpu = experiment.model_copy(update={"run": experiment.run.model_copy(update={"device": "cpu"})})
    engine = TorchEngine(folder, on_cpu, labels)
    for stage in filter(folder.has, STAGES):  # controls do not answer, but are published
        if stage is not Stream.MOTION and stage not in engine.heads:
            load_head(folder, stage, on_cpu, labels)
