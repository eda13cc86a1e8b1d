"""A run folder as ONNX files that give, one after another, the answer of ``moclip predict``.

``motion.onnx`` contains the choice of windows and all test views: its scores are those of prediction and its
tokens are the input of the heads. ``pictures.onnx`` is the frozen appearance encoder. All scores are logits:
their softmax is the probability that ``predict`` gives.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from ..engine.base import Engine
from ..engine.files import EngineFiles
from ..engine.pytorch import TorchEngine
from ..engine.runtime import OnnxEngine
from ..errors import MoclipError
from ..motion.augment import views
from ..motion.network import MotionNet
from ..motion.settings import ViewSettings
from ..predict.classifier import Classifier
from ..results.run_folder import ONNX_PARTS, FoldFolder, RunFolder
from ..sampling import choose_segments
from ..storage.files import write_json
from ..streams import Stream
from .network import OPSET, TOLERANCE, Exported, describe_files, export_network
from .pictures import picture_network

__all__ = [
    "MAX_BYTES",
    "SegmentEncoder",
    "SegmentMixer",
    "compare_files",
    "describe",
    "export_classifier",
    "export_heads",
    "export_motion",
    "export_segments",
]

_PICTURE_SIZES: Final = ((48, 64), (301, 229))  # rows, columns: smaller and larger than the encoder's input
MAX_BYTES: Final = 2**31 - 2**26  # of weights; one ONNX file holds less than 2 GiB


def export_classifier(run: Path, folder: Path) -> list[Exported]:
    """Write the networks of a run folder, as far as they were trained, and model.json.

    ========================= ==========================================================================
    motion.onnx               motion float32 [B, segments, frames, 2, rows, columns], pixels per frame
                              -> scores [B, classes], tokens [B, test segments, D]
    pictures.onnx             pictures float32 [N, 3, S, S] in 0..1 -> features [N, D]; of a video encoder
                              [N, T, 3, S, S]
    fusion, appearance.onnx   motion_tokens [B, test segments, D], appearance_features [B, frames, D]
                              -> scores [B, classes]
    ========================= ==========================================================================

    They are compared with PyTorch one by one, and together with what ``predict`` computes.

    Raises:
        CheckpointError: not a run folder.
        WeightsUnavailable: the appearance encoder's weights can't be loaded.
        MoclipError: see :func:`moclip_lite.export.export_network`.
    """
    classifier = Classifier.load(run, device="cpu", engine="torch")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as name:
        drafts = Path(name)
        metadata = describe(classifier)
        exported = export_motion(classifier, drafts, metadata)
        if classifier.heads:
            exported += _export_pictures(classifier, drafts, metadata)
            exported += export_heads(classifier, drafts, metadata)
        difference = compare_files(
            classifier, RunFolder(run), metadata, {e.path.stem: e.path for e in exported}
        )
        for file in exported:
            file.path.replace(folder / file.path.name)
    exported = [replace(file, path=folder / file.path.name) for file in exported]
    note = {
        **metadata,
        "opset": OPSET,
        "difference_from_predict": difference,
        "files": describe_files(exported),
    }
    write_json(folder / "model.json", note)
    return exported


def describe(classifier: Classifier) -> dict[str, Any]:
    """What a user of the files must know, in plain values."""
    experiment = classifier.experiment
    settings = experiment.model_dump(mode="json", include={"motion", "clip", "test"})
    return {
        "labels": list(classifier.labels),
        "scores": "logits: their softmax is the probability that predict gives",
        "views": {
            **experiment.test.model_dump(),
            "segments": experiment.test.segments or experiment.motion.segments,
            "where": "chosen and averaged in motion.onnx",
        },
        "answer": (
            "fusion.onnx if it is there, else appearance.onnx, else motion.onnx; for a clip without motion "
            "appearance.onnx, with any motion_tokens"
        ),
        "preprocessing": {"motion": experiment.motion.reading()},
        "pooling": (
            f"features of frames are pooled by clip.pooling={experiment.clip.pooling} "
            "(moclip_lite.appearance.pooling.pool_frames) before the heads take them"
        ),
        "warnings": classifier.warnings,
        **settings,
    }


class _Motion(nn.Module):
    """Scores and tokens, each the mean over the test views, as prediction computes them."""

    chosen: Tensor

    def __init__(self, network: MotionNet, segments: int, test: ViewSettings) -> None:
        super().__init__()
        self.network, self.test = network, test
        indices = choose_segments(segments, test.segments) if test.segments else np.arange(segments)
        self.register_buffer("chosen", torch.from_numpy(indices))

    def forward(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        chosen = motion.index_select(1, self.chosen)
        seen = list(views(chosen, self.test.crops, self.test.flips))
        tokens = self.network.tokens(torch.cat(seen))
        logs = self.network.classifier(tokens.mean(dim=1)).log_softmax(dim=1)
        mean = torch.unflatten(logs, 0, (len(seen), -1)).logsumexp(dim=0) - math.log(len(seen))
        return mean, torch.unflatten(tokens, 0, (len(seen), -1)).mean(dim=0)


class SegmentEncoder(nn.Module):
    """Features [N, views, D] of segments [N, frames, 2, rows, columns], which see no other."""

    def __init__(self, network: MotionNet, test: ViewSettings) -> None:
        super().__init__()
        self.network, self.test = network, test

    def forward(self, segments: Tensor) -> Tensor:
        seen = list(views(segments.unsqueeze(1), self.test.crops, self.test.flips))
        return torch.cat([self.network.encode(view) for view in seen], dim=1)


class SegmentMixer(nn.Module):
    """What :class:`_Motion` gives, from the features [B, T, views, D] of segments."""

    def __init__(self, network: MotionNet) -> None:
        super().__init__()
        self.mix, self.classifier = network.mix, network.classifier

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        seen = features.shape[2]
        tokens = torch.unflatten(self.mix(features.transpose(1, 2).flatten(0, 1)), 0, (-1, seen))
        logs = self.classifier(tokens.mean(dim=2)).log_softmax(dim=2)
        return logs.logsumexp(dim=1) - math.log(seen), tokens.mean(dim=1)


class _Head(nn.Module):
    """A head whose scores hang on both inputs, so that both stand in the file: controls ignore one."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        scores: Tensor = self.head(motion, appearance)
        return scores + 0 * (motion.sum(dim=(1, 2)) + appearance.sum(dim=(1, 2))).unsqueeze(1)


