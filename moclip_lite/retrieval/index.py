"""An index of a folder of videos: one vector per window, one safetensors file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from ..datasets import Clip, find_videos
from ..datasets.clip_errors import problem_of
from ..datasets.extraction import Failure, content_digests
from ..errors import CheckpointError, ConfigError, DataError
from ..mobileviclip import variant
from ..mobileviclip.encoder import ModelSpec, VideoTextEncoder
from ..progress import Reporter
from ..storage.cache import Arrays, FeatureCache
from ..storage.cache_keys import cache_key
from ..storage.digest import digest_file
from ..storage.files import read_tensors, write_tensors
from ..storage.names import printable
from .windows import video_windows

__all__ = ["VideoFile", "VideoIndex", "WindowSpec", "build_index", "load_index", "save_index"]

_FORMAT: Final = "moclip-index-1"
_LONGEST: Final = 1e8  # seconds of a video, three years


@dataclass(frozen=True, kw_only=True)
class WindowSpec:
    """How videos are cut: seconds of a window at most, and whether shots end windows too."""

    longest: float = 10.0
    shots: bool = True


@dataclass(frozen=True)
class VideoFile:
    """A video as it was when it was indexed; `path` is relative to the index's root."""

    path: str
    size: int
    modified: int

    def state(self, root: Path) -> str:
        """ "there", "changed" or "gone"."""
        try:
            stat = (root / self.path).stat()
        except OSError:
            return "gone"
        return "there" if (stat.st_size, stat.st_mtime_ns) == (self.size, self.modified) else "changed"


@dataclass(frozen=True)
class VideoIndex:
    """Windows of videos and their vectors.

    Attributes:
        root: folder that paths are relative to.
        videos: the files.
        vectors: float32 [N, D], of length 1.
        video_of: int64 [N], index into `videos`.
        seconds: float32 [N, 2], begin and end.
        model: how to make the model again.
        model_digest: of its weights and configuration.
        model_text: for people.
        failures: videos left out.
        source: the file that it was read from, for error messages.
    """

    root: Path
    videos: tuple[VideoFile, ...]
    vectors: npt.NDArray[np.float32]
    video_of: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float32]
    model: ModelSpec
    model_digest: str
    model_text: str
    failures: list[Failure] = field(default_factory=list)
    source: Path | None = None

    def check_model(self, encoder: VideoTextEncoder) -> None:
        """Refuse another model's queries: its vectors mean something else.

        Raises:
            CheckpointError: another model.
        """
        name = self.source or "the index"
        if encoder.digest != self.model_digest:
            raise CheckpointError(
                f"{name} was made with other weights ({self.model_text}) than the query's "
                f"({encoder.describe()}); make the index again, or search with the model it was made with"
            )
        if self.vectors.shape[1] != encoder.config.embed_dim:
            raise CheckpointError(
                f"{name} is damaged: its vectors have {self.vectors.shape[1]} dimensions, its model's "
                f"have {encoder.config.embed_dim}"
            )


