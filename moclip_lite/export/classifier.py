"""A run folder as ONNX files that give, one after another, the answer of ``moclip predict``.

``motion.onnx`` contains the choice of windows and all test views: its scores are those of prediction and its
tokens are the input of the heads. ``pictures.onnx`` is the frozen appearance encoder. All scores are logits:
their softmax is the probability that ``predict`` gives.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..errors import CheckpointError, MoclipError
from ..motion.augment import views
from ..motion.network import MotionNet
from ..motion.settings import ViewSettings
from ..predict.classifier import Classifier
from ..sampling import choose_segments
from ..storage.files import write_json
from .network import OPSET, TOLERANCE, Exported, describe_files, export_network, open_session
from .pictures import picture_network, sees_clips

__all__ = ["export_classifier"]

_MAX_BYTES: Final = 2**31 - 2**26  # of weights; one ONNX file holds less than 2 GiB


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
    classifier = Classifier.load(run, device="cpu")
    if classifier.motion is None and not classifier.heads:
        raise CheckpointError(f"{run} holds no trained weights")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as name:
        drafts = Path(name)
        metadata = _describe(classifier)
        exported = _export_motion(classifier, drafts, metadata)
        if classifier.heads:
            exported += _export_pictures(classifier, drafts, metadata)
            exported += _export_heads(classifier, drafts, metadata)
        difference = _compare_chain(classifier, drafts)
        if not difference <= TOLERANCE:
            raise MoclipError(
                f"{folder}: the files together differ from predict by {difference:.1e}, more than "
                f"{TOLERANCE:.0e}; not written"
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


def _describe(classifier: Classifier) -> dict[str, Any]:
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


class _Head(nn.Module):
    """A head whose scores hang on both inputs, so that both stand in the file: controls ignore one."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        scores: Tensor = self.head(motion, appearance)
        return scores + 0 * (motion.sum(dim=(1, 2)) + appearance.sum(dim=(1, 2))).unsqueeze(1)


def _export_motion(classifier: Classifier, folder: Path, metadata: dict[str, Any]) -> list[Exported]:
    if classifier.motion is None:
        return []
    segments, *rest = classifier.experiment.motion.shape
    network = _Motion(classifier.motion, segments, classifier.experiment.test).eval()
    file = export_network(
        network,
        [torch.randn(2, segments, *rest)],
        folder / "motion.onnx",
        inputs=["motion"],
        outputs=["scores", "tokens"],
        metadata=metadata,
    )
    return [file]


def _export_pictures(classifier: Classifier, folder: Path, metadata: dict[str, Any]) -> list[Exported]:
    """The encoder; none where it is too large or features are one's own, which `metadata` then says."""
    if classifier.own_appearance is not None:
        metadata["warnings"].append(f"appearance features are one's own: {classifier.own_appearance.path}")
        return []
    network, example, rules = picture_network(classifier.encoder, classifier.experiment.clip)
    metadata["preprocessing"]["pictures"] = rules
    if sum(p.numel() * p.element_size() for p in network.parameters()) > _MAX_BYTES:
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


def _export_heads(classifier: Classifier, folder: Path, metadata: dict[str, Any]) -> list[Exported]:
    experiment, exported = classifier.experiment, []
    tokens = experiment.test.segments or experiment.motion.segments
    frames = _head_frames(classifier)
    for stage, head in classifier.heads.items():
        sizes = [len(head.motion_norm.mean), len(head.appearance_norm.mean)]
        examples = [torch.randn(2, tokens, sizes[0]), torch.randn(2, frames, sizes[1])]
        exported.append(
            export_network(
                _Head(head).eval(),
                examples,
                folder / f"{stage}.onnx",
                metadata=metadata,
                inputs=["motion_tokens", "appearance_features"],
                outputs=["scores"],
            )
        )
    return exported


def _head_frames(classifier: Classifier) -> int:
    """Appearance features of a clip, as heads take them."""
    if classifier.own_appearance is not None:
        return int(classifier.own_appearance.shape[0])
    return 1 if sees_clips(classifier.encoder) else classifier.experiment.clip.frames


def _compare_chain(classifier: Classifier, folder: Path) -> float:
    """Largest difference of a probability between the files, one after another, and what predict computes."""
    rng, differences = np.random.default_rng(0), [0.0]
    tokens = features = None
    if classifier.motion is not None:
        motion = (2 * rng.standard_normal(classifier.experiment.motion.shape)).astype(np.float16)
        expected, probabilities = classifier.motion_features(motion)
        session = open_session(folder / "motion.onnx")
        scores, tokens = session.run(None, {"motion": motion[None].astype(np.float32)})
        differences += [_difference(tokens[0], expected), _difference(_softmax(scores)[0], probabilities)]
    if not classifier.heads:
        return max(differences)
    if classifier.own_appearance is not None:
        appearance = rng.standard_normal(classifier.own_appearance.shape).astype(np.float32)
    else:
        pictures = rng.integers(0, 256, (classifier.experiment.clip.frames, 48, 64, 3), dtype=np.uint8)
        appearance = classifier.appearance_features(pictures)
    if (folder / "pictures.onnx").is_file():
        features = _exported_features(classifier, pictures, folder / "pictures.onnx")
        differences.append(_difference(features, appearance))
    segments = classifier.experiment.test.segments or classifier.experiment.motion.segments
    for stream, head in classifier.heads.items():
        given = np.zeros((segments, len(head.motion_norm.mean)), np.float32) if tokens is None else tokens[0]
        inputs = {
            "motion_tokens": given[None],
            "appearance_features": (appearance if features is None else features)[None],
        }
        (scores,) = open_session(folder / f"{stream}.onnx").run(None, inputs)
        differences.append(
            _difference(_softmax(scores)[0], classifier.head_scores(stream, given, appearance))
        )
    return max(differences)


def _exported_features(classifier: Classifier, pictures: npt.NDArray[np.uint8], path: Path) -> Any:
    """Features [frames, D] of a clip's pictures by the exported encoder."""
    network, _, _ = picture_network(classifier.encoder, classifier.experiment.clip)
    prepared = classifier.encoder.prepare(pictures) * network.std + network.mean
    batch = (prepared[None] if sees_clips(classifier.encoder) else prepared).numpy()
    (features,) = open_session(path).run(None, {"pictures": batch})
    return features


def _softmax(scores: Any) -> Any:
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _difference(one: Any, other: Any) -> float:
    """Largest difference, relative to the largest value where that exceeds 1."""
    return float(np.abs(one - other).max() / max(1.0, np.abs(other).max()))
