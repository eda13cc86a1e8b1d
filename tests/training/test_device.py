"""Devices: choice, random state, number formats, memory that runs out; what needs a GPU is skipped without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from moclip_lite.datasets.clip_errors import problem_of
from moclip_lite.errors import ConfigError
from moclip_lite.motion.network import build_motion_net
from moclip_lite.motion.settings import MotionSettings
from moclip_lite.parallel import ranks
from moclip_lite.training.classification import Batch, computes_bfloat16, fit, refuse_idle_scales
from moclip_lite.training.device import pick_device, put_random_state, random_state, seed_all
from moclip_lite.training.settings import TrainSettings

from support.cli import FOLDER_YAML, assert_refused, moclip

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
]


@pytest.mark.parametrize("name", DEVICES)
def test_random_numbers_continue(name: str) -> None:
    device = torch.device(name)
    seed_all(3)
    state = random_state(device)
    expected = torch.rand(8), torch.rand(8, device=device)
    put_random_state(state, device)
    for again, first in zip((torch.rand(8), torch.rand(8, device=device)), expected, strict=True):
        assert torch.equal(again, first)


class _Feed:
    """Motion whose class is its direction, drawn on the CPU."""

    steps = 4

    def train_batches(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        for step in range(first, self.steps):
            labels = torch.arange(8) % 2
            numbers = torch.Generator().manual_seed(100 * epoch + step)
            motion = torch.randn(8, 2, 5, 2, 24, 32, generator=numbers)
            yield (motion + labels.reshape(-1, 1, 1, 1, 1, 1),), labels

    def validate(self, model: nn.Module) -> tuple[float, float]:
        return 0.0, 0.0


@pytest.mark.parametrize("name", DEVICES)
def test_training_is_repeatable(name: str) -> None:
    weights = []
    for _ in range(2):
        seed_all(0)
        network = build_motion_net(MotionSettings(pretrained=False), 2)
        settings = TrainSettings(epochs=3)
        fit(network, _Feed(), settings, seed=0, device=torch.device(name), validates=False)
        weights.append({key: value.cpu() for key, value in network.state_dict().items()})
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
    assert not torch.are_deterministic_algorithms_enabled()


class _Attention(nn.Module):
    """A video's class from attention over its frames, as video-text models and temporal heads compute it."""

    def __init__(self) -> None:
        super().__init__()
        self.frame = nn.Linear(2 * 5 * 2 * 24 * 32 // 40, 64)
        self.layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0, batch_first=True)
        self.head = nn.Linear(64, 2)

    def forward(self, motion: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(self.frame(motion.reshape(len(motion), 40, -1))).mean(1))


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.filterwarnings("error")
def test_attention_trains_alike_and_torch_warns_of_nothing(name: str) -> None:
    weights = []
    for _ in range(2):
        seed_all(0)
        network = _Attention()
        fit(network, _Feed(), TrainSettings(epochs=3), seed=0, device=torch.device(name), validates=False)
        weights.append({key: value.cpu() for key, value in network.state_dict().items()})
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


def test_a_scale_of_no_parameter_is_refused() -> None:
    network = build_motion_net(MotionSettings(pretrained=False), 2)
    settings = TrainSettings(epochs=1, lr_scales={"encoder": 0.1, "encodr.stem": 0.5})
    with pytest.raises(ConfigError, match=r"encodr\.stem"):
        refuse_idle_scales(network, settings)
    fit(
        network, _Feed(), settings, seed=0, device=torch.device("cpu"), validates=False
    )  # as heads are trained


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_state_of_a_gpu_is_left_out_elsewhere() -> None:
    cpu = torch.device("cpu")
    state = random_state(cpu)
    expected = torch.rand(4)
    put_random_state(state | {"cuda": state["cpu"]}, cpu)
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize(("capability", "computes"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_gpus_before_ampere_train_in_float32(
    capability: tuple[int, int], computes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.version.hip", None)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    assert computes_bfloat16(torch.device("cuda")) is computes


@pytest.mark.parametrize(("rank", "processes", "gpus"), [(0, 2, 1), (1, 2, 1), (4, 8, 4)])
def test_more_processes_than_gpus_are_refused(
    rank: int, processes: int, gpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", str(rank))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    with (
        pytest.raises(ConfigError, match=rf"{processes} processes .* {gpus} GPU.*nproc-per-node {gpus}"),
        ranks.joined(),
    ):
        pass


def test_processes_do_not_share_a_numbered_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("moclip_lite.training.device.share", lambda: ranks.Share(1, 2))
    with pytest.raises(ConfigError, match="can't share"):
        pick_device("cuda:0")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"), "the GPU's memory ran out"),
        (MemoryError(), "this machine's memory ran out"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "this machine's memory ran out"),
    ],
)
def test_memory_that_ran_out_is_a_sentence(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("moclip_lite.experiment.pretraining.fit", fail)
    done = moclip("pretrain", FOLDER_YAML, "--steps", 100, "-o", tmp_path / "x.safetensors")
    assert_refused(done, words)
    assert "batch" in done.err


def test_a_gpu_without_memory_fails_no_clip() -> None:
    """It would fail every clip after it, too."""
    with pytest.raises(ConfigError, match="GPU's memory"):
        problem_of("a.mp4", torch.OutOfMemoryError("CUDA out of memory"))
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")):
        assert problem_of("a.mp4", error) == "memory ran out"  # a smaller clip may have room
