"""The engine of a run folder: ONNX Runtime where its files belong to the weights, else PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import get_args

from ..errors import CheckpointError, ConfigError, MissingPackage, require_packages
from ..experiment.config import Experiment, load_run_settings
from ..experiment.settings.portable import names_clips, portable_sections
from ..results.fold_folder import FoldFolder
from .base import Engine, EngineName
from .files import SECTIONS, EngineFiles, OtherSettings, int8_by_default

__all__ = ["open_engine"]


def open_engine(
    folder: FoldFolder, experiment: Experiment, labels: Sequence[str], name: EngineName
) -> tuple[Engine, str]:
    """Open the networks of a run folder.

    Args:
        folder: of the run, or of a fold.
        experiment: the configuration; ``run.device`` other than auto and cpu needs PyTorch.
        labels: class names.
        name: "onnx", "onnx-int8", "torch", or "auto" for ONNX files where there are usable ones, on auto and
            cpu, with the image encoder in int8 where the run's validation clips show that it loses nothing.

    Returns:
        (the engine, why ONNX Runtime does not answer although it could be expected,
        "" where there is no reason).

    Raises:
        MissingPackage: "onnx" without ONNX Runtime, or neither it nor PyTorch is installed.
        ConfigError: an unknown name, or "onnx" on a device other than the CPU.
        CheckpointError: "onnx" without usable files; or see :class:`moclip_lite.engine.pytorch.TorchEngine`.
    """
    if name not in get_args(EngineName):
        raise ConfigError(f"the engine must be auto, onnx, onnx-int8 or torch, got {name!r}")
    device, reason, int8 = experiment.run.device, "", name == "onnx-int8"
    asked = name in ("onnx", "onnx-int8")
    if asked and device not in ("auto", "cpu"):
        raise ConfigError(f"the engine {name} runs on the CPU, not on {device}; take --engine torch")
    if asked or (name == "auto" and device in ("auto", "cpu")):
        if asked or find_spec("torch") is None:
            require_packages(["onnxruntime"])
        try:
            if asked:
                return _open_onnx(folder, experiment, labels, int8), ""
            return _open_proven(folder, experiment, labels), ""
        except CheckpointError as error:
            reason = str(error)
            if not isinstance(error.__cause__, MissingPackage):
                changed = _changed(folder, experiment) if isinstance(error, OtherSettings) else ""
                reason += f"; {changed or _export(folder, experiment, int8)}"
            if asked:
                raise CheckpointError(reason) from error
    from .pytorch import TorchEngine

    return TorchEngine(folder, experiment, labels), reason and f"PyTorch answers: {reason}"


def _changed(folder: FoldFolder, experiment: Experiment) -> str:
    """What to do where settings of the files are not the run's own; "" if all are."""
    own, used = (
        portable_sections(settings.model_dump(mode="json", include=set(SECTIONS)))
        for settings in (load_run_settings(folder.config), experiment)
    )
    names = [(section, name) for section in SECTIONS for name in used[section]]
    changed = [f"{section}.{name}" for section, name in names if used[section][name] != own[section][name]]
    if not changed:
        return ""
    words = ", ".join(changed)
    return f"they are only written for the run's own {words}: leave the change out, or take --engine torch"


def _export(folder: FoldFolder, experiment: Experiment, int8: bool) -> str:
    """How to get ONNX files that can be used."""
    if int8 and not names_clips(experiment):
        return (
            "such a file is compared with float32 on the run's clips, which this folder does not name: "
            "take --engine onnx"
        )
    return f"`moclip export {folder.path} --engine{' --int8' if int8 else ''}` writes them"


def _open_proven(folder: FoldFolder, experiment: Experiment, labels: Sequence[str]) -> Engine:
    """The engine of the files, which says why, with the image encoder in int8 where its comparison with
    float32 allows that.

    Raises:
        CheckpointError: there are no usable files, or ONNX Runtime is not installed.
    """
    files = EngineFiles.find(folder, experiment, labels)
    int8, reason = int8_by_default(files.description)
    engine: Engine | None = None
    if int8:
        try:
            engine = _open_onnx(folder, experiment, labels, True)
            engine.notes = ()  # they are for who asked for int8
        except CheckpointError as error:
            reason = f"the image encoder computes in float32: {error}"
    engine = engine or _engine(files, experiment, folder)
    engine.why = reason
    return engine


def _open_onnx(folder: FoldFolder, experiment: Experiment, labels: Sequence[str], int8: bool) -> Engine:
    """The engine of the files beside the weights.

    Raises:
        CheckpointError: there are no usable files, or ONNX Runtime is not installed.
    """
    return _engine(EngineFiles.find(folder, experiment, labels, int8), experiment, folder)


def _engine(files: EngineFiles, experiment: Experiment, folder: FoldFolder) -> Engine:
    """The engine of checked files.

    Raises:
        CheckpointError: ONNX Runtime is not installed.
    """
    try:
        require_packages(["onnxruntime"])
    except MissingPackage as error:
        raise CheckpointError(str(error)) from error
    from .runtime import OnnxEngine

    return OnnxEngine(files, experiment, folder)