def export_head(head: nn.Module) -> nn.Module:
    """A head as it is exported, in evaluation mode."""
    return _Head(head).eval()


def export_motion(classifier: Classifier, folder: Path, metadata: dict[str, Any]) -> list[Exported]:
    """motion.onnx, where there is a motion network."""
    network = _networks(classifier).network
    if network is None:
        return []
    segments, *rest = classifier.experiment.motion.shape
    motion = _Motion(network, segments, classifier.experiment.test).eval()
    file = export_network(
        motion,
        [torch.randn(2, segments, *rest)],
        folder / "motion.onnx",
        inputs=["motion"],
        outputs=["scores", "tokens"],
        metadata=metadata,
    )
    return [file]


def export_segments(classifier: Classifier, folder: Path, metadata: dict[str, Any]) -> list[Exported]:
    """The motion network in two files, :data:`moclip_lite.results.run_folder.ONNX_PARTS`; none where windows can't share segments."""
    network, test = _networks(classifier).network, classifier.experiment.test
    if network is None or test.segments:
        return []
    segments, *rest = classifier.experiment.motion.shape
    count, dim = test.crops * test.flips, network.feature_dim
    encoder, mixer = SegmentEncoder(network, test).eval(), SegmentMixer(network).eval()
    names: list[tuple[nn.Module, Tensor, str, list[str], list[str]]] = [
        (encoder, torch.randn(2, *rest), "segments", ["segments"], ["features"]),
        (mixer, torch.randn(2, segments, count, dim), "windows", ["features"], ["scores", "tokens"]),
    ]
    return [
        export_network(
            part, [example], folder / f"{name}.onnx", inputs=inputs, outputs=outputs, metadata=metadata
        )
        for part, example, name, inputs, outputs in names
    ]


