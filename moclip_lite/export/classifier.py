"""A run folder as ONNX files that give, one after another, the answer of ``moclip predict``.

``motion.onnx`` contains the choice of windows and all test views: its scores are those of prediction and its
tokens are the input of the heads. ``pictures.onnx`` is the frozen appearance encoder. All scores are logits:
their softmax is the probability that ``predict`` gives.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from ..engine.files import DRAFT
from ..engine.pytorch import TorchEngine
from ..experiment.settings.portable import portable
from ..predict.classifier import Classifier
from ..results.run_folder import RunFolder
from ..streams import ANSWERS, Stream
from .compare import compare_files
from .install import install, refuse_engine_folder
from .modules import MotionScores, SegmentEncoder, SegmentMixer, export_head
from .network import Exported, export_network
from .pictures import picture_network

__all__ = ["MAX_BYTES", "describe", "export_classifier", "export_heads", "export_motion", "export_segments"]

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

    They are compared with PyTorch one by one, and together with what ``predict`` computes. Networks that an
    earlier export left in the folder are removed.

    Raises:
        ConfigError: the folder is one whose files prediction uses, see ``export_engine``.
        CheckpointError: not a run folder.
        WeightsUnavailable: the appearance encoder's weights can't be loaded.
        MoclipError: see :func:`moclip_lite.export.export_network`.
    """
    refuse_engine_folder(folder)
    classifier = Classifier.load(run, device="cpu", engine="torch")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=DRAFT) as name:
        drafts = Path(name)
        metadata = describe(classifier)
        exported = export_motion(classifier, drafts, metadata)
        if classifier.heads:
            exported += _export_pictures(classifier, drafts, metadata)
            exported += export_heads(classifier, drafts, metadata)
        difference = compare_files(
            classifier, RunFolder(run), metadata, {e.path.stem: e.path for e in exported}
        )
        return install(exported, folder, {**metadata, "difference_from_predict": difference})


def describe(classifier: Classifier) -> dict[str, Any]:
    """What a user of the files must know, in plain values."""
    experiment = classifier.experiment
    settings = portable(experiment).model_dump(mode="json", include={"motion", "clip", "test"})
    heads = [stream for stream in ANSWERS if stream in classifier.heads]
    still = Stream.APPEARANCE if Stream.APPEARANCE in heads else None
    return {
        "labels": list(classifier.labels),
        "scores": "logits: their softmax is the probability that predict gives",
        "views": {
            **experiment.test.model_dump(),
            "segments": len(experiment.test.chosen(experiment.motion.segments)),
            "where": "chosen and averaged in motion.onnx",
        },
        "answer": f"{(*heads, Stream.MOTION)[0]}.onnx",
        "answer_without_motion": still and f"{still}.onnx, with any motion_tokens",
        "preprocessing": {"motion": experiment.motion.reading()},
        "pooling": (
            f"features of frames are pooled by clip.pooling={experiment.clip.pooling} "
            "(moclip_lite.appearance.pooling.pool_frames) before the heads take them"
        ),
        "warnings": classifier.warnings,
        **settings,
    }


def export_motion(classifier: Classifier, folder: Path, metadata: dict[str, Any]) -> list[Exported]:
    """motion.onnx, where there is a motion network."""
    network = _networks(classifier).network
    if network is None:
        return []
    segments, *rest = classifier.experiment.motion.shape
    motion = MotionScores(network, segments, classifier.experiment.test).eval()
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
    """The motion network in two files, :data:`moclip_lite.results.fold_folder.ONNX_PARTS`.

    None where windows can't share segments.
    """
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
    """The encoder; none where it is too large or features are precomputed, which `metadata` then says."""
    if classifier.own_appearance is not None:
        metadata["warnings"].append(
            f"the appearance features are precomputed: {classifier.own_appearance.path.name}"
        )
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


def _networks(classifier: Classifier) -> TorchEngine:
    assert isinstance(classifier.engine, TorchEngine)
    return classifier.engine
