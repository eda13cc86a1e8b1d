"""Video-text training: learning, schedule, interruption and run folder."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from moclip_lite.errors import ConfigError, DataError, TrainingDiverged
from moclip_lite.mobileviclip import VARIANTS, MobileViCLIP, build
from moclip_lite.mobileviclip.encoder import ModelSpec
from moclip_lite.mobileviclip.training import run
from moclip_lite.mobileviclip.training.pairs import Pair
from moclip_lite.mobileviclip.training.settings import VideoTextSettings
from moclip_lite.mobileviclip.training.task import VideoTextResult, fit_video_text, learning_rate
from moclip_lite.parallel.ranks import Share
from moclip_lite.progress import Silent
from moclip_lite.storage.files import read_json, write_json

from support.mobileviclip import SMALLEST

CPU = torch.device("cpu")


SETTINGS = VideoTextSettings(epochs=2, warmup=0.5, batch=4, lr=1e-3, threads=1)


class Memory:
    """Clips with captions that name their brightness."""

    def __init__(self, broken: tuple[int, ...] = ()) -> None:
        self.broken = broken

    def __len__(self) -> int:
        return 12

    def pair(self, index: int, rng: np.random.Generator) -> tuple[Tensor, str]:
        if index in self.broken:
            raise DataError(f"clip {index} is broken")
        noise = torch.from_numpy(rng.random((2, 3, 32, 32), dtype=np.float32))
        return (0.2 * noise + 0.8 * (index % 4) / 3).clamp(0, 1), ("dark", "grey", "bright", "white")[
            index % 4
        ]

    def group(self, index: int) -> int:
        return index % 4


class _Stop(Exception):
    pass


def test_the_learning_rate_falls_after_its_peak() -> None:
    with pytest.raises(ValueError, match=r"warmup \(5\) must be below epochs \(1\)"):
        VideoTextSettings(epochs=1, warmup=5)
    short = VideoTextSettings(epochs=1)
    rates = [learning_rate(short, step, 30) for step in range(30)]
    assert max(rates) == pytest.approx(short.lr)
    assert rates[-1] < rates[15] < rates[10]


def test_the_published_schedule_is_the_default() -> None:
    s = VideoTextSettings()
    assert (s.epochs, s.warmup, s.lr, s.betas, s.weight_decay, s.freeze_text) == (
        3,
        1.0,
        1e-5,
        (0.9, 0.98),
        0.2,
        True,
    )
    rates = [learning_rate(s, number, 10) for number in range(30)]
    assert rates[0] == pytest.approx(1e-6)
    assert max(rates) == rates[9] == pytest.approx(1e-5)
    assert rates[20] == pytest.approx(0.5e-5)
    assert rates[-1] < 1e-7


def test_training_learns_and_keeps_a_frozen_text_tower() -> None:
    model = build(SMALLEST)
    text = {name: value.clone() for name, value in model.text.state_dict().items()}
    settings = SETTINGS.model_copy(update={"epochs": 12, "lr": 5e-3, "batch": 6})
    result = fit_video_text(model, Memory(), settings, device=CPU)
    assert result.history[-1]["loss"] < 0.8 * result.history[0]["loss"]
    assert all(torch.equal(value, text[name]) for name, value in model.text.state_dict().items())
    assert not model.training
    temporal = [
        p
        for name, p in model.named_parameters()
        if "temporal.norm.weight" in name or "temporal_embedding" in name
    ]
    assert all(p.abs().max() > 0 for p in temporal)  # they start at zero
    trained = build(SMALLEST)
    fit_video_text(trained, Memory(), SETTINGS.model_copy(update={"freeze_text": False}), device=CPU)
    assert not torch.equal(trained.text.projection_layer, text["projection_layer"])


def test_training_raises_the_temperature_from_its_minimum() -> None:
    model = build(SMALLEST)
    model.log_temperature.data.fill_(-math.log(100))
    history = fit_video_text(model, Memory(), SETTINGS.model_copy(update={"lr": 1e-2}), device=CPU).history
    assert history[-1]["temperature"] > 0.0101


def test_gradient_checkpointing_changes_nothing() -> None:
    results, models = [], []
    for checkpointing in (False, True):
        model = build(SMALLEST)
        settings = SETTINGS.model_copy(update={"grad_checkpointing": checkpointing})
        results.append(fit_video_text(model, Memory(), settings, device=CPU).history)
        models.append(model.state_dict())
    assert results[0][0]["loss"] == pytest.approx(results[1][0]["loss"], rel=1e-4)
    for name, value in models[0].items():
        torch.testing.assert_close(models[1][name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_an_interrupted_training_resumes_to_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moclip_lite.mobileviclip.training.task._SAVE_EVERY", 0.0)

    def train(
        checkpoint: Path, stop_at: int | None = None, print_: str = "x"
    ) -> tuple[MobileViCLIP, list[int]]:
        model, seen = build(SMALLEST), list[int]()

        def on_step(done: int, total: int, loss: float) -> None:
            seen.append(done)
            if done == stop_at:
                raise _Stop

        result = fit_video_text(
            model, Memory(), SETTINGS, device=CPU, checkpoint=checkpoint, fingerprint=print_, on_step=on_step
        )
        assert len(result.history) == 2
        return model, seen

    whole, steps = train(tmp_path / "a.safetensors")
    assert steps == [1, 2, 3, 4, 5, 6]
    with pytest.raises(_Stop):
        train(tmp_path / "b.safetensors", stop_at=5)
    resumed, steps = train(tmp_path / "b.safetensors")
    assert steps == [5, 6]
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, msg=name)
    assert train(tmp_path / "b.safetensors", print_="another")[1] == [1, 2, 3, 4, 5, 6]
    (tmp_path / "b.safetensors").write_bytes(b"broken")
    assert len(train(tmp_path / "b.safetensors")[1]) == 6


@pytest.mark.parametrize(("batch", "after"), [(2, 4), (4, 2), (4, 3), (6, 12)])
def test_a_training_with_another_batch_starts_anew(tmp_path: Path, batch: int, after: int) -> None:
    """Its history has each epoch once, and the model equals that of an uninterrupted training."""
    checkpoint, models = tmp_path / "c.safetensors", []

    def stop(done: int, total: int, loss: float) -> None:
        if done == total // 2 + 1:  # in the second epoch: the first is in the checkpoint
            raise _Stop

    settings = SETTINGS.model_copy(update={"batch": batch})
    with pytest.raises(_Stop):
        fit_video_text(
            build(SMALLEST),
            Memory(),
            settings,
            device=CPU,
            checkpoint=checkpoint,
            fingerprint="x",
            on_step=stop,
        )
    for path in (checkpoint, tmp_path / "other.safetensors"):
        models.append(build(SMALLEST))
        settings = SETTINGS.model_copy(update={"batch": after})
        result = fit_video_text(models[-1], Memory(), settings, device=CPU, checkpoint=path, fingerprint="x")
        assert [row["epoch"] for row in result.history] == [0, 1]
    for name, value in models[1].state_dict().items():
        assert torch.equal(models[0].state_dict()[name], value), name


@pytest.mark.parametrize(
    ("before", "after", "continues"),
    [((4, 1), (2, 2), True), ((2, 2), (1, 4), True), ((4, 1), (4, 2), False), ((2, 1), (4, 1), False)],
)
def test_a_folder_continues_with_equal_pairs_per_step_only(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[int, int],
    after: tuple[int, int],
    continues: bool,
) -> None:
    """(batch of a process, processes): pairs per step must be equal."""
    monkeypatch.setitem(VARIANTS, "tiny", SMALLEST)
    monkeypatch.setattr(run, "fit_video_text", lambda *_, **__: VideoTextResult())
    for name in "abcdefgh":
        (tmp_path / name).write_bytes(name.encode())
    pairs = [Pair(tmp_path / name, (name,), i) for i, name in enumerate("abcdefgh")]
    spec = ModelSpec(name="tiny", pretrained="none", num_frames=2)

    def train(batch: int, world: int) -> None:
        monkeypatch.setattr(run, "joined", lambda: contextlib.nullcontext(Share(0, world)))
        settings = SETTINGS.model_copy(update={"batch": batch, "threads": batch})
        run.train_video_text(pairs, spec, settings, tmp_path / "run", CPU, Silent())

    train(*before)
    if continues:
        train(*after)
    else:
        with pytest.raises(ConfigError, match=r"another training \(pairs_per_step \d there, \d here\)"):
            train(*after)
    pairs[0] = Pair(pairs[0].clip, ("another",), 0)
    with pytest.raises(ConfigError, match="captions"):
        train(*before)


def test_a_folder_continues_with_the_contents_of_its_clips_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VARIANTS, "tiny", SMALLEST)
    history = [{"epoch": epoch, "loss": 1.0, "temperature": 0.1} for epoch in range(SETTINGS.epochs)]
    calls: list[str] = []

    def fit(*_: object, fingerprint: str, **__: object) -> VideoTextResult:
        calls.append(fingerprint)
        return VideoTextResult(history[: len(calls)])

    class Sayings(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    monkeypatch.setattr(run, "fit_video_text", fit)
    for name in "abcdefgh":
        (tmp_path / name).write_bytes(name.encode())
    pairs = [Pair(tmp_path / name, (name,), i) for i, name in enumerate("abcdefgh")]
    spec, said = ModelSpec(name="tiny", pretrained="none", num_frames=2), list[str]()

    def train() -> dict[str, object]:
        said.clear()
        return run.train_video_text(pairs, spec, SETTINGS, tmp_path / "run", CPU, Sayings())

    train()  # interrupted: one epoch of two
    metrics = train()
    assert len(calls) == 2
    assert train() == metrics
    assert len(calls) == 2
    assert said == [f"nothing to do, this training is finished: {tmp_path / 'run' / 'model.safetensors'}"]
    (tmp_path / "run" / "model.safetensors").unlink()
    train()
    assert len(calls) == 3  # which writes it from the checkpoint
    written = (tmp_path / "run" / "model.safetensors").read_bytes()
    (tmp_path / "run" / "model.safetensors").write_bytes(written[:1000])
    assert train() == metrics
    assert len(calls) == 4
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == written
    (tmp_path / "other").write_bytes(b"x")
    (tmp_path / "other").replace(tmp_path / "c")
    with pytest.raises(ConfigError, match=r"another training \(clips were replaced\); choose another folder"):
        train()
    description = read_json(tmp_path / "run" / "training.json")
    del description["contents"]  # as an earlier version wrote it
    write_json(tmp_path / "run" / "training.json", description)
    assert train() == metrics


def test_a_training_whose_weights_diverge_says_so(tmp_path: Path) -> None:
    """The loss stays finite: norms compute with the batch's own statistics while they are trained."""
    model, rows = build(SMALLEST), list[int]()

    def spoil(done: int, total: int, loss: float) -> None:
        assert math.isfinite(loss)
        rows.append(done)
        next(b for name, b in model.named_buffers() if name.endswith("running_var")).fill_(math.inf)

    checkpoint = tmp_path / "c.safetensors"
    with pytest.raises(TrainingDiverged, match=r"in epoch 0: .* lower the learning rate"):
        fit_video_text(model, Memory(), SETTINGS, device=CPU, checkpoint=checkpoint, on_step=spoil)
    assert rows == [1, 2, 3]
    assert not checkpoint.exists()


def test_broken_clips_are_reported_and_too_few_pairs_refused() -> None:
    result = fit_video_text(build(SMALLEST), Memory(broken=(2, 3)), SETTINGS, device=CPU)
    assert set(result.unread) == {2, 3}
    with pytest.raises(DataError, match=r"^all 12 clips can't be read; the first: clip \d+ is broken$"):
        fit_video_text(build(SMALLEST), Memory(broken=tuple(range(12))), SETTINGS, device=CPU)
    with pytest.raises(ValueError, match="folded"):
        fit_video_text(build(SMALLEST).reparameterize(), Memory(), SETTINGS, device=CPU)
