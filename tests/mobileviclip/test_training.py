"""Contrastive training: the loss, its gathering over processes, resuming, and tables of pairs."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor
from torch.nn import functional

from moclip_lite.datasets import Clip
from moclip_lite.datasets.prompts import Prompts
from moclip_lite.errors import ConfigError, DataError, MoclipError
from moclip_lite.mobileviclip import VARIANTS, MobileViCLIP, build
from moclip_lite.mobileviclip.encoder import ModelSpec
from moclip_lite.mobileviclip.frames import (
    centre_box,
    random_box,
    read_clip,
    to_tensor,
)
from moclip_lite.mobileviclip.training import run
from moclip_lite.mobileviclip.training.contrastive import contrastive_loss
from moclip_lite.mobileviclip.training.fit import (
    VideoTextResult,
    VideoTextSettings,
    _rate,
    fit_video_text,
)
from moclip_lite.mobileviclip.training.pairs import (
    FilePairs,
    Pair,
    class_pairs,
    read_pairs,
)
from moclip_lite.mobileviclip.training.repeats import Repeats, number_files
from moclip_lite.parallel.ranks import Share
from moclip_lite.progress import Silent

from support.mobileviclip import TINY, shaken

SMALLEST = dataclasses.replace(TINY, num_frames=2, image_size=32, depths=(1, 1, 1, 1), dims=(8, 8, 16, 32))
CPU = torch.device("cpu")


class Memory:
    """Clips whose brightness their caption names."""

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


SETTINGS = VideoTextSettings(epochs=2, warmup=0.5, batch=4, lr=1e-3, threads=1)


def test_the_loss_is_symmetric_infonce() -> None:
    generator = torch.Generator().manual_seed(0)
    video, text = torch.randn(5, 8, generator=generator), torch.randn(5, 8, generator=generator)
    a, b = functional.normalize(video, dim=-1), functional.normalize(text, dim=-1)
    logits, own = a @ b.T / 0.1, torch.arange(5)
    wanted = (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2
    torch.testing.assert_close(contrastive_loss(video, text, torch.tensor(0.1), own), wanted)
    same = torch.tensor([0, 0, 1, 2, 3])
    assert contrastive_loss(a, a[[1, 0, 2, 3, 4]], torch.tensor(0.01), same) < contrastive_loss(
        a, a[[1, 0, 2, 3, 4]], torch.tensor(0.01), own
    )  # pairs that say the same are no mistakes


def test_the_temperature_has_a_floor() -> None:
    model = build(SMALLEST)
    assert float(model.temperature.detach()) == pytest.approx(0.07)
    model.log_temperature.data.fill_(math.log(1e-4))
    assert float(model.temperature.detach()) == pytest.approx(0.01)


def test_captions_of_one_clip_are_no_negatives_of_each_other() -> None:
    """A group for the clip and one for the caption: sharing either is enough, and neither is passed on."""
    generator = torch.Generator().manual_seed(0)
    video, text = (functional.normalize(torch.randn(4, 8, generator=generator), dim=-1) for _ in range(2))
    groups = torch.tensor([[0, 0], [0, 1], [1, 0], [2, 2]])  # one clip twice; two clips of the same words
    positive = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float32)
    target, logits = positive / positive.sum(dim=1, keepdim=True), video @ text.T / 0.1
    wanted = (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2
    torch.testing.assert_close(contrastive_loss(video, text, torch.tensor(0.1), groups), wanted)
    alone = torch.arange(4)
    torch.testing.assert_close(
        contrastive_loss(video, text, torch.tensor(0.1), torch.stack([alone, alone], dim=1)),
        contrastive_loss(video, text, torch.tensor(0.1), alone),
    )


def test_files_are_told_apart_by_content(tmp_path: Path) -> None:
    for name, content in (("a", b"xx"), ("b", b"xx"), ("c", b"yy"), ("d", b"xxx")):
        (tmp_path / f"{name}.mp4").write_bytes(content)
    (tmp_path / "e.mp4").symlink_to(tmp_path / "c.mp4")
    paths = [tmp_path / f"{name}.mp4" for name in "abcdefg"]  # the last two are not there
    numbers = number_files(paths)
    groups = [sorted(p.stem for p in paths if numbers[p] == n) for n in sorted(set(numbers.values()))]
    assert sorted(groups) == [["a", "b"], ["c", "e"], ["d"], ["f"], ["g"]]
    pairs = [Pair(paths[0], ("x",), 0), Pair(paths[1], ("y",), 1), Pair(paths[2], ("X",), 0)]
    source = FilePairs(pairs, SMALLEST)
    clips, captions = zip(*(source.group(i) for i in range(3)), strict=True)
    assert clips[0] == clips[1] != clips[2]
    assert captions == (0, 1, 0)
    assert source.repeats() == Repeats(captions=1, names=1)
    assert "1 captions" in source.repeats().summary()
    assert FilePairs(pairs[1:2], SMALLEST).repeats().summary() == ""


@pytest.mark.parametrize(
    "start",
    [-math.log(100), -float(torch.tensor(100.0).log()), float(torch.tensor(0.01).log()), math.log(1e-4)],
)
def test_the_temperature_learns_from_its_floor(start: float) -> None:
    """Published checkpoints lie there: logit_scale ln 100, temp 0.01. Here the captions are random, so that
    a higher temperature is better; where they fit, it stays at the floor."""
    for texts, rises in (("random", True), ("right", False)):
        model = build(SMALLEST)
        model.log_temperature.data.fill_(start)
        generator = torch.Generator().manual_seed(0)
        video = torch.randn(6, 8, generator=generator)
        text = video if texts == "right" else torch.randn(6, 8, generator=generator)
        optimizer = torch.optim.SGD([model.log_temperature], lr=0.1)
        model.clamp_temperature()
        for _ in range(2):
            optimizer.zero_grad()
            contrastive_loss(video, text, model.temperature, torch.arange(6)).backward()
            optimizer.step()
            model.clamp_temperature()
        value = float(model.temperature.detach())
        assert value > 0.011 if rises else value == pytest.approx(0.01)


def test_training_moves_the_temperature_off_its_floor() -> None:
    model = build(SMALLEST)
    model.log_temperature.data.fill_(-math.log(100))
    history = fit_video_text(model, Memory(), dataclasses.replace(SETTINGS, lr=1e-2), device=CPU).history
    assert history[-1]["temperature"] > 0.0101


@pytest.mark.parametrize(("batch", "after"), [(2, 4), (4, 2), (4, 3), (6, 12)])
def test_a_training_with_another_batch_begins_anew(tmp_path: Path, batch: int, after: int) -> None:
    """Its history has each epoch once, and the model is that of an undisturbed training."""
    checkpoint, models = tmp_path / "c.safetensors", []

    def stop(done: int, total: int, loss: float) -> None:
        if done == total // 2 + 1:  # in the second epoch: the first is in the checkpoint
            raise _Stop

    settings = dataclasses.replace(SETTINGS, batch=batch)
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
        settings = dataclasses.replace(SETTINGS, batch=after)
        result = fit_video_text(models[-1], Memory(), settings, device=CPU, checkpoint=path, fingerprint="x")
        assert [row["epoch"] for row in result.history] == [0, 1]
    for name, value in models[1].state_dict().items():
        assert torch.equal(models[0].state_dict()[name], value), name


def _process(rank: int, folder: str, port: int, weights: dict[str, Tensor]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    generator = torch.Generator().manual_seed(0)
    inputs, texts = torch.randn(6, 5, generator=generator), torch.randn(6, 4, generator=generator)
    layer = torch.nn.Linear(5, 4)
    layer.load_state_dict(weights)
    parallel = torch.nn.parallel.DistributedDataParallel(layer)
    mine = slice(3 * rank, 3 * rank + 3)
    groups = torch.tensor([0, 1, 2, 3, 0, 4])
    loss = contrastive_loss(parallel(inputs[mine]), texts[mine], torch.tensor(0.2), groups[mine])
    loss.backward()
    torch.save({"loss": loss.detach(), "grad": layer.weight.grad}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_are_one_with_the_whole_batch(tmp_path: Path) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.manual_seed(1)
    layer = torch.nn.Linear(5, 4)
    weights = {name: value.clone() for name, value in layer.state_dict().items()}
    torch.multiprocessing.spawn(_process, (str(tmp_path), port, weights), nprocs=2)
    generator = torch.Generator().manual_seed(0)
    inputs, texts = torch.randn(6, 5, generator=generator), torch.randn(6, 4, generator=generator)
    loss = contrastive_loss(layer(inputs), texts, torch.tensor(0.2), torch.tensor([0, 1, 2, 3, 0, 4]))
    loss.backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found["loss"], loss.detach())
        torch.testing.assert_close(found["grad"], layer.weight.grad)


def test_training_learns_and_leaves_the_text_alone() -> None:
    model = build(SMALLEST)
    text = {name: value.clone() for name, value in model.text.state_dict().items()}
    settings = dataclasses.replace(SETTINGS, epochs=12, lr=5e-3, batch=6)
    result = fit_video_text(model, Memory(), settings, device=CPU)
    assert result.history[-1]["loss"] < 0.8 * result.history[0]["loss"]
    assert all(torch.equal(value, text[name]) for name, value in model.text.state_dict().items())
    assert not model.training
    temporal = [
        p
        for name, p in model.named_parameters()
        if "temporal.norm.weight" in name or "temporal_embedding" in name
    ]
    assert all(p.abs().max() > 0 for p in temporal)  # they begin at zero and do move
    trained = build(SMALLEST)
    fit_video_text(trained, Memory(), dataclasses.replace(SETTINGS, freeze_text=False), device=CPU)
    assert not torch.equal(trained.text.projection_layer, text["projection_layer"])


def test_gradient_checkpointing_changes_nothing() -> None:
    results, models = [], []
    for checkpointing in (False, True):
        model = build(SMALLEST)
        settings = dataclasses.replace(SETTINGS, grad_checkpointing=checkpointing)
        results.append(fit_video_text(model, Memory(), settings, device=CPU).history)
        models.append(model.state_dict())
    assert results[0][0]["loss"] == pytest.approx(results[1][0]["loss"], rel=1e-4)
    for name, value in models[0].items():
        torch.testing.assert_close(models[1][name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_an_interrupted_training_comes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moclip_lite.mobileviclip.training.fit._SAVE_EVERY", 0.0)

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


def test_broken_clips_are_noted_and_too_few_refused() -> None:
    result = fit_video_text(build(SMALLEST), Memory(broken=(2, 3)), SETTINGS, device=CPU)
    assert set(result.unread) == {2, 3}
    with pytest.raises(DataError, match="can't be read"):
        fit_video_text(build(SMALLEST), Memory(broken=tuple(range(12))), SETTINGS, device=CPU)
    with pytest.raises(ValueError, match="folded"):
        fit_video_text(build(SMALLEST).reparameterize(), Memory(), SETTINGS, device=CPU)


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
    rates = [_rate(s, number, 10) for number in range(30)]
    assert rates[0] == pytest.approx(1e-6)
    assert max(rates) == rates[9] == pytest.approx(1e-5)
    assert rates[20] == pytest.approx(0.5e-5)
    assert rates[-1] < 1e-7


def test_tables(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    make_clip("videos/video1.mp4")
    (tmp_path / "videos" / "b.avi").write_bytes(b"not a video")
    (tmp_path / "t.csv").write_text("video_id,sentence\nvideo1,a cat\nvideos/b.avi,A  CAT\n")
    with pytest.raises(DataError, match="1 clips are not in"):
        read_pairs(tmp_path / "t.csv", tmp_path / "videos")
    (tmp_path / "t.csv").write_text("video_id,sentence\nvideo1,a cat\nb.avi,A  CAT\nvideo1,a dog\n")
    pairs = read_pairs(tmp_path / "t.csv", tmp_path / "videos")
    assert [p.group for p in pairs] == [0, 0, 1]
    assert pairs[1].captions == ("A CAT",)
    pd.DataFrame({"clip": ["video1.mp4"], "caption": ["a cat"]}).to_parquet(tmp_path / "t.parquet")
    assert (
        read_pairs(tmp_path / "t.parquet", tmp_path / "videos")[0].clip == tmp_path / "videos" / "video1.mp4"
    )
    source = FilePairs(pairs, SMALLEST)
    clip, caption = source.pair(0, np.random.default_rng(0))
    assert clip.shape == (2, 3, 32, 32)
    assert (clip >= 0).all()
    assert (clip <= 1).all()
    assert caption == "a cat"
    with pytest.raises(DataError, match=r"b\.avi"):
        source.pair(1, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clip,caption\n", "no rows"),
        ("a,b\n1,2\n", "column"),
        ("clip,caption\nx,\n", "row 1 has no caption"),
        ("", "can't be read"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        read_pairs(tmp_path / "t.csv")
    with pytest.raises(DataError, match="no such table"):
        read_pairs(tmp_path / "absent.csv")
    (tmp_path / "t.parquet").write_text(text)
    with pytest.raises(DataError, match="can't be read"):
        read_pairs(tmp_path / "t.parquet")


@pytest.mark.parametrize("caption_first", [True, False])
@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("a man, a dog", "3 fields, the header has 2"),
        ("a man, a dog, and a cat", "4 fields"),
        ("a man,", "3 fields"),
        (None, "1 fields"),
        ('"a man, a dog', "quote"),
        ('"a man" and a dog', "quote"),
    ],
)
def test_rows_of_another_length_are_refused(
    tmp_path: Path, caption_first: bool, caption: str | None, words: str
) -> None:
    """A caption with an unquoted comma would be cut, or shift the columns; the row is named."""

    def line(clip: str, said: str | None) -> str:
        cells = [cell for cell in (clip, said) if cell is not None]
        return ",".join(reversed(cells) if caption_first else cells)

    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"x")
    table = tmp_path / "t.csv"
    table.write_text(
        "\n".join([line("clip", "caption"), line("a.mp4", '"one, two"'), line("b.mp4", caption)])
    )
    with pytest.raises(DataError, match=rf"row 2.*{words}"):
        read_pairs(table)
    table.write_text("\ufeff" + "\n\n".join([line("clip", " caption"), line("a.mp4", '"one, ""two"""')]))
    assert read_pairs(table) == [Pair(tmp_path / "a.mp4", ('one, "two"',), 0)]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("v.mp4", "v"),
        ("v.MP4", "v"),
        ("v.1.mkv", "v.1"),
        ("sub/v.AVI", "sub\\v"),
        ("sub/v.mp4", "sub\\v.mp4"),
    ],
)
def test_names_in_tables(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(b"x")
    (tmp_path / "t.csv").write_text(f"clip,caption\n{name},x\n")
    assert read_pairs(tmp_path / "t.csv")[0].clip == tmp_path / file


def test_names_in_tables_that_no_file_or_two_have(tmp_path: Path) -> None:
    for ending in (".avi", ".mp4"):
        (tmp_path / f"v{ending}").write_bytes(b"x")
    (tmp_path / "t.csv").write_text("clip,caption\nv,x\n")
    with pytest.raises(DataError, match=r"v\.avi or v\.mp4"):
        read_pairs(tmp_path / "t.csv")
    for name in ("ü" * 300, "a\0b", ".", ""):
        (tmp_path / "t.csv").write_text(f"clip,caption\n{name},x\n")
        with pytest.raises(DataError):
            read_pairs(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("clip,caption,caption\nv.mp4,x,y\n")
    with pytest.raises(DataError, match="2 columns 'caption'"):
        read_pairs(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("before", "after", "goes_on"),
    [((4, 1), (2, 2), True), ((2, 2), (1, 4), True), ((4, 1), (4, 2), False), ((2, 1), (4, 1), False)],
)
def test_a_folder_goes_on_with_the_same_whole_batch_only(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[int, int],
    after: tuple[int, int],
    goes_on: bool,
) -> None:
    """(batch of a process, processes): what a step sees must be the same."""
    monkeypatch.setitem(VARIANTS, "tiny", SMALLEST)
    monkeypatch.setattr(run, "fit_video_text", lambda *_, **__: VideoTextResult())
    for name in "abcdefgh":
        (tmp_path / name).write_bytes(name.encode())
    pairs = [Pair(tmp_path / name, (name,), i) for i, name in enumerate("abcdefgh")]
    spec = ModelSpec(name="tiny", pretrained="none", num_frames=2)

    def train(batch: int, world: int) -> None:
        monkeypatch.setattr(run, "joined", lambda: contextlib.nullcontext(Share(0, world)))
        settings = dataclasses.replace(SETTINGS, batch=batch, threads=batch)
        run.train_video_text(pairs, spec, settings, tmp_path / "run", CPU, Silent())

    train(*before)
    if goes_on:
        train(*after)
    else:
        with pytest.raises(ConfigError, match=r"another training \(pairs_per_step \d there, \d here\)"):
            train(*after)
    pairs[0] = Pair(pairs[0].clip, ("another",), 0)
    with pytest.raises(ConfigError, match="captions"):
        train(*before)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(pd, "read_parquet", lambda path: (_ for _ in ()).throw(ImportError("pyarrow")))
    with pytest.raises(MoclipError, match=r"moclip-lite\[parquet\]"):
        read_pairs(tmp_path / "t.parquet")


def test_classes_become_captions_and_sides_are_not_mirrored(clip: Path) -> None:
    clips = [Clip(clip, "a", "MoveLeft"), Clip(clip, "b", "Jump")]
    pairs = class_pairs(clips, Prompts(("a video of {}.", "{}")))
    assert pairs[0] == Pair(clip, ("a video of move left.", "move left"), 1)
    source = FilePairs(pairs, SMALLEST, smallest=1.0, flip=1.0)
    still = FilePairs(pairs, SMALLEST, smallest=1.0, flip=0.0)
    for index, mirrored in ((0, False), (1, True)):
        one, _ = source.pair(index, np.random.default_rng(3))
        other, _ = still.pair(index, np.random.default_rng(3))
        torch.testing.assert_close(one, other.flip(-1) if mirrored else other)


@pytest.mark.parametrize("frames", [1, 3])
def test_short_clips_repeat_their_last_frame(make_clip: Callable[..., Path], frames: int) -> None:
    path = make_clip(frames=frames)
    clip = read_clip(path, 8, 32)
    assert clip.shape == (8, 3, 32, 32)
    for position in range(frames, 8):
        assert torch.equal(clip[position], clip[frames - 1])
    assert torch.equal(
        read_clip(path, 8, 32, rng=np.random.default_rng(0))[-1],
        read_clip(path, 8, 32, rng=np.random.default_rng(0))[frames - 1],
    )


def test_huge_and_narrow_pictures() -> None:
    for shape in ((4320, 7680, 3), (2, 6000, 3), (1, 1, 3)):
        picture = np.full(shape, 128, np.uint8)
        assert to_tensor(picture, 32).shape == (3, 32, 32)
        box = random_box(shape[1], shape[0], 0.5, np.random.default_rng(0))
        assert 0 <= box[0] < box[2] <= shape[1] + 1e-6
        assert to_tensor(picture, 32, box).mean() == pytest.approx(128 / 255)
    assert centre_box(100, 60) == (20, 0, 80, 60)


def test_the_clip_is_read_by_the_model(clip: Path) -> None:
    model = shaken(SMALLEST)
    with torch.inference_mode():
        assert torch.isfinite(model.encode_video(read_clip(clip, 2, 32)[None])).all()
