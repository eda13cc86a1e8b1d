"""What there is to know of a video's motion, in one pass."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np

from .decoder import MotionDecoder
from .errors import UnsupportedStream
from .motion import flow, inter_mask
from .source import SourceLike

__all__ = ["probe"]


def probe(source: SourceLike, *, backend: str = "auto") -> dict[str, Any]:
    """Describe a stream and its motion.

    Returns:
        Plain values: the metadata, ``backend``, ``timestamps``, ``keyframes``, ``gop`` (frames from
        keyframe to keyframe: min, median, max), ``pattern`` (picture types of the first GOP),
        ``pict_types`` (counts), ``inter_share`` (of the blocks of P and B pictures, percent),
        ``mean_motion`` and ``max_motion`` (pixels per frame), ``bits_per_picture``. The motion
        figures are None for codecs without vectors, with ``note`` saying why.

    Raises:
        MotionError: the file can't be read.
    """
    decoder = MotionDecoder(source, backend=backend)
    keys = decoder.keyframe_indices()
    out: dict[str, Any] = asdict(decoder._backend.metadata)
    try:
        out["num_frames"] = len(decoder)
        out |= {"backend": decoder.backend} | _motion(decoder)
    except UnsupportedStream as error:
        out |= {"backend": None, "pict_types": None, "pattern": None, "inter_share": None}
        out |= {"mean_motion": None, "max_motion": None, "note": str(error).split(": ", 1)[-1]}
    lengths = np.diff([*keys, out["num_frames"] or keys[-1] + 1])
    out["timestamps"] = decoder.packets.timestamps
    out["keyframes"] = len(keys)
    out["gop"] = {"min": int(lengths.min()), "median": float(np.median(lengths)), "max": int(lengths.max())}
    out["bits_per_picture"] = float(decoder.packets.size.mean() * 8)
    return out


def _motion(decoder: MotionDecoder) -> dict[str, Any]:
    types: Counter[str] = Counter()
    order = ""
    inter, length, longest, predicted = 0.0, 0.0, 0.0, 0
    for frame in decoder:
        types[frame.pict_type] += 1
        if len(order) < 64:
            order += frame.pict_type
        if frame.pict_type == "I":
            continue
        predicted += 1
        mask = inter_mask(frame)
        inter += float(mask.mean())
        size = np.linalg.norm(flow(frame), axis=0)
        length += float(size.mean())
        longest = max(longest, float(size.max(initial=0.0)))
    first_gop = re.match(r"I[PB]*", order)
    return {
        "pict_types": dict(sorted(types.items())),
        "pattern": first_gop.group() if first_gop else order,
        "inter_share": 100 * inter / predicted if predicted else 0.0,
        "mean_motion": length / predicted if predicted else 0.0,
        "max_motion": longest,
    }
