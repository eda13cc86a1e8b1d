"""Summary of a video stream and its motion, as :func:`mv_tools.probe` returns it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from .metadata import VideoMetadata

__all__ = ["GopLengths", "PictureBits", "PictureSummary", "StreamSummary", "SyntaxSummary"]


@dataclass(frozen=True, kw_only=True)
class SyntaxSummary:
    """Properties that only parsing shows (backend "native").

    Attributes:
        profile: such as "High", or "profile_idc N" for unlisted ones.
        level: such as "3.1".
        reference_frames: max_num_ref_frames.
        b_references: number of B pictures that others refer to.
        scan: "progressive", "fields", "mbaff" or several of them, separated by ", ".
        slices: most slices in a picture.
    """

    profile: str
    level: str
    reference_frames: int
    b_references: int
    scan: str
    slices: int


@dataclass(frozen=True, kw_only=True)
class PictureBits:
    """Coded size of pictures in bits."""

    mean: float
    max: int


@dataclass(frozen=True, kw_only=True)
class PictureSummary:
    """Figures from reading motion.

    Attributes:
        backend: the one that read it.
        pict_types: number of pictures by type.
        first_gop: pictures in the first GOP.
        pattern: picture types of the first GOP, its first 300 pictures at most.
        sample: number of pictures whose motion was read.
        unread: number of pictures that were chosen for the sample and could not be read.
        inter_share: percent of the blocks of P and B pictures that are inter predicted; None where none of
            them was read.
        mean_motion, max_motion: length of motion of P and B pictures in pixels per frame; None likewise.
        bits: by picture type; None if unknown.
        areas: by picture type, percent of the area by how its motion is coded ("skipped", "direct",
            partition sizes, "intra"); None unless the stream is parsed.
        prediction: by picture type, percent of the 4x4 blocks by the lists they use ("intra", "list0",
            "list1", "bipredicted"); None unless the stream is parsed.
        open_gops: number of GOPs with pictures that need the GOP before.
    """

    backend: str
    pict_types: Mapping[str, int]
    first_gop: int
    pattern: str
    sample: int
    unread: int
    inter_share: float | None
    mean_motion: float | None
    max_motion: float | None
    bits: Mapping[str, PictureBits] | None
    areas: Mapping[str, Mapping[str, float]] | None
    prediction: Mapping[str, Mapping[str, float]] | None
    open_gops: int


@dataclass(frozen=True, kw_only=True)
class GopLengths:
    """Pictures from keyframe to keyframe."""

    min: int
    median: float
    max: int


@dataclass(frozen=True, kw_only=True)
class StreamSummary:
    """Summary of a video stream and its motion.

    Attributes:
        metadata: sizes, rate, duration; `num_frames` counts the pictures of the backend.
        syntax: None unless the stream is parsed.
        pictures: None for codecs without motion vectors.
        no_motion: why `pictures` is None, as a sentence.
        timestamps: whether the file has presentation times.
        notes: sentences on what is left out, guessed or damaged.
        keyframes: their number.
        gop: their distances.
        bits_per_picture: mean bits of a picture that is shown.
    """

    metadata: VideoMetadata
    syntax: SyntaxSummary | None
    pictures: PictureSummary | None
    no_motion: str | None
    timestamps: bool
    notes: tuple[str, ...]
    keyframes: int
    gop: GopLengths
    bits_per_picture: float

    def to_json(self) -> dict[str, Any]:
        """The JSON document of ``moclip mv probe --json``: all figures in one object, None where unknown."""
        document = _metadata_json(self.metadata)
        syntax = {field.name: None for field in fields(SyntaxSummary) if field.name != "profile"}
        document |= syntax if self.syntax is None else asdict(self.syntax)
        pictures = {field.name: None for field in fields(PictureSummary)}
        document |= pictures if self.pictures is None else asdict(self.pictures)
        if self.no_motion is not None:
            document["note"] = self.no_motion
        return document | {
            "timestamps": self.timestamps,
            "notes": list(self.notes),
            "keyframes": self.keyframes,
            "gop": asdict(self.gop),
            "bits_per_picture": self.bits_per_picture,
        }


def _metadata_json(metadata: VideoMetadata) -> dict[str, Any]:
    display = metadata.display
    aspect = display.sample_aspect_ratio
    names = [field.name for field in fields(metadata) if field.name != "display"]
    return {name: getattr(metadata, name) for name in names} | {
        "rotation": display.orientation.rotation,
        "mirror": display.orientation.mirror,
        "sample_aspect_ratio": None if aspect is None else f"{aspect.numerator}:{aspect.denominator}",
        "display_width": metadata.display_width,
        "display_height": metadata.display_height,
    }
