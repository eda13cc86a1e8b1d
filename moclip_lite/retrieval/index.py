"""Index of a folder of videos: one vector per window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from mv_tools.remote import RemoteFile
from mv_tools.urls import is_url, spelled, url_of

from ..datasets import Clip
from ..datasets.clip_errors import problem_of
from ..datasets.extraction import Failure, stamped_contents
from ..datasets.walk import VIDEO_SUFFIXES, find_videos, is_hidden
from ..errors import CheckpointError, DataError
from ..mobileviclip.encoder import ModelSpec, VideoTextEncoder
from ..parallel.runner import JobRunner
from ..progress import Reporter
from ..storage.cache import Arrays, FeatureCache
from ..storage.content_digests import stamped_digest
from ..storage.names import printable
from ..storage.objects import ObjectFolder
from .encode import WindowSpec, encode_on_nodes, encode_windows

__all__ = ["VideoFile", "VideoIndex", "WindowSpec", "build_index"]


@dataclass(frozen=True)
class VideoFile:
    """Path, relative to the index's root, size and modification time of a video when it was indexed."""

    path: str
    size: int
    modified: int

    def state(self, root: Path) -> str:
        """ "there", "changed" or "gone"; at a URL, where no server is asked, always "there"."""
        if url_of(root) is not None:
            return "there"
        try:
            stat = (root / self.path).stat()
        except OSError:
            return "gone"
        return "there" if (stat.st_size, stat.st_mtime_ns) == (self.size, self.modified) else "changed"


@dataclass(frozen=True)
class VideoIndex:
    """Windows of videos and their vectors.

    Attributes:
        root: folder or URL that paths are relative to.
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
                f"{name} was made with other weights ({self.model_text}, digest {self.model_digest[:8]}) "
                f"than the query's ({encoder.describe()}, digest {encoder.digest[:8]}); "
                "make the index again, or search with the model it was made with"
            )
        if self.vectors.shape[1] != encoder.config.embed_dim:
            raise CheckpointError(
                f"{name} is damaged: its vectors have {self.vectors.shape[1]} dimensions, "
                f"its model's have {encoder.config.embed_dim}"
            )


def build_index(
    folder: Path,
    encoder: VideoTextEncoder,
    windows: WindowSpec,
    cache: FeatureCache,
    reporter: Reporter,
    runner: JobRunner | None = None,
) -> VideoIndex:
    """Index all videos below a folder; windows that the cache has for this model are not computed again.

    A file that can't be read is listed in the index's failures and does not stop the others.

    Args:
        folder: of the videos, or its URL.
        encoder: makes the vectors.
        windows: of a video.
        cache: holds vectors.
        reporter: told what happens.
        runner: a cluster whose nodes compute the vectors; by default this process does.

    Raises:
        DataError: not a folder, or no readable video in it.
        MoclipError: the disk is full, or there is no such cluster; finished work is kept.
    """
    clips, failures = _clips(folder)
    contents = stamped_contents(clips, cache)
    refused: dict[str, str] = {}
    if runner is not None and runner.remote:
        progress = partial(reporter.progress, "index on the cluster")
        refused = encode_on_nodes(clips, contents, encoder, windows, cache, runner, progress)
    videos, rows = list[VideoFile](), list[Arrays]()
    for done, clip in enumerate(clips, start=1):
        try:
            if clip.name in refused:
                failures.append(Failure(clip.name, "index", refused[clip.name]))
                continue
            stamp = _stamp(clip.path)
            content = contents.get(clip.name) or stamped_digest(clip.path)
            row = encode_windows(clip.path, content, encoder, windows, cache)
        except Exception as error:
            failures.append(Failure(clip.name, "index", problem_of(clip.name, error)))
        else:
            videos.append(VideoFile(clip.name, *stamp))
            rows.append(row)
        reporter.progress("index", done, len(clips))
    if not rows:
        raise DataError(f"{spelled(folder)}: none of {len(clips)} videos can be read; {failures[0].reason}")
    return VideoIndex(
        folder if is_url(folder) else folder.resolve(),
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
    if is_url(folder):
        return _clips_at_url(folder), []
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    listing = find_videos(folder)
    if not listing.videos:
        raise DataError("; ".join((f"{folder} holds no video files", *listing.notes())))
    clips = [Clip(path, path.relative_to(folder).as_posix(), "") for path in listing.videos]
    return clips, [Failure(printable(str(path)), "index", reason) for path, reason in listing.unread]


def _clips_at_url(folder: Path) -> list[Clip]:
    """Videos below a URL.

    Raises:
        DataError: there are none.
    """
    objects = ObjectFolder.at(folder)
    names = [PurePosixPath(name) for name in objects.names()]
    videos = [
        name
        for name in names
        if name.suffix.lower() in VIDEO_SUFFIXES and not any(is_hidden(part) for part in name.parts)
    ]
    if not videos:
        raise DataError(f"{spelled(folder)} holds no video files")
    return [Clip(objects.path_of(name.as_posix()), name.as_posix(), "") for name in videos]


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of modification of a file; at a URL a number of its version in place of the time."""
    if is_url(path):
        return RemoteFile(spelled(path)).stamp
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns
