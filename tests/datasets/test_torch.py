"""PyTorch data sets of motion: workers, seeds, epochs, pickling."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from moclip_lite.datasets import Clip, load_folder
from moclip_lite.datasets.torch import IterableMotionDataset, MotionDataset
from moclip_lite.errors import DataError
from moclip_lite.parallel.ranks import SINGLE, Share
from mv_tools import MotionDecoder, MotionError

from support.cli import class_folders


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folders(tmp_path_factory.mktemp("torch") / "clips", per_class=3, frames=14)


def motions(loader: object) -> dict[tuple[int, ...], torch.Tensor]:
    """(clip, pictures) -> motion, over all batches."""
    found = {}
    for batch in loader:  # type: ignore[attr-defined]
        for motion, clip, frames in zip(batch["motion"], batch["clip"], batch["frames"], strict=True):
            place = (int(clip), *frames.tolist())
            assert place not in found
            found[place] = motion
    return found


def test_items_are_the_decoders_pictures(root: Path) -> None:
    data = load_folder(root)
    dataset = MotionDataset(data, 4, (6, 8), sampling="uniform")
    item = dataset[-1]
    assert len(dataset) == len(data.clips)
    assert item["clip"] == len(data.clips) - 1
    assert item["motion"].shape == (4, 2, 6, 8)
    assert item["motion"].dtype == torch.float32
    assert item["label"] == data.labels.index(data.clips[-1].label)
    decoder = MotionDecoder(data.clips[-1].path)
    assert not set(item["frames"].tolist()) & set(decoder.keyframe_indices())
    assert float(item["motion"].abs().max()) > 0
    with pytest.raises(IndexError):
        dataset[len(data.clips)]


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_draw_what_one_process_draws(root: Path, method: str) -> None:
    """In each epoch other pictures, the same for any number of workers, which persist."""
    for kind in (MotionDataset, IterableMotionDataset):
        dataset = kind(load_folder(root), 4, (6, 8), seed=3)  # type: ignore[operator]
        here = []
        for epoch in (0, 1):
            dataset.set_epoch(epoch)
            here.append(motions(DataLoader(dataset, 2)))
        assert kind is IterableMotionDataset or here[0].keys() != here[1].keys()
        loader = DataLoader(
            dataset, 2, num_workers=2, persistent_workers=True, multiprocessing_context=method
        )
        for epoch in (0, 1):
            dataset.set_epoch(epoch)
            there = motions(loader)
            assert there.keys() == here[epoch].keys()
            for place, motion in there.items():
                torch.testing.assert_close(motion, here[epoch][place], rtol=0, atol=0)


def test_iterable_gives_each_window_once_in_another_order_each_epoch(root: Path) -> None:
    dataset = IterableMotionDataset(load_folder(root), 4, (6, 8), stride=2)
    orders = []
    for epoch in (0, 0, 1):
        dataset.set_epoch(epoch)
        orders.append([(sample["clip"], tuple(sample["frames"].tolist())) for sample in dataset])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])
    assert len(set(orders[0])) == len(orders[0]) > 2 * len(dataset.clips)


def test_files_that_can_not_be_read(root: Path, tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no video" * 100)
    data = load_folder(root)
    bad = Clip(tmp_path / "x.mp4", "x.mp4", data.labels[0])
    with pytest.raises(MotionError, match=r"x\.mp4"):
        MotionDataset([bad], labels=data.labels)[0]
    with pytest.raises(MotionError, match=r"x\.mp4"):
        list(IterableMotionDataset([bad]))
    lenient = IterableMotionDataset([bad, *data.clips], labels=data.labels, on_error="skip")
    assert {sample["clip"] for sample in lenient} == set(range(1, len(data.clips) + 1))
    assert "x.mp4" in lenient.skipped["x.mp4"]
    with pytest.raises(DataError, match="no number is known"):
        MotionDataset(data.clips, labels=["other"])
    with pytest.raises(DataError, match="at least one clip"):
        MotionDataset([])


@pytest.mark.parametrize("backend", ["native", "libav"])
def test_decoders_are_pickled(root: Path, backend: str) -> None:
    path = next(root.rglob("*.mp4"))
    for source in (path, path.read_bytes()):
        decoder = MotionDecoder(source, backend, "decode", on_damage="skip")
        again = pickle.loads(pickle.dumps(decoder))
        assert (again.backend, again.order) == (backend, "decode")
        for one, other in zip(decoder, again, strict=True):
            np.testing.assert_array_equal(one.mv, other.mv)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_copy_draws_each_epoch_anew_in_persistent_workers(root: Path) -> None:
    dataset = pickle.loads(pickle.dumps(MotionDataset(load_folder(str(root)), frames=3, grid=(2, 3))))
    loader = DataLoader(
        dataset, batch_size=None, num_workers=1, persistent_workers=True, multiprocessing_context="fork"
    )
    for epoch in range(2):
        dataset.set_epoch(epoch)
        drawn = torch.stack([sample["frames"] for sample in loader])
        assert torch.equal(drawn, torch.stack([dataset[i]["frames"] for i in range(len(dataset))]))


def test_spawned_workers_of_a_group_share_the_clips(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = load_folder(root)
    module = "moclip_lite.datasets.torch"
    alone = [(s["clip"], int(s["frames"][0])) for s in IterableMotionDataset(clips, frames=3, grid=(2, 3))]
    windows = []
    for rank in range(2):
        monkeypatch.setattr(f"{module}.share", lambda rank=rank: Share(rank, 2))
        state = pickle.dumps(IterableMotionDataset(clips, frames=3, grid=(2, 3)))
        monkeypatch.setattr(f"{module}.share", lambda: SINGLE)  # a new process is in no group
        for number in range(2):
            worker = SimpleNamespace(num_workers=2, id=number)
            monkeypatch.setattr(f"{module}.get_worker_info", lambda worker=worker: worker)
            windows += [(s["clip"], int(s["frames"][0])) for s in pickle.loads(state)]
    assert sorted(windows) == sorted(alone)


def test_labels_that_are_given_twice(root: Path) -> None:
    clips = load_folder(root)
    with pytest.raises(DataError, match="is given twice"):
        MotionDataset(clips, labels=[*clips.labels, clips.labels[0]])


def test_settings_that_can_not_be_drawn_from(root: Path) -> None:
    clips = load_folder(root)
    wrong: dict[str, dict[str, Any]] = {
        "seed must be at least 0": {"seed": -1},
        "two sides": {"grid": (12, 16, 3)},
        "at least 1": {"grid": (0, 16)},
    }
    for reason, options in wrong.items():
        for kind in (MotionDataset, IterableMotionDataset):
            with pytest.raises(ValueError, match=reason):
                kind(clips, **options)
    dataset = MotionDataset(clips)
    with pytest.raises(ValueError, match="epoch must be at least 0"):
        dataset.set_epoch(-1)
    assert dataset.epoch == 0