def build_index(
    folder: Path, encoder: VideoTextEncoder, windows: WindowSpec, cache: FeatureCache, reporter: Reporter
) -> VideoIndex:
    """Index every video below a folder; what was indexed before with this model comes from the cache.

    A file that can't be read is a row of the index's failures; the rest goes on.

    Raises:
        DataError: not a folder, or no video in it that can be read.
        MoclipError: the disk is full; what was finished is kept.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    found = find_videos(folder)
    paths = found.videos
    if not paths:
        raise DataError("; ".join((f"{folder} holds no video files", *found.notes())))
    clips = [Clip(path, path.relative_to(folder).as_posix(), "") for path in paths]
    digests = content_digests(clips, cache)
    videos, rows = [], []
    failures = [Failure(printable(str(path)), "index", reason) for path, reason in found.unread]
    settings = {"model": encoder.digest, **asdict(windows)}
    for done, clip in enumerate(clips, start=1):
        try:
            key = cache_key("window", digests.get(clip.name) or digest_file(clip.path), settings)
            arrays = cache.get("window", key)
            if arrays is None:
                arrays = _encode(clip.path, encoder, windows)
                cache.put("window", key, arrays)
            stat = clip.path.stat()
        except Exception as error:
            failures.append(Failure(clip.name, "index", problem_of(clip.name, error)))
        else:
            videos.append(VideoFile(clip.name, stat.st_size, stat.st_mtime_ns))
            rows.append(arrays)
        reporter.progress("index", done, len(clips))
    if not rows:
        raise DataError(f"{folder}: none of {len(clips)} videos can be read; {failures[0].reason}")
    counts = [len(row["vectors"]) for row in rows]
    return VideoIndex(
        folder.resolve(), tuple(videos), np.concatenate([row["vectors"] for row in rows]),
        np.repeat(np.arange(len(rows)), counts), np.concatenate([row["seconds"] for row in rows]),
        encoder.spec, encoder.digest, encoder.describe(), failures,
    )  # fmt: skip


def _encode(path: Path, encoder: VideoTextEncoder, spec: WindowSpec) -> Arrays:
    windows = video_windows(path, spec.longest, spec.shots)
    vectors = [encoder.encode_clips(encoder.read(path, w.start, w.stop)[None])[0] for w in windows]
    seconds = [(w.start_seconds, w.stop_seconds) for w in windows]
    return {"vectors": np.stack(vectors), "seconds": np.array(seconds, np.float32)}


def save_index(path: Path, index: VideoIndex) -> None:
    """Write an index."""
    about = {
        "root": str(index.root), "videos": [asdict(video) for video in index.videos], "model": asdict(index.model),
        "model_digest": index.model_digest, "model_text": index.model_text,
    }  # fmt: skip
    arrays: dict[str, npt.NDArray[Any]] = {
        "vectors": index.vectors,
        "video_of": index.video_of,
        "seconds": index.seconds,
    }
    write_tensors(path, arrays, {"format": _FORMAT, "about": json.dumps(about)})


def load_index(path: Path) -> VideoIndex:
    """Read an index; its content is checked, not trusted.

    Raises:
        CheckpointError: missing, damaged, or not an index.
    """
    arrays, metadata = read_tensors(path)
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is not an index of this program; make one with moclip index")
    try:
        about = json.loads(metadata["about"])
        videos = tuple(_video(value) for value in about["videos"])
        index = VideoIndex(
            _path(about["root"]), videos, arrays["vectors"], arrays["video_of"], arrays["seconds"],
            _model(about["model"]), str(about["model_digest"]), str(about["model_text"]), source=path,
        )  # fmt: skip
        _check(index)
    except KeyError as error:
        raise CheckpointError(f"{path} is damaged: it lacks {error}") from error
    except (TypeError, ValueError, ArithmeticError, RecursionError, ConfigError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    return index


def _path(value: Any) -> Path:
    """A path that the system can be asked about.

    Raises:
        ValueError: no text, or with characters that no path has.
    """
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"{value!r} is no path")
    os.fsencode(value)  # refuses characters that no file name can have
    return Path(value)


def _video(value: dict[str, Any]) -> VideoFile:
    path = _path(value["path"])
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"the video {str(path)!r} lies outside the index's folder")
    return VideoFile(str(path), int(value["size"]), int(value["modified"]))


def _model(value: dict[str, Any]) -> ModelSpec:
    spec = ModelSpec(
        name=str(value["name"]), pretrained=str(value["pretrained"]), seed=int(value["seed"]),
        num_frames=int(value["num_frames"]),
    )  # fmt: skip
    variant(spec.name, num_frames=spec.num_frames)
    if not 0 <= spec.seed < 2**63:
        raise ValueError(f"the seed {spec.seed} of its model is out of range")
    return spec


def _check(index: VideoIndex) -> None:
    if index.vectors.ndim != 2 or not index.vectors.size:
        raise ValueError(f"vectors of shape {index.vectors.shape}, not [windows, dimensions]")
    count, dim = index.vectors.shape
    shapes: Sequence[tuple[npt.NDArray[Any], tuple[int, ...], Any]] = (
        (index.vectors, (count, dim), np.float32),
        (index.video_of, (count,), np.int64),
        (index.seconds, (count, 2), np.float32),
    )
    for array, shape, dtype in shapes:
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(f"an array of shape {array.shape}, {array.dtype} where {shape} is due")
    if index.video_of.min() < 0 or index.video_of.max() >= len(index.videos):
        raise ValueError("a window of a video that is not listed")
    lengths = torch.from_numpy(index.vectors).norm(dim=1)
    if not bool(((lengths - 1).abs() < 1e-3).all()):
        raise ValueError("vectors that are not of length 1")
    start, stop = index.seconds.T
    if not ((start >= 0) & (start <= stop) & (stop <= _LONGEST)).all():  # false for NaN too
        raise ValueError("a window that does not begin at 0 or later and end after its beginning")
