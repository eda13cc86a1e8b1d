"""Networks run by ONNX Runtime: no PyTorch, open_clip or torchvision is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..appearance.pooling import FrameFacts, pool_frames
from ..errors import CheckpointError
from ..experiment.config import Experiment
from ..parallel.threads import available_cores
from ..results.fold_folder import ONNX_PARTS, FoldFolder
from ..storage.files import read_tensors
from ..streams import Stream
from .base import Engine, Floats
from .files import EngineFiles
from .pictures import PictureRules

__all__ = ["OnnxEngine", "open_session"]


INT8_NOTE: Final = "the image encoder computes in int8: scores differ slightly from those of --engine onnx"


def open_session(path: Path, threads: int = 0) -> Any:
    """An ONNX Runtime session on the CPU.

    Args:
        path: of the .onnx file.
        threads: of one operation; 0 for OMP_NUM_THREADS, or one per usable core.

    Raises:
        CheckpointError: not a model that this ONNX Runtime can run.
        ImportError: ONNX Runtime is not installed.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or _default_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as for OpenMP's threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime raises its own classes, which derive from Exception
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path} can't be run by ONNX Runtime: {reason}") from error


def _default_threads() -> int:
    words = os.environ.get("OMP_NUM_THREADS", "")
    return int(words) if words.isdecimal() and int(words) else available_cores()


class OnnxEngine(Engine):
    """Networks of a run folder by ONNX Runtime, on the CPU.

    Args:
        files: checked ONNX files.
        experiment: the configuration.
        folder: holds the heads' weights, of which the mean motion feature is read.
    """

    def __init__(self, files: EngineFiles, experiment: Experiment, folder: FoldFolder) -> None:
        self.name = "onnx-int8" if files.int8 else "onnx"
        self.notes = (INT8_NOTE,) if files.int8 else ()
        self.files = files.digests
        self._files, self._experiment, self._folder = files, experiment, folder
        self._threads = experiment.run.threads
        sessions = {name: open_session(path, self._threads) for name, path in files.networks.items()}
        self._motion = sessions.pop(str(Stream.MOTION), None)
        self.has_motion = self._motion is not None
        self.heads: Mapping[Stream, Any] = {Stream(name): session for name, session in sessions.items()}
        self._means: dict[Stream, Floats] = {}
        self._pooling = experiment.clip.pooling
        if self.heads and files.encoder is not None:
            self._rules = PictureRules.of(files.description.get("preprocessing", {}).get("pictures"))

    @cached_property
    def encoder(self) -> Any:
        assert self._files.encoder is not None
        return open_session(self._files.encoder, self._threads)

    def preload(self) -> None:
        super().preload()
        if self.encodes_segments:
            _ = self._parts
        if self.has_motion:
            for stream in self.heads:
                self._mean_motion(stream)

    @property
    def warnings(self) -> list[str]:
        return [str(text) for text in self._files.description.get("warnings", [])]

    def motion_features(self, motion: npt.NDArray[np.float16]) -> tuple[Floats, Floats]:
        assert self._motion is not None
        scores, tokens = self._motion.run(["scores", "tokens"], {"motion": motion[None].astype(np.float32)})
        return tokens[0], softmax(scores[0])

    @property
    def encodes_segments(self) -> bool:
        return len(self._files.parts) == len(ONNX_PARTS)

    @cached_property
    def _parts(self) -> list[Any]:
        return [open_session(self._files.parts[name], self._threads) for name in ONNX_PARTS]

    def segment_features(self, motion: npt.NDArray[np.float16]) -> Floats:
        (features,) = self._parts[0].run(["features"], {"segments": motion.astype(np.float32)})
        return np.asarray(features, np.float32)

    def window_features(self, segments: Floats) -> tuple[Floats, Floats]:
        scores, tokens = self._parts[1].run(["scores", "tokens"], {"features": segments[None]})
        return tokens[0], softmax(scores[0])

    def appearance_features(self, pictures: npt.NDArray[np.uint8]) -> Floats:
        prepared = self._rules.prepare(pictures)
        video = len(self.encoder.get_inputs()[0].shape) == 5  # takes the frames of a clip together
        (features,) = self.encoder.run(["features"], {"pictures": prepared[None] if video else prepared})
        return np.asarray(features, np.float32)

    def head_scores(
        self, stream: Stream, tokens: Floats | None, appearance: Floats, facts: FrameFacts | None = None
    ) -> Floats:
        appearance = pool_frames(appearance, self._pooling, facts)
        if tokens is None:
            tokens = self._mean_motion(stream)
        feed = {"motion_tokens": tokens[None], "appearance_features": appearance[None]}
        (scores,) = self.heads[stream].run(["scores"], feed)
        return softmax(scores[0])

    def _mean_motion(self, stream: Stream) -> Floats:
        """The mean motion feature of the head's training clips, [1, D]."""
        if stream not in self._means:
            path = self._folder.weights(stream)
            arrays, _ = read_tensors(path)
            try:
                self._means[stream] = np.asarray(arrays["motion_norm.mean"], np.float32)[None]
            except KeyError as error:
                raise CheckpointError(f"{path} does not hold a head") from error
        return self._means[stream]


def softmax(scores: Floats) -> Floats:
    """Probabilities of scores [C]."""
    weights = np.exp(scores - scores.max())
    return np.asarray(weights / weights.sum(), np.float32)
