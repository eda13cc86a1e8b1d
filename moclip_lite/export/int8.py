"""The image encoder of a run in 8-bit integers, written only if its predictions are those of float32.

Weights are quantised per output channel, activations while it runs (ONNX Runtime's dynamic quantisation) in
the matrix products, where transformers spend their time. Weights have 7 bits: with 8, processors without VNNI
instructions overflow silently, and the file may be used on another machine than the one that compared it.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from ..appearance.frames import energy_of, read_frames
from ..datasets import Clip
from ..datasets.clip_errors import CLIP_ERRORS
from ..engine.base import Engine, Floats
from ..engine.encoder_files import encoder_file, file_digest, keep_encoder
from ..engine.files import DRAFT, EngineFiles, int8_by_default, onnx_folder
from ..engine.model_json import INT8, MODEL_JSON, read_model_json, write_model_json
from ..engine.runtime import OnnxEngine
from ..errors import CheckpointError, MoclipError
from ..motion.read import read_motion_clip
from ..predict.classifier import Classifier
from ..progress import Reporter, Silent, logger_level
from ..results.fold_folder import FoldFolder
from ..results.held_out import read_held_out
from ..results.int8 import MIN_CLIPS, Int8Comparison, shifted, too_few
from ..results.run_folder import RunFolder
from ..storage.digest import digest_bytes
from ..streams import ANSWERS
from .compared_clips import MOST_CLIPS, ComparedClips, compared_clips, require_clips

__all__ = ["Int8Encoder", "Int8Refused", "consider_int8", "export_int8"]

_SECONDS: Final = 120.0  # of CPU after which no more are, once there are MIN_CLIPS
_OPERATIONS: Final = ("Gemm", "MatMul")
_METHOD: Final = "dynamic int8, 7-bit weights per channel, version 1"


class Int8Refused(CheckpointError):
    """An image encoder is not to be computed in int8; the message says why, in terms of the run alone."""


@dataclass(frozen=True)
class Int8Encoder:
    """A quantised image encoder and how it compares with the one in float32."""

    path: Path
    comparison: Int8Comparison


def export_int8(run: Path, reporter: Reporter | None = None) -> Int8Encoder:
    """Write the image encoder of a run in int8 into the cache, where ``--engine onnx-int8`` finds it.

    Its features and the labels that it leads to are compared with those of float32 on clips of the run:
    validation clips, where there are some. Test clips are never read. The figures are written into
    model.json, and decide whether int8 answers by default.

    Args:
        run: the run folder, or the folder of a fold; it has ONNX files.
        reporter: told what is compared.

    Raises:
        Int8Refused: labels or features differ, or int8 does not make such an encoder faster; no encoder is
            written, and model.json says why.
        CheckpointError: not a run folder, or one without an image encoder, or that does not name its clips.
        MoclipError: no clip of the run can be read, or the cache can't be used.
    """
    reporter, folder = reporter or Silent(), RunFolder(run)
    require_clips(run)
    with folder.locked():
        classifier = Classifier.load(run, device="cpu", engine="onnx")
        files = EngineFiles.find(folder, classifier.experiment, classifier.labels)
        if files.encoder is None:
            raise CheckpointError(f"{run} has no head on pictures: there is no image encoder to quantise")
        try:
            path, key, comparison = _write_compared(classifier, folder, files, reporter)
        except Int8Refused as error:
            _note(folder, {"refused": str(error)})
            raise
        figures = {"bytes": path.stat().st_size, "comparison": asdict(comparison)}
        _note(folder, {"key": key, "digest": file_digest(path), **figures})
    return Int8Encoder(path, comparison)


def consider_int8(run: Path, reporter: Reporter) -> None:
    """As :func:`export_int8`, where enough validation clips can show that int8 loses nothing; else model.json
    says why the image encoder stays in float32. What hinders the comparison is a warning.

    Raises:
        CheckpointError: not a run folder, or damaged.
    """
    folder = RunFolder(run)
    description = read_model_json(onnx_folder(folder) / MODEL_JSON)
    if not description.get("encoder"):
        return
    found = read_held_out(folder.held_out, len(folder.read_labels()))
    if found is None or len(found.clips) < MIN_CLIPS:
        with folder.locked():
            _note(folder, {"refused": too_few(0 if found is None else len(found.clips))})
        return
    reporter.say(f"comparing the image encoder in int8 with float32, on up to {MOST_CLIPS} validation clips")
    try:
        with suppress(Int8Refused):  # noted in model.json
            export_int8(run, reporter)
    except MoclipError as error:
        reporter.warn(f"the image encoder stays in float32, it could not be compared in int8: {error}")
        return
    reporter.say(int8_by_default(read_model_json(onnx_folder(folder) / MODEL_JSON))[1])


def _note(folder: FoldFolder, entry: Mapping[str, Any]) -> None:
    path = onnx_folder(folder) / MODEL_JSON
    write_model_json(path, {**read_model_json(path), INT8: dict(entry)})


def _write_compared(
    classifier: Classifier, folder: RunFolder, files: EngineFiles, reporter: Reporter
) -> tuple[Path, str, Int8Comparison]:
    """The encoder in the cache, its key, and its comparison.

    Raises:
        Int8Refused, MoclipError: see :func:`export_int8`.
    """
    assert files.encoder is not None
    origin = digest_bytes([json.dumps([files.description["encoder"]["key"], _METHOD]).encode()])
    with tempfile.TemporaryDirectory(dir=onnx_folder(folder), prefix=DRAFT) as name:
        draft = Path(name) / "pictures.onnx"
        _quantize(files.encoder, draft)
        given = EngineFiles(files.networks, draft, files.description, int8=True)
        quantized = OnnxEngine(given, classifier.experiment, folder)
        comparison = _compare(classifier, quantized, compared_clips(classifier, folder, reporter), reporter)
        key = keep_encoder(classifier.experiment, origin, draft)
    return encoder_file(classifier.experiment, key), key, comparison


def _quantize(source: Path, target: Path) -> None:
    """Write a file with its matrix products in int8.

    Raises:
        Int8Refused: most weights are not in matrix products.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = onnx.load(str(source)).graph
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    used = {name for node in graph.node if node.op_type in _OPERATIONS for name in node.input}
    if 2 * sum(size for name, size in sizes.items() if name in used) < sum(sizes.values()):
        raise Int8Refused(
            "most of the image encoder's weights are convolutions; int8 speeds up transformers (ViT) only"
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


def _compare(
    classifier: Classifier, quantized: Engine, given: ComparedClips, reporter: Reporter
) -> Int8Comparison:
    """Compare features and labels of clips; damaged clips are left out.

    Raises:
        Int8Refused: int8 changes labels or features.
        MoclipError: no clip can be read.
    """
    rows: list[_Row] = []
    started = time.process_time()
    for done, clip in enumerate(given.clips, start=1):
        if len(rows) >= MIN_CLIPS and time.process_time() - started > _SECONDS:
            break
        with suppress(*CLIP_ERRORS):
            before, after = _scores(classifier, quantized, clip)
            truth = classifier.labels.index(clip.label) if clip.label in classifier.labels else None
            rows.append(_row(before, after, given.held_out.get(clip.name), truth))
        reporter.progress("compare int8", done, len(given.clips))
    if not rows:
        raise MoclipError("no clip of the run can be read, so int8 can't be compared with float32")
    comparison = Int8Comparison(
        clips=len(rows),
        held_out=all(clip.name in given.held_out for clip in given.clips),
        changed=sum(row.changed for row in rows),
        right=100 * float(np.mean([row.right for row in rows])),
        right_int8=100 * float(np.mean([row.right_int8 for row in rows])),
        difference=max(row.difference for row in rows),
        mean_difference=float(np.mean([row.difference for row in rows])),
        least_cosine=min(row.cosine for row in rows),
        cpu_ms=float(np.median([row.cpu_ms for row in rows])),
        cpu_ms_int8=float(np.median([row.cpu_ms_int8 for row in rows])),
    )
    if comparison.problem:
        raise Int8Refused(f"{comparison.problem}; not written: take --engine onnx")
    return comparison


class _Scores(NamedTuple):
    """Features of a clip's frames, probabilities of the head that answers, CPU time of the encoder."""

    features: Floats
    probabilities: Floats
    cpu_ms: float


class _Row(NamedTuple):
    changed: bool
    right: bool
    right_int8: bool
    difference: float
    cosine: float
    cpu_ms: float
    cpu_ms_int8: float


def _row(before: _Scores, after: _Scores, held_out: Floats | None, truth: int | None) -> _Row:
    """Figures of a clip; a label counts as changed by the head that answers, or by held-out scores."""
    labels = [int(before.probabilities.argmax()), int(after.probabilities.argmax())]
    changed = labels[0] != labels[1]
    if held_out is not None:
        moved = shifted(held_out, before.probabilities, after.probabilities)
        labels = [int(held_out.argmax()), int(moved.argmax())]
        changed |= labels[0] != labels[1]
    return _Row(
        changed,
        labels[0] == truth,
        labels[1] == truth,
        float(np.abs(before.probabilities - after.probabilities).max()),
        float((_unit(before.features) * _unit(after.features)).sum(axis=-1).min()),
        before.cpu_ms,
        after.cpu_ms,
    )


def _scores(classifier: Classifier, quantized: Engine, clip: Clip) -> tuple[_Scores, _Scores]:
    """Of the stream that answers, in float32 and in int8."""
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
        started = time.process_time()
        features = engine.appearance_features(frames.pictures)
        spent = 1000 * (time.process_time() - started)
        results.append(_Scores(features, engine.head_scores(stream, tokens, features, frames.facts), spent))
    return results[0], results[1]


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)