def _export_pictures(classifier: Classifier, folder: Path, metadata: dict[str, Any]) -> list[Exported]:
    """The encoder; none where it is too large or features are one's own, which `metadata` then says."""
    if classifier.own_appearance is not None:
        metadata["warnings"].append(f"appearance features are one's own: {classifier.own_appearance.path}")
        return []
    network, example, rules = picture_network(classifier.encoder, classifier.experiment.clip)
    metadata["preprocessing"]["pictures"] = rules
    if sum(p.numel() * p.element_size() for p in network.parameters()) > MAX_BYTES:
        metadata["warnings"].append(
            "the appearance encoder is too large for an ONNX file; its features come from PyTorch"
        )
        return []
    file = export_network(
        network,
        [example],
        folder / "pictures.onnx",
        inputs=["pictures"],
        outputs=["features"],
        metadata=metadata,
    )
    return [file]


def export_heads(classifier: Classifier, folder: Path, metadata: dict[str, Any]) -> list[Exported]:
    """A file per head; numbers of motion tokens and of frames are free in it."""
    exported = []
    for stage, head in _networks(classifier).heads.items():
        norms = ((head.motion_norm, 5), (head.appearance_norm, 3))  # examples have the size of features
        examples = [norm.mean + torch.randn(2, count, len(norm.mean)) / norm.scale for norm, count in norms]
        exported.append(
            export_network(
                export_head(head),
                examples,
                folder / f"{stage}.onnx",
                metadata=metadata,
                inputs=["motion_tokens", "appearance_features"],
                outputs=["scores"],
                counted=["tokens", "frames"],
            )
        )
    return exported


def compare_files(
    classifier: Classifier, run: FoldFolder, metadata: Mapping[str, Any], files: Mapping[str, Path]
) -> float:
    """Compare all files together, with the preprocessing of pictures, with what predict computes by PyTorch.

    Args:
        classifier: of the run, by PyTorch.
        run: its folder.
        metadata: what stands in model.json.
        files: "motion", "pictures" and the heads' streams -> file.

    Returns:
        The largest difference of a feature or probability, relative to the largest value where that exceeds 1.

    Raises:
        MoclipError: it is above TOLERANCE.
    """
    parts = {name: files[name] for name in ONNX_PARTS if name in files}
    networks = {name: path for name, path in files.items() if name != "pictures" and name not in parts}
    given = EngineFiles(networks, files.get("pictures"), metadata, parts)
    found = OnnxEngine(given, classifier.experiment, run)
    difference = max(_differences(classifier, found, "pictures" in files))
    if not difference <= TOLERANCE:
        raise MoclipError(
            f"{run.path}: the ONNX files together differ from predict by {difference:.1e}, more than "
            f"{TOLERANCE:.0e}; not written"
        )
    return difference


def _differences(classifier: Classifier, found: Engine, pictures_too: bool) -> Iterator[float]:
    """How far another engine's features and probabilities are from a classifier's, for random input."""
    rng = np.random.default_rng(0)
    tokens = None
    if classifier.motion is not None:
        motion = (2 * rng.standard_normal(classifier.experiment.motion.shape)).astype(np.float16)
        tokens, scores = classifier.motion_features(motion)
        for one, other in zip(found.motion_features(motion), (tokens, scores), strict=True):
            yield _difference(one, other)
        if found.encodes_segments:
            shared = found.window_features(found.segment_features(motion))
            for one, other in zip(shared, (tokens, scores), strict=True):
                yield _difference(one, other)
    for height, width in _PICTURE_SIZES if classifier.heads else ():
        own = classifier.own_appearance
        if own is not None:
            features = appearance = rng.standard_normal(own.shape).astype(np.float32)
        else:
            frames = classifier.experiment.clip.frames
            pictures = rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
            appearance = classifier.appearance_features(pictures)
            features = found.appearance_features(pictures) if pictures_too else appearance
        yield _difference(features, appearance)
        for stream in classifier.heads:
            for given in (tokens, None) if stream is Stream.APPEARANCE else (tokens,):
                expected = classifier.head_scores(stream, given, appearance)
                yield _difference(found.head_scores(stream, given, features), expected)


def _networks(classifier: Classifier) -> TorchEngine:
    assert isinstance(classifier.engine, TorchEngine)
    return classifier.engine


def _difference(one: Any, other: Any) -> float:
    """Largest difference, relative to the largest value where that exceeds 1."""
    return float(np.abs(one - other).max() / max(1.0, np.abs(other).max()))
