"""Numbering of pictures, motion, keyframes and times for each container, coding and structure.

By default each container, each coding and each unusual recording occurs at least once;
MOCLIP_FULL_MATRIX=1 adds all combinations and reads every picture alone.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

import numpy as np
import pytest

from support.numbering_checks import CHECKS, Reference, Shown, sampled
from support.numbering_matrix import ClipMaker, container_clips
from support.numbering_tables import TABLES
from support.numbering_variants import VARIANTS

UNUSUAL: Final = {**VARIANTS, **TABLES}
FULL: Final = os.environ.get("MOCLIP_FULL_MATRIX", "0") not in ("", "0")

# Codings tested by default with each container; those of no container are tested with their first one.
_BY_DEFAULT: Final = {
    "mp4": ("h264_open", "h264_refresh", "vp9", "aomav1", "svtav1", "mpeg2", "vvc"),
    "fmp4": ("h264_b", "hevc_open"),
    "fmp4_frames": ("h264_b",),
    "mov": ("h264_mbaff", "prores", "svq1", "qtrle", "mjpeg"),
    "mkv": ("h264_open", "hevc_open", "mpeg4_b", "theora", "ffv1", "vp8", "msmpeg4v2"),
    "webm": ("vp8", "vp9"),
    "avi": (
        "h264_b",
        "h264_open",
        "hevc_open",
        "mpeg4_b",
        "xvid_packed",
        "mpeg2",
        "mjpeg",
        "msmpeg4v3",
        "huffyuv",
    ),
    "ts": ("h264_open", "h264_mbaff", "h264_refresh", "hevc_open", "mpeg2_interlaced", "mpeg4_b"),
    "m2ts": ("h264_b", "mpeg2"),
    "mpg": ("mpeg1", "mpeg2", "mpeg1_ip", "h264_open"),
    "vob": ("mpeg2",),
    "asf": ("wmv2", "wmv1", "h264_b", "mpeg4_b"),
    "mxf": ("mpeg2", "h264_high", "dnxhd"),
    "flv": ("flv1", "h264_b", "hevc_open", "flashsv"),
    "3gp": ("h263", "h264_b"),
    "ogg": ("theora", "vp8"),
    "nut": ("h264_b", "h264_444", "h264_10bit"),
    "rm": ("rv10", "rv20"),
    "ivf": ("vp9", "svtav1"),
    "obu": ("svtav1", "aomav1"),
    "raw_h264": ("h264_b", "h264_fake_interlaced", "h264_intra"),
    "raw_hevc": ("hevc_open",),
    "raw_m1v": ("mpeg1",),
    "raw_m2v": ("mpeg2", "mpeg2_closed"),
    "raw_m4v": ("mpeg4", "mpeg4_b"),
    "raw_mjpeg": ("mjpeg",),
}

_COMBINATIONS: Final = container_clips()
_CHOSEN: Final = [
    f"{container}-{coding}" for container, coding in _COMBINATIONS if FULL or coding in _BY_DEFAULT[container]
] + list(UNUSUAL)


class Clip(NamedTuple):
    """A clip, its full decode, and the pictures to read alone."""

    path: os.PathLike[str]
    reference: Reference
    indices: list[int]
    shown: Shown


@pytest.fixture(scope="session")
def maker(tmp_path_factory: pytest.TempPathFactory) -> ClipMaker:
    return ClipMaker(tmp_path_factory.mktemp("matrix"))


@pytest.fixture(scope="session", params=_CHOSEN)
def clip(request: pytest.FixtureRequest, maker: ClipMaker) -> Clip:
    name = request.param
    if name in UNUSUAL:
        variant = UNUSUAL[name]
        path = maker.folder / (name.replace(" ", "_").replace(",", "") + variant.suffix)
        variant.build(maker, path)
        reference = Reference.of(path, damaged=variant.damaged)
        shown: Shown = variant.shown
    else:
        path = maker.in_container(*name.split("-"))
        reference, shown = Reference.of(path), np.asarray
    assert len(reference.shots) > 9, "the clip holds too little to tell"
    return Clip(path, reference, sampled(reference, name, full=FULL), shown)


def test_default_covers_each_coding_and_container() -> None:
    stated = {(container, coding) for container, codings in _BY_DEFAULT.items() for coding in codings}
    assert stated <= set(_COMBINATIONS)
    assert {container for container, _ in stated} == {container for container, _ in _COMBINATIONS}


@pytest.mark.parametrize("check", list(CHECKS))
def test_numbering(clip: Clip, check: str) -> None:
    CHECKS[check](clip.path, clip.reference, clip.indices, clip.shown)
