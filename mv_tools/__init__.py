"""Read the motion vectors of compressed video, and resample, accumulate, write and draw them.

>>> from mv_tools import MotionDecoder, flow
>>> decoder = MotionDecoder("clip.mp4")          # doctest: +SKIP
>>> flow(decoder[10]).shape                       # doctest: +SKIP
(2, 60, 80)
"""

from . import visualize
from .accumulate import Accumulator, accumulate
from .backends import available_backends
from .camera import fit_affine, remove_camera_motion
from .decoder import MotionDecoder
from .display import Display, Orientation, Region
from .errors import (
    ArgumentError,
    BackendUnavailable,
    MalformedStream,
    MotionError,
    NoMotionVectors,
    SourceChanged,
    SourceUnavailable,
    UnsupportedStream,
)
from .live.items import LiveStatistics
from .live.keyframes import LivePicture
from .live.source import LiveSource, open_live
from .live.stream import MotionStream, StreamStatistics
from .metadata import VideoMetadata
from .motion import UNUSED_POC, MotionFrame, flow, inter_mask
from .pooled import FlowPooler
from .probe import probe
from .raster import pool, to_dense
from .recipe import Recipe
from .rgb import (
    PICTURES_VERSION,
    RgbDecoder,
    RgbFrames,
    count_frames,
    iter_rgb_at,
    read_keyframes,
    read_rgb_at,
)
from .statistics import motion_statistics, write_statistics
from .stream_info import Damage, HevcPictureStatistics, PictureHeader, PictureStatistics, StreamParameters
from .stream_summary import GopLengths, PictureBits, PictureSummary, StreamSummary, SyntaxSummary
from .transcode import transcode
from .write import write_motion

__all__ = [
    "PICTURES_VERSION",
    "UNUSED_POC",
    "Accumulator",
    "ArgumentError",
    "BackendUnavailable",
    "Damage",
    "Display",
    "FlowPooler",
    "GopLengths",
    "HevcPictureStatistics",
    "LivePicture",
    "LiveSource",
    "LiveStatistics",
    "MalformedStream",
    "MotionDecoder",
    "MotionError",
    "MotionFrame",
    "MotionStream",
    "NoMotionVectors",
    "Orientation",
    "PictureBits",
    "PictureHeader",
    "PictureStatistics",
    "PictureSummary",
    "Recipe",
    "Region",
    "RgbDecoder",
    "RgbFrames",
    "SourceChanged",
    "SourceUnavailable",
    "StreamParameters",
    "StreamStatistics",
    "StreamSummary",
    "SyntaxSummary",
    "UnsupportedStream",
    "VideoMetadata",
    "accumulate",
    "available_backends",
    "count_frames",
    "fit_affine",
    "flow",
    "inter_mask",
    "iter_rgb_at",
    "motion_statistics",
    "open_live",
    "pool",
    "probe",
    "read_keyframes",
    "read_rgb_at",
    "remove_camera_motion",
    "to_dense",
    "transcode",
    "visualize",
    "write_motion",
    "write_statistics",
]
