"""Compares the native parser with libavcodec's exported vectors, macroblock by macroblock.

    python benchmarks/check_streams.py FILE... [--first-fail]

libavcodec drops vectors of partitions below 8x8 and adds zero vectors for lists that a partition of
a B macroblock does not use: 4x4 blocks without a vector, or with such a zero, are left out. It
exports both fields of a frame as one picture, so that field pictures can't be compared, and doubles
the vertical components of field macroblocks: in interlaced frames either is accepted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mv_tools import MotionDecoder, MotionFrame


def uniform(frame: MotionFrame) -> npt.NDArray[np.bool_]:
    """bool [2, H4, W4]: 4x4 blocks whose 8x8 block has one vector."""
    lists, rows, columns, _ = frame.mv.shape
    cells = frame.mv.reshape(lists, rows // 2, 2, columns // 2, 2, 2)
    equal = (cells == cells[:, :, :1, :, :1]).all(axis=(2, 4, 5))
    return equal.repeat(2, axis=1).repeat(2, axis=2)


def first_difference(ours: MotionFrame, theirs: MotionFrame, mbaff: bool) -> str | None:
    """The first macroblock that differs, with both vectors."""
    exported = (theirs.ref_idx >= 0) & uniform(ours)
    used = ours.ref_idx >= 0
    phantom = exported & ~used & (theirs.mv == 0).all(axis=-1)
    equal = (ours.mv == theirs.mv).all(axis=-1)
    if mbaff:
        equal |= (ours.mv * np.array([1, 2]) == theirs.mv).all(axis=-1)
    wrong = exported & ~phantom & ~(used & equal)
    if not wrong.any():
        return None
    blocks = np.argwhere(wrong)
    columns = ours.grid_shape[1] // 4
    number = (blocks[:, 1] // 4) * columns + blocks[:, 2] // 4
    source, row, column = blocks[int(np.argmin(number))]
    vector = ours.mv[source, row, column].tolist() if used[source, row, column] else "not used"
    return (
        f"picture {ours.index} ({ours.pict_type}, decoding order {ours.decode_index}), "
        f"macroblock {number.min()}, block ({column % 4}, {row % 4}), list {source}: "
        f"{vector}, libav has {theirs.mv[source, row, column].tolist()}"
    )


def check(path: Path) -> bool:
    try:
        ours, theirs = MotionDecoder(path, "native"), MotionDecoder(path, "libav")
        mbaff = [info.mbaff for info in ours.scan.infos]
        compared = count = 0
        for a, b in zip(ours, theirs, strict=True):
            count += 1
            if a.structure != "frame" or a.mv.shape != b.mv.shape:
                print(
                    f"{path.name}: picture {count - 1} is a {a.structure} picture; libav exports frames only"
                )
                return True
            difference = first_difference(a, b, mbaff[a.decode_index])
            if difference is not None:
                print(f"{path.name}: DIFFERS in {difference}")
                return False
            compared += int((b.ref_idx >= 0).sum())
    except Exception as error:
        print(f"{path.name}: {type(error).__name__}: {error}")
        return False
    print(f"{path.name}: {count} pictures equal, {compared} blocks compared")
    return True


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--first-fail", action="store_true")
    args = parser.parse_args()
    bad = 0
    for path in args.files:
        bad += not check(path)
        if bad and args.first_fail:
            break
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
