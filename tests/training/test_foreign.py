"""Checkpoints of other projects that can't be read."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from moclip_lite.errors import CheckpointError
from moclip_lite.training.foreign import read_checkpoint

from support.clips import H264, encode, panning


@pytest.mark.parametrize("kind", ["video", "text", "empty", "objects"])
def test_other_files_are_refused_without_advice_to_run_their_code(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "weights.pt"
    if kind == "video":
        encode(tmp_path / "clip.mp4", panning(4, 64, 48), **H264).rename(path)
    else:
        content = {"text": b"weights", "empty": b"", "objects": pickle.dumps({"state_dict": Path("x")})}
        path.write_bytes(content[kind])
    with pytest.raises(
        CheckpointError, match=r"weights\.pt can't be read: it is no file of weights"
    ) as caught:
        read_checkpoint(path, "motion.pretrained")
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)
