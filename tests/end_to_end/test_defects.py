"""What the public code of the method got wrong; each test fails on the old behaviour."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import moclip_lite
from moclip_lite.appearance.frames import read_clip_frames
from moclip_lite.appearance.open_clip import OpenClipEncoder
from moclip_lite.appearance.settings import AppearanceSettings
from moclip_lite.datasets import (
    Clip,
    VideoDataset,
    holdout_fold,
    leave_one_group_out,
    load_ucf101,
    official_folds,
)
from moclip_lite.errors import DataError
from moclip_lite.motion.augment import flip, views
from moclip_lite.motion.extract import extract_motion
from moclip_lite.motion.network import create_motion_net
from moclip_lite.motion.read import read_motion_clip
from moclip_lite.motion.settings import MotionSpec
from moclip_lite.sampling import frame_positions
from moclip_lite.storage.cache import FeatureCache
from moclip_lite.training.freeze import freeze


def dataset(groups: int = 6, classes: int = 3, clips: int = 2) -> VideoDataset:
    rows = [
        Clip(Path(f"{c}/{g}_{i}.mp4"), f"{c}/{g}_{i}.mp4", f"class{c}", f"person{g}")
        for c in range(classes)
        for g in range(groups)
        for i in range(clips)
    ]
    return VideoDataset(Path(), tuple(rows), tuple(f"class{c}" for c in range(classes)))


def test_nothing_is_selected_on_test() -> None:
    """Old: the best checkpoint was chosen on the test list."""
    for fold in [holdout_fold(dataset(), 0.25, 0.2, 0), *leave_one_group_out(dataset(), 0.2, 0)]:
        assert fold.val
        assert fold.test
        assert not fold.shared_groups()
        names = [clip.name for clip in fold.clips()]
        assert len(set(names)) == len(names) == 36


def test_official_test_lists_stay_whole(tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 A\n2 B\n")
    names = [f"{c}/v_{c}_g{g:02d}_c01.avi" for c in "AB" for g in range(1, 9)]
    for name in names:
        path = tmp_path / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    train = [n for n in names if int(n[-10:-8]) > 2]
    (lists / "trainlist01.txt").write_text("".join(f"{n} {'AB'.index(n[0]) + 1}\r\n" for n in train))
    (lists / "testlist01.txt").write_text("\n".join(set(names) - set(train)))
    (fold,) = official_folds(load_ucf101(tmp_path / "clips", lists), 0.2, 0)
    assert {c.name for c in fold.test} == set(names) - set(train)
    assert {c.name for c in fold.train + fold.val} == set(train)
    assert not fold.shared_groups()


def test_a_clip_on_both_sides_is_refused() -> None:
    from moclip_lite.datasets import Fold

    one = dataset().clips[0]
    with pytest.raises(DataError, match="stands in train and in test"):
        Fold("x", (one,), (), (one,))


def test_a_flip_keeps_zero_motion_at_zero() -> None:
    """Old: zero was stored as 128 and mirrored to 127."""
    assert not flip(torch.zeros(1, 1, 1, 2, 4, 6)).any()


def test_test_views_do_not_flip_at_random() -> None:
    """Old: the ten crops flipped by chance."""
    motion = torch.randn(1, 2, 5, 2, 12, 16)
    for a, b in zip(views(motion, 5, 2), views(motion, 5, 2), strict=True):
        assert torch.equal(a, b)


def test_a_frozen_network_does_not_drift() -> None:
    """Old: the frozen backbone stayed in training mode and its BatchNorm statistics moved."""
    net = freeze(create_motion_net("motion_small", 3))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    net.train()
    with torch.no_grad():
        net(torch.randn(4, 2, 5, 2, 12, 16))
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert not any(p.requires_grad for p in net.parameters())
    assert not net.training


def test_clip_is_frozen() -> None:
    encoder = OpenClipEncoder("ViT-S-32", "none")
    assert not any(p.requires_grad for p in encoder._net.parameters())
    encoder._net.train()
    assert not any(m.training for m in encoder._net.modules())


def test_clip_frames_stand_at_stated_positions(clip: Path) -> None:
    """Old: one unseeded random frame."""
    import mv_tools

    spec = AppearanceSettings(model="ViT-S-32", pretrained="none", frames=3, positions="uniform")
    first, second = read_clip_frames(clip, spec), read_clip_frames(clip, spec)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, mv_tools.read_rgb_at(clip, frame_positions(24, 3).tolist()).frames)


def test_a_failed_read_is_no_zero(tmp_path: Path) -> None:
    """Old: unreadable clips and missing features became zeros."""
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    clip = Clip(broken, "broken.mp4", "a")
    missing = Clip(tmp_path / "gone.mp4", "gone.mp4", "a")
    cache = FeatureCache(tmp_path / "cache")
    report = extract_motion([clip, missing], MotionSpec(), cache, workers=1)
    assert report.keys == {}
    assert {f.name for f in report.failures} == {"broken.mp4", "gone.mp4"}
    assert all(f.reason for f in report.failures)
    assert not list(cache.entries())


def test_quarter_samples_survive(tmp_path: Path) -> None:
    """Old: whole-pixel differences in 8 bits. Content moving 1.5 pixels a frame reaches the network so."""
    from support.clips import H264, encode, panning

    large = panning(24, 192, 128).astype(np.float32)
    halved = large.reshape(24, 64, 2, 96, 2, 3).mean(axis=(2, 4)).astype(np.uint8)
    path = encode(tmp_path / "half.mp4", halved, **H264)
    motion = read_motion_clip(path, MotionSpec(segments=4, frames=3, grid=(16, 24))).motion
    pixels = motion.astype(np.float32) * 64 / 240
    assert np.median(pixels[:, :, 0, 2:-2, 6:-6]) == pytest.approx(1.5, abs=0.01)


def test_any_gop_is_read(make_clip) -> None:  # type: ignore[no-untyped-def]
    """Old: a GOP of 12 was assumed."""
    spec = MotionSpec(segments=4, frames=3, grid=(8, 12))
    for gop in ("5", "24"):
        found = read_motion_clip(make_clip(f"gop{gop}.mp4", g=gop), spec)
        assert not found.empty
        assert np.median(found.motion[:, :, 0, 2:-2, 3:-3]) * 64 / 240 == pytest.approx(3.0, abs=0.3)
        assert not set(found.indices.ravel().tolist()) & set(range(0, 24, int(gop)))


def test_a_control_without_motion_exists() -> None:
    """Old: no head on CLIP alone, so nobody could tell what motion added."""
    from moclip_lite.fusion import list_heads
    from moclip_lite.streams import Stream

    assert Stream.APPEARANCE.head in list_heads()
    assert Stream.MOTION_HEAD.head in list_heads()


def test_no_paths_of_a_machine_and_no_pickle() -> None:
    """Old: absolute paths in scripts, checkpoints that run code when they are loaded."""
    root = Path(moclip_lite.__file__).parents[1]
    files = [
        *root.glob("moclip_lite/**/*.py"),
        *root.glob("mv_tools/**/*.py"),
        *root.glob("experiments/**/*.yaml"),
    ]
    assert len(files) > 50
    for path in files:
        text = path.read_text()
        assert not re.search(r"(?<![\w.])/(home|root|work|data|mnt)/", text), path
        if path.suffix == ".py":
            calls = {
                ast.unparse(n.func)
                for n in ast.walk(ast.parse(text))
                if isinstance(n, ast.Call) and "weights_only=True" not in map(ast.unparse, n.keywords)
            }
            assert not calls & {"torch.load", "pickle.load", "pickle.loads", "joblib.load"}, path
