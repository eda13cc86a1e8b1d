"""The image encoder of a run in 8-bit integers, written only if its predictions are those of float32.

Weights are quantised per output channel, activations while it runs (ONNX Runtime's dynamic quantisation) in
the matrix products, where transformers spend their time. Weights have 7 bits: with 8, processors without VNNI
instructions overflow silently, and the file may be used on another machine than the one that compared it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..appearance.frames import energy_of, read_frames
from ..datasets import Clip
from ..datasets.clip_errors import CLIP_ERRORS
from ..engine.base import Engine, Floats
from ..engine.files import DESCRIPTION, INT8, EngineFiles, encoder_file, file_digest, onnx_folder
from ..engine.runtime import OnnxEngine
from ..errors import CheckpointError, MoclipError
from ..experiment.config import Experiment
from ..experiment.session import Session
from ..motion.read import read_motion_clip
from ..predict.classifier import Classifier
from ..progress import Reporter, Silent, logger_level
from ..results.fold_folder import FoldFolder
from ..results.run_folder import RunFolder
from ..storage.digest import digest_bytes
from ..storage.files import atomic_path, cache_access, read_json, write_json
from ..streams import ANSWERS

__all__ = ["Int8Encoder", "export_int8"]

LEAST_COSINE: Final = 0.99
_CLIPS: Final = 48  # most clips that are compared
_OPERATIONS: Final = ("Gemm", "MatMul")
_METHOD: Final = "dynamic int8, 7-bit weights per channel, version 1"


@dataclass(frozen=True)
class Int8Encoder:
    """A quantised image encoder and how it compares with the one in float32.

    Attributes:
        path: of the file.
        clips: number of clips that were compared.
        least_cosine: of the features of a clip's frames.
        difference: largest difference of a probability.
    """

    path: Path
    clips: int
    least_cosine: float
    difference: float


def export_int8(run: Path, reporter: Reporter | None = None) -> Int8Encoder:
    """Write the image encoder of a run in int8 into the cache, where ``--engine onnx-int8`` finds it.

    Its features and the labels that it leads to are compared with those of float32 on clips of the run:
    validation clips, where there are some.

    Args:
        run: the run folder, or the folder of a fold; it has ONNX files.
        reporter: told what is compared.

    Raises:
        CheckpointError: not a run folder, or without an encoder that this helps.
        MoclipError: no clip of the run can be read, or a label or feature differs; nothing is written then.
    """
    reporter, folder = reporter or Silent(), RunFolder(run)
    folder.require()
    with folder.locked():
        classifier = Classifier.load(run, device="cpu", engine="onnx")
        files = EngineFiles.find(folder, classifier.experiment, classifier.labels)
        if files.encoder is None:
            raise CheckpointError(f"{run} has no head on pictures: there is no image encoder to quantise")
        origin = files.description["encoder"]
        key = digest_bytes([json.dumps([origin["key"], _METHOD]).encode()])
        path = encoder_file(classifier.experiment, key)
        with cache_access(path.parents[2]):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as draft:
                _quantize(files.encoder, draft)
                quantized = OnnxEngine(
                    EngineFiles(files.networks, draft, files.description, int8=True),
                    classifier.experiment,
                    folder,
                )
                compared = _compare(classifier, quantized, _clips(classifier.experiment, run), reporter)
        description = read_json(onnx_folder(FoldFolder(run)) / DESCRIPTION)
        entry = {"key": key, "digest": file_digest(path), "bytes": path.stat().st_size, **compared}
        write_json(onnx_folder(FoldFolder(run)) / DESCRIPTION, {**description, INT8: entry})
    return Int8Encoder(path, **compared)


def _quantize(source: Path, target: Path) -> None:
    """Write a file with its matrix products in int8.

    Raises:
        CheckpointError: most weights are not in matrix products.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = onnx.load(str(source)).graph
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    used = {name for node in graph.node if node.op_type in _OPERATIONS for name in node.input}
    if 2 * sum(size for name, size in sizes.items() if name in used) < sum(sizes.values()):
        raise CheckpointError(
            f"{source}: most of this encoder's weights are convolutions; int8 speeds up transformers (ViT) only"
        )
    with logger_level("", logging.ERROR):  # it warns of a preparation that changes nothing here
        quantize_dynamic(
            str(source),
            str(target),
            op_types_to_quantize=list(_OPERATIONS),
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )


def _clips(experiment: Experiment, run: Path) -> list[Clip]:
    """Validation clips of a run, or training clips, evenly over all."""
    session = Session(experiment)
    named = [fold for fold in session.folds if fold.name == run.name] or session.folds[:1]
    clips = sorted(named[0].val or named[0].train, key=lambda clip: clip.name)
    chosen = np.unique(np.linspace(0, len(clips) - 1, min(_CLIPS, len(clips))).round().astype(int))
    return [clips[i] for i in chosen]


def _compare(
    classifier: Classifier, quantized: Engine, clips: Sequence[Clip], reporter: Reporter
) -> dict[str, Any]:
    """Compare features and labels of clips; damaged clips are left out.

    Raises:
        MoclipError: none can be read, a feature is too far away, or a label differs.
    """
    cosines, differences, changed = [], [], []
    for done, clip in enumerate(clips, start=1):
        try:
            before, after = _scores(classifier, quantized, clip)
        except CLIP_ERRORS:
            continue
        cosines.append(float((_unit(before[0]) * _unit(after[0])).sum(axis=-1).min()))
        differences.append(float(np.abs(before[1] - after[1]).max()))
        if before[1].argmax() != after[1].argmax():
            changed.append(clip.name)
        reporter.progress("compare int8", done, len(clips))
    if not cosines:
        raise MoclipError(
            "no clip of the run can be read, so int8 can't be compared with float32; not written"
        )
    if changed or not min(cosines) >= LEAST_COSINE:
        raise MoclipError(
            f"int8 changes the label of {len(changed)} of {len(cosines)} clips (least cosine of a feature "
            f"{min(cosines):.4f}); not written: take --engine onnx"
        )
    return {"clips": len(cosines), "least_cosine": min(cosines), "difference": max(differences)}


def _scores(
    classifier: Classifier, quantized: Engine, clip: Clip
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Features and probabilities of the stream that answers, in float32 and in int8."""
    experiment, tokens, energy = classifier.experiment, None, None
    if classifier.motion is not None:
        motion = read_motion_clip(clip.path, experiment.motion, clip.segment)
        if not motion.empty:
            tokens = classifier.engine.motion_features(motion.motion)[0]
        energy = energy_of(motion, experiment.motion) if experiment.clip.needs_motion else None
    frames = read_frames(clip.path, experiment.clip, clip.segment, energy)
    stream = next(stream for stream in ANSWERS if stream in classifier.heads)
    results = []
    for engine in (classifier.engine, quantized):
        features = engine.appearance_features(frames.pictures)
        results.append((features, engine.head_scores(stream, tokens, features, frames.facts)))
    return results[0], results[1]


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)
