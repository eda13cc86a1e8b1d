"""Several processes at one training, and batches that other processes read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from moclip_lite.datasets import Clip
from moclip_lite.experiment.inputs.feature_storage import save_features
from moclip_lite.motion.augment import RandomView
from moclip_lite.motion.batches import Batches, MotionFeed
from moclip_lite.motion.extract import extract_motion
from moclip_lite.motion.settings import MotionSpec
from moclip_lite.motion.store import MotionStore
from moclip_lite.parallel.ddp import synchronize_norms
from moclip_lite.parallel.ranks import Share
from moclip_lite.storage.cache import FeatureCache
from moclip_lite.storage.files import read_json
from moclip_lite.training.settings import Balance

from support.cli import assert_ok, launched, moclip, sets
from support.features import labelled_features

SPEC = MotionSpec(segments=3, frames=2, grid=(6, 8))


@pytest.fixture
def store(tmp_path: Path) -> tuple[MotionStore, list[Clip]]:
    from support.clips import H264, encode, panning

    clips = []
    for i in range(5):
        path = tmp_path / f"{i}.mp4"
        encode(path, panning(8, step=(i - 2, 1)), **H264)
        clips.append(Clip(path, path.name, "ab"[i % 2]))
    cache = FeatureCache(tmp_path / "cache")
    report = extract_motion(clips, SPEC, cache, workers=1)
    return MotionStore(cache, report.keys, SPEC), clips


def feed(
    store: tuple[MotionStore, list[Clip]], batch: int = 4, balance: Balance = "none", **options: object
) -> MotionFeed:
    found, clips = store
    batches = Batches(RandomView(), segments=2, size=batch, seed=3, balance=balance)
    return MotionFeed(found, clips, clips, ["a", "b"], batches, **options)  # type: ignore[arg-type]


def test_parts_make_the_whole(store: tuple[MotionStore, list[Clip]]) -> None:
    """The same clips, windows, crops and flips in whichever process reads them."""
    (whole,) = list(feed(store).train_batches(1))
    parts = [next(iter(feed(store, part=Share(rank, 2)).train_batches(1))) for rank in (0, 1)]
    for rank, ((motion,), labels) in enumerate(parts):
        torch.testing.assert_close(motion, whole[0][0][rank::2], rtol=0, atol=0)
        assert torch.equal(labels, whole[1][rank::2])


def test_parts_are_of_one_size() -> None:
    rows = np.arange(7)
    assert [list(Share(r, 3).even(rows)) for r in range(3)] == [[0, 3], [1, 4], [2, 5]]
    assert sorted(x for r in range(3) for x in Share(r, 3).of(range(7))) == list(range(7))


@pytest.mark.parametrize("balance", ["none", "classes"])
def test_loaders_read_the_same_batches(store: tuple[MotionStore, list[Clip]], balance: Balance) -> None:
    """In later epochs too: they are planned after the loaders were started."""
    here, elsewhere = feed(store, batch=2, balance=balance), feed(store, batch=2, balance=balance, loaders=2)
    for epoch in (0, 1, 2):
        expected, found = list(here.train_batches(epoch)), list(elsewhere.train_batches(epoch))
        assert len(expected) == len(found) == 2
        for ((a,), x), ((b,), y) in zip(expected, found, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)
            assert torch.equal(x, y)


def test_loaders_change_no_weights(store: tuple[MotionStore, list[Clip]]) -> None:
    """Dropout draws the same masks, whichever processes read the batches."""

    def trained(loaders: int) -> torch.Tensor:
        torch.manual_seed(0)
        motion = feed(store, batch=2, loaders=loaders)
        network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(2 * 2 * 2 * 6 * 8, 2))
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        for epoch in (0, 1):
            for (fields,), labels in motion.train_batches(epoch):
                optimizer.zero_grad()
                nn.functional.cross_entropy(network(fields), labels).backward()
                optimizer.step()
        return torch.cat([value.detach().flatten() for value in network.parameters()])

    torch.testing.assert_close(trained(0), trained(2), rtol=0, atol=0)


def test_two_processes_train_like_one(tmp_path: Path) -> None:
    """torchrun with gloo on a file of features; without dropout the weights agree."""
    file = tmp_path / "f.safetensors"
    save_features(file, *labelled_features())
    settings = (
        "data.kind=features",
        f"data.root={file}",
        "run.device=cpu",  # as in several processes
        "data.protocol=official",
        "fusion.dropout=0",
        "train_head.epochs=8",
        "train_head.batch=32",
    )

    def run(name: str, processes: int) -> Path:
        places = (f"run.dir={tmp_path / name}", f"cache.dir={tmp_path / name / 'cache'}")
        yaml = tmp_path / "e.yaml"
        yaml.write_text("run: {streams: [appearance, fusion]}\n")
        words = ("run", yaml, *sets((*settings, *places)))
        done = assert_ok(moclip(*words) if processes == 1 else launched(*words, processes=processes))
        assert done.out.count("fusion") == 1  # one of them speaks
        return tmp_path / name

    one, two = run("one", 1), run("two", 2)
    single, double = (load_file(folder / "fusion.safetensors") for folder in (one, two))
    assert single.keys() == double.keys()
    for name, value in single.items():
        np.testing.assert_allclose(double[name], value, rtol=1e-3, atol=2e-3, err_msg=name)
    first, second = (read_json(folder / "metrics.json") for folder in (one, two))
    assert abs(first["fusion"]["top1"] - second["fusion"]["top1"]) < 2


def test_norms_of_whole_batches_keep_their_activations() -> None:
    """On GPUs torch's, which are not run here; on CPUs ours, which alone are like any BatchNorm."""
    from timm.layers import BatchNormAct2d

    def network() -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(2, 4, 3), BatchNormAct2d(4, act_layer=nn.SiLU), nn.BatchNorm2d(4))

    plain, names = network(), set(network().state_dict())
    gpu = synchronize_norms(network(), torch.device("cuda"))
    assert [type(norm) for norm in gpu if isinstance(norm, nn.SyncBatchNorm)]
    assert isinstance(gpu[1].act, nn.SiLU)
    cpu = synchronize_norms(network(), torch.device("cpu"))
    x = torch.randn(3, 2, 6, 6)
    for mode in (True, False):
        torch.testing.assert_close(cpu.train(mode)(x), plain.train(mode)(x))
    assert set(gpu.state_dict()) == set(cpu.state_dict()) == names
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(cpu.state_dict()[name], value)
