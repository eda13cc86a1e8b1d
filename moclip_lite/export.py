"""Networks as ONNX files, each compared with PyTorch before it takes its name.

Opset 20, the first with GELU as one operation (spelt out with Erf the video encoders take 1.3 to 1.5 times
as long in ONNX Runtime), batch size dynamic, everything else fixed. The video encoder and the text tower
are exported folded; the motion network and the heads of a run folder make a whole classifier: segments of
vectors and appearance features in, scores out.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from .errors import CheckpointError, MoclipError
from .mobileviclip import MobileViCLIP
from .predict import Classifier
from .reporting import logger_level
from .storage import atomic_path, write_json

__all__ = ["OPSET", "TOLERANCE", "Exported", "export_classifier", "export_mobileviclip", "export_network"]

OPSET: Final = 20
TOLERANCE: Final = 1e-4
"""Largest difference from PyTorch, relative to the largest output where that exceeds 1."""


@dataclass(frozen=True)
class Exported:
    """A file, its input and output names, and how far ONNX Runtime's outputs are from PyTorch's."""

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    difference: float


def export_network(
    network: nn.Module,
    examples: Sequence[Tensor],
    path: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> Exported:
    """Write a network and compare it with PyTorch on the examples and on one row of them.

    Args:
        network: in evaluation mode.
        examples: inputs with a batch of at least 2 in front.
        path: of the .onnx file.
        inputs, outputs: their names in the file.

    Raises:
        MoclipError: packages are missing, or ONNX Runtime answers otherwise than PyTorch.
    """
    runtime = _runtime()
    batch = torch.export.Dim("batch", min=1, max=4096)
    shapes = tuple({0: batch} for _ in examples)
    with atomic_path(path) as draft, torch.no_grad():
        with warnings.catch_warnings(), logger_level("torch.onnx", logging.ERROR):
            warnings.simplefilter("ignore")  # the exporter's talk of its own deprecations
            torch.onnx.export(
                network, tuple(examples), str(draft), opset_version=OPSET, dynamo=True, external_data=False,
                input_names=list(inputs), output_names=list(outputs), dynamic_shapes=shapes, verbose=False,
            )  # fmt: skip
        difference = max(
            _difference(runtime, network, rows, draft) for rows in (examples, [x[:1] for x in examples])
        )
        if not difference <= TOLERANCE:
            raise MoclipError(
                f"{path}: ONNX Runtime's outputs differ from PyTorch's by {difference:.1e}, more than {TOLERANCE:.0e}; not written"
            )
    return Exported(path, tuple(inputs), tuple(outputs), difference)


def _difference(runtime: Any, network: nn.Module, examples: Sequence[Tensor], path: Path) -> float:
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = {entry.name: x.numpy() for entry, x in zip(session.get_inputs(), examples, strict=True)}
    wanted = network(*examples)
    found = session.run(None, feed)
    differences = []
    for one, other in zip(wanted if isinstance(wanted, tuple) else (wanted,), found, strict=True):
        scale = max(1.0, float(one.abs().max()))
        differences.append(float(np.abs(one.numpy() - other).max()) / scale)
    return max(differences)


def _runtime() -> Any:
    try:
        import onnx  # noqa: F401 - the exporter needs it
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MoclipError("export needs ONNX and its runtime: pip install 'moclip-lite[export]'") from error
    return onnxruntime


class _Video(nn.Module):
    def __init__(self, model: MobileViCLIP) -> None:
        super().__init__()
        self.video = model.video

    def forward(self, clip: Tensor) -> Tensor:
        return nn.functional.normalize(self.video(clip), dim=-1)


class _Text(nn.Module):
    def __init__(self, model: MobileViCLIP) -> None:
        super().__init__()
        self.text = model.text

    def forward(self, tokens: Tensor) -> Tensor:
        return nn.functional.normalize(self.text(tokens), dim=-1)


def export_mobileviclip(model: MobileViCLIP, folder: Path) -> list[Exported]:
    """Write video.onnx (clip float32 [B, T, 3, S, S] in 0..1 -> video_vector [B, D]), text.onnx (tokens int64
    [B, 77] -> text_vector [B, D]), both of length 1, and model.json.

    Raises:
        MoclipError: see :func:`export_network`.
    """
    folded = model.reparameterize().cpu()
    config = folded.config
    clips = torch.rand(2, config.num_frames, 3, config.image_size, config.image_size)
    tokens = folded.tokenize(["a person juggling", "water"])
    made = [
        export_network(
            _Video(folded).eval(), [clips], folder / "video.onnx", inputs=["clip"], outputs=["video_vector"]
        ),
        export_network(
            _Text(folded).eval(), [tokens], folder / "text.onnx", inputs=["tokens"], outputs=["text_vector"]
        ),
    ]
    about = {
        "config": config.describe(), "weights": folded.weights, "random_parts": list(folded.random_parts),
        "temperature": float(folded.temperature),
    }  # fmt: skip
    write_json(folder / "model.json", {**about, "opset": OPSET, **_files(made)})
    return made


class _Motion(nn.Module):
    """Scores and the tokens that heads take."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.network.tokens(motion)
        return self.network.classifier(tokens.mean(dim=1)), tokens


def export_classifier(run: Path, folder: Path) -> list[Exported]:
    """Write the networks of a run folder: motion.onnx (motion float32 [B, segments, frames, 2, rows,
    columns] in pixels per frame -> scores, tokens), fusion.onnx and appearance.onnx (motion tokens,
    appearance features -> scores) as far as they were trained, and model.json with labels and settings.

    Raises:
        CheckpointError: not a run folder.
        MoclipError: see :func:`export_network`.
    """
    classifier = Classifier.load(run, device="cpu")
    experiment, made = classifier.experiment, []
    if classifier.motion is not None:
        segments, *rest = experiment.motion.spec().shape
        motion = torch.randn(2, segments, *rest)
        made.append(
            export_network(
                _Motion(classifier.motion).eval(), [motion], folder / "motion.onnx",
                inputs=["motion"], outputs=["scores", "tokens"],
            )
        )  # fmt: skip
    for stage, head in classifier.heads.items():
        sizes = [len(head.motion_norm.mean), len(head.appearance_norm.mean)]
        frames = 1 if experiment.clip.model.startswith("mobileviclip-") else experiment.clip.frames
        tokens = experiment.test.segments or experiment.motion.segments
        examples = [torch.randn(2, tokens, sizes[0]), torch.randn(2, frames, sizes[1])]
        made.append(
            export_network(
                _Head(head).eval(), examples, folder / f"{stage}.onnx",
                inputs=["motion_tokens", "appearance_features"], outputs=["scores"],
            )
        )  # fmt: skip
    if not made:
        raise CheckpointError(f"{run} holds no trained weights")
    settings = experiment.model_dump(mode="json", include={"motion", "clip", "test"})
    write_json(
        folder / "model.json", {"labels": list(classifier.labels), **settings, "opset": OPSET, **_files(made)}
    )
    return made


class _Head(nn.Module):
    """A head whose scores hang on both inputs, so that both stand in the file: controls ignore one."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        scores: Tensor = self.head(motion, appearance)
        return scores + 0 * (motion.sum(dim=(1, 2)) + appearance.sum(dim=(1, 2))).unsqueeze(1)


def _files(made: Sequence[Exported]) -> dict[str, Any]:
    return {
        "files": {
            e.path.name: {"inputs": e.inputs, "outputs": e.outputs, "difference": e.difference} for e in made
        }
    }
