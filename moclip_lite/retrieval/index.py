"""Index of a folder of videos: one vector per window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..datasets import Clip
from ..datasets.clip_errors import problem_of
from ..datasets.extraction import Failure, content_digests
from ..datasets.walk import find_videos
from ..errors import CheckpointError, DataError
from ..mobileviclip.encoder import ModelSpec, VideoTextEncoder
from ..progress import Reporter
from ..storage.cache import Arrays, FeatureCache
from ..storage.cache_keys import cache_key
from ..storage.digest import digest_file
from ..storage.names import printable
from .windows import video_windows

__all__ = ["VideoFile", "VideoIndex", "WindowSpec", "build_index"]


@dataclass(frozen=True, kw_only=True)
class WindowSpec:
    """Windows of a video.

    Attributes:
        longest: maximum duration in seconds.
        shots: whether windows also end at shot boundaries.
    """

    longest: float = 10.0
    shots: bool = True


@dataclass(frozen=True)
class VideoFile:
    """Path, relative to the index's root, size and modification time of a video when it was indexed."""

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
        videos: the indexed files.
        vectors: float32 [N, D], of length 1.
        video_of: int64 [N], the window's position in `videos`.
        seconds: float32 [N, 2], start and end of each window.
        model: the model that made the vectors.
        model_digest: digest of its weights and configuration.
        model_text: description of the model, in words.
        failures: videos left out.
        source: file that the index was read from, for error messages.
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
        """Refuse a model whose vectors are not comparable with the index's.

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
    """Index all videos below a folder; windows that the cache has for this model are not computed again.

    A file that can't be read is listed in the index's failures and does not stop the others.

    Raises:
        DataError: not a folder, or no readable video in it.
        MoclipError: the disk is full; finished work is kept.
    """
    clips, failures = _clips(folder)
    digests = content_digests(clips, cache)
    videos, rows = list[VideoFile](), list[Arrays]()
    for done, clip in enumerate(clips, start=1):
        try:
            digest = digests.get(clip.name) or digest_file(clip.path)
            row = _encode_windows(clip.path, digest, encoder, windows, cache)
            stat = clip.path.stat()
        except Exception as error:
            failures.append(Failure(clip.name, "index", problem_of(clip.name, error)))
        else:
            videos.append(VideoFile(clip.name, stat.st_size, stat.st_mtime_ns))
            rows.append(row)
        reporter.progress("index", done, len(clips))
    if not rows:
        raise DataError(f"{folder}: none of {len(clips)} videos can be read; {failures[0].reason}")
    return VideoIndex(
        folder.resolve(),
        tuple(videos),
        np.concatenate([row["vectors"] for row in rows]),
        np.repeat(np.arange(len(rows)), [len(row["vectors"]) for row in rows]),
        np.concatenate([row["seconds"] for row in rows]),
        encoder.spec,
        encoder.digest,
        encoder.describe(),
        failures,
    )


def _clips(folder: Path) -> tuple[Sequence[Clip], list[Failure]]:
    """Videos below a folder, and paths that could not be listed.

    Raises:
        DataError: not a folder, or without videos.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    listing = find_videos(folder)
    if not listing.videos:
        raise DataError("; ".join((f"{folder} holds no video files", *listing.notes())))
    clips = [Clip(path, path.relative_to(folder).as_posix(), "") for path in listing.videos]
    return clips, [Failure(printable(str(path)), "index", reason) for path, reason in listing.unread]


def _encode_windows(
    path: Path, digest: str, encoder: VideoTextEncoder, spec: WindowSpec, cache: FeatureCache
) -> Arrays:
    """Vectors and times of a video's windows, from the cache if they are there."""
    key = cache_key("window", digest, {"model": encoder.digest, **asdict(spec)})
    arrays = cache.get("window", key)
    if arrays is None:
        windows = video_windows(path, spec.longest, spec.shots)
        vectors = [encoder.encode_clips(encoder.read(path, w.start, w.stop)[None])[0] for w in windows]
        seconds = [(w.start_seconds, w.stop_seconds) for w in windows]
        arrays = {"vectors": np.stack(vectors), "seconds": np.array(seconds, np.float32)}
        cache.put("window", key, arrays)
    return arrays
