"""Encoder settings, and the arguments of ffmpeg that they become."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from .errors import ArgumentError

__all__ = ["PRESETS", "Recipe"]

_ALL: Final = frozenset(("h264", "hevc", "mpeg4"))
_WITHOUT_HEVC: Final = frozenset(("h264", "mpeg4"))
_CONTAINERS: Final = {
    **dict.fromkeys((".mp4", ".mov", ".mkv", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".vob", ".ismv"), _ALL),
    **dict.fromkeys((".m4v", ".3gp", ".3g2", ".asf", ".wmv", ".wtv", ".nut"), _WITHOUT_HEVC),
    **dict.fromkeys((".flv", ".f4v", ".mxf", ".h264", ".264"), frozenset(("h264",))),
    **dict.fromkeys((".hevc", ".h265", ".265"), frozenset(("hevc",))),
}
"""Ending of a file -> codecs that ffmpeg writes into it."""

_TIMED_SUFFIXES: Final = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".ts", ".m2ts")
)  # of containers with a time per picture
_LOOKAHEAD: Final = {"ultrafast": 5, "superfast": 10, "veryfast": 15, "faster": 15}
"""Pictures that x265's fast presets look ahead; it refuses as many B pictures in a row."""

_ENCODERS: Final = {"h264": "libx264", "hevc": "libx265", "mpeg4": "mpeg4"}

_MAX_SIDE: Final = 16_384  # pixels, of H.264's and HEVC's encoders

PRESETS: Final = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)
"""Presets of x264 and x265."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Encoder settings. The defaults suit motion features: each vector refers to the frame before.

    Attributes:
        codec: "h264", "hevc", or "mpeg4" for MPEG-4 Part 2 (what CoViAR and MoCLIP-Lite used).
        gop: frames from one I picture to the next.
        bframes: consecutive B pictures.
        refs: reference pictures (H.264, HEVC): 1 to 16; x265 takes 10 at most, 8 with B pictures.
        crf: quality for H.264 and HEVC, 0 (best) to 51; the quantiser for MPEG-4, 1 to 31.
        preset: x264's or x265's preset (H.264, HEVC).
        side: scale the short side to this many pixels; None keeps the size.
        fps: pictures per second, repeated or left out evenly; None keeps them all, except where the
            container or MPEG-4 has one rate: there pictures are repeated or left out likewise.
        threads: encoder threads; 0 for all cores.
    """

    codec: str = "h264"
    gop: int = 12
    bframes: int = 0
    refs: int = 1
    crf: int = 20
    preset: str = "medium"
    side: int | None = None
    fps: int | None = None
    threads: int = 0

    @property
    def _most_refs(self) -> int:
        if self.codec == "hevc":
            return 8 if self.bframes else 10
        return 16

    def __post_init__(self) -> None:
        if self.codec not in _ENCODERS:
            raise ArgumentError(f"codec must be one of {sorted(_ENCODERS)}, got {self.codec!r}")
        limits = {"gop": (1, 10_000), "bframes": (0, 16), "crf": (0, 51)}
        for name in (*limits, "refs", "threads", "side", "fps"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, int):
                raise ArgumentError(f"{name} must be a whole number, got {value!r}")
        for name, (low, high) in {**limits, "refs": (1, self._most_refs)}.items():
            if not low <= getattr(self, name) <= high:
                raise ArgumentError(f"{name} must be from {low} to {high}, got {getattr(self, name)}")
        if self.codec == "mpeg4":
            if not 1 <= self.crf <= 31:
                raise ArgumentError(f"crf of MPEG-4, its quantiser, must be from 1 to 31, got {self.crf}")
            for name, default in (("refs", 1), ("preset", "medium")):
                if (value := getattr(self, name)) != default:
                    raise ArgumentError(f"{name} is for h264 and hevc, and the codec is mpeg4, got {value!r}")
        if self.side is not None and not 2 <= self.side <= _MAX_SIDE:
            raise ArgumentError(f"side must be from 2 to {_MAX_SIDE} pixels, got {self.side}")
        if self.fps is not None and not 1 <= self.fps <= 1000:
            raise ArgumentError(f"fps must be from 1 to 1000, got {self.fps}")
        if self.preset not in PRESETS:
            raise ArgumentError(f"preset must be one of {', '.join(PRESETS)}, got {self.preset!r}")

    def as_dict(self) -> dict[str, Any]:
        """The recipe as JSON values, for manifests and cache keys."""
        return asdict(self)

    def check_target(self, target: Path) -> None:
        """Refuse a file that can't hold the codec.

        Raises:
            ArgumentError: its ending names no container, or one without this codec.
        """
        if not target.suffix:
            raise ArgumentError(
                f"{target}: the file needs an ending such as .mp4, which chooses the container"
            )
        codecs = _CONTAINERS.get(target.suffix.lower())
        if codecs is None:
            raise ArgumentError(
                f"{target}: the ending {target.suffix!r} names no container; use .mp4, .mkv or .avi"
            )
        if self.codec not in codecs:
            raise ArgumentError(
                f"{target}: {target.suffix} files hold no {self.codec}; use .mp4, .mkv or .avi"
            )

    def keeps_times(self, target: Path) -> bool:
        """Whether pictures keep their times in a file with this name."""
        return self.codec != "mpeg4" and self.fps is None and target.suffix.lower() in _TIMED_SUFFIXES

    def ffmpeg_arguments(self) -> dict[str, Any]:
        """Output arguments for ffmpeg-python."""
        arguments: dict[str, Any] = {
            "vcodec": _ENCODERS[self.codec],
            "g": self.gop,
            "bf": self.bframes,
            "threads": self.threads,
            "pix_fmt": "yuv420p",
        }
        if self.codec == "h264":
            # No I pictures at scene cuts, so that the GOP is the recipe's.
            arguments |= {"crf": self.crf, "preset": self.preset, "refs": self.refs, "sc_threshold": 0}
        elif self.codec == "hevc":
            arguments |= {"crf": self.crf, "preset": self.preset, "tag:v": "hvc1"}
            arguments["x265-params"] = self._x265_parameters()
        else:
            arguments |= {"q:v": self.crf, "sc_threshold": 1_000_000_000}
        return arguments

    def _x265_parameters(self) -> str:
        """Settings that libx265 takes from this option only."""
        values = {"keyint": self.gop, "min-keyint": self.gop, "scenecut": 0, "open-gop": 0, "ref": self.refs}
        values |= {"bframes": self.bframes, "b-adapt": 0, "log-level": 0}
        if self.bframes >= _LOOKAHEAD.get(self.preset, 20):
            values["rc-lookahead"] = self.bframes + 1
        parameters = [f"{name}={value}" for name, value in values.items()]
        if self.threads == 1:
            parameters += ["pools=none", "frame-threads=1"]
        return ":".join(parameters)
