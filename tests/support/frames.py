"""Motion frames made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mv_tools import MotionFrame


def motion_frame(mv: npt.NDArray[np.int16], ref_idx: npt.NDArray[np.int8], **fields: Any) -> MotionFrame:
    """A P picture with index 1; `fields` replace its other attributes."""
    defaults = {"index": 1, "pts_seconds": None, "pict_type": "P", "is_keyframe": False, **fields}
    return MotionFrame(**{"decode_index": defaults["index"], **defaults}, mv=mv, ref_idx=ref_idx)
