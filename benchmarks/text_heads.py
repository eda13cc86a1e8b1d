"""Heads that start from class text against linear ones, over clips a class, with a video-text model that knows the classes.

    python benchmarks/text_heads.py [--out FOLDER] [--shots 1 2 4 8 16] [--seeds 3]

The reduced MobileViCLIP of video_text_synthetic.py is trained on 14 clips of each of 60 captions (12 epochs, 130 s of
CPU), and gives features of 32 new clips of each: 8 to test on, the others to draw training and validation clips from.
The heads see appearance alone. Intervals: 95 %, bootstrap over the 480 test clips of the mean over seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from video_text_synthetic import CONFIG, KINDS, Pairs, caption, clips, reset_scales, tensor

from moclip_lite.fusion import create_head
from moclip_lite.fusion.features import HeadFeed, head_scores
from moclip_lite.fusion.tables import FeatureTable
from moclip_lite.fusion.training import fit_head
from moclip_lite.mobileviclip import build
from moclip_lite.mobileviclip.training.settings import VideoTextSettings
from moclip_lite.mobileviclip.training.task import fit_video_text
from moclip_lite.training.settings import TrainSettings

HEADS = ("linear_appearance", "text_pool_appearance", "cosine_text_appearance", "tip_adapter_appearance")
TRAINED, FIRST, CLIPS, DRAWN = 14, 1000, 32, 16
TEST = 24  # clips from here on
Floats = npt.NDArray[np.float32]


def features(out: Path) -> tuple[Floats, Floats]:
    """Text [60, 64] and video features [60, 32, 64], made once."""
    path = out / "features.npz"
    if not path.is_file():
        settings = VideoTextSettings(
            epochs=12,
            warmup=0.5,
            batch=30,
            lr=2.5e-3,
            weight_decay=0.05,
            freeze_text=False,
            threads=1,
            seed=0,
        )
        model = reset_scales(build(CONFIG, seed=0))
        fit_video_text(
            model,
            Pairs(clips(out, 0, TRAINED)),
            settings,
            device=torch.device("cpu"),
            checkpoint=out / "text_heads.safetensors",
            fingerprint=f"{settings} {CONFIG}",
        )
        drawn = clips(out, FIRST, CLIPS)
        with torch.inference_mode():
            text = model.eval().encode_text(model.tokenize([caption(kind) for kind in KINDS]), normalize=True)
            video = [
                torch.cat([model.encode_video(tensor(clip[None]), normalize=True) for clip in k])
                for k in drawn
            ]
        np.savez(path, text=text.numpy(), video=torch.stack(video).numpy())
    arrays = np.load(path)
    return arrays["text"], arrays["video"]


def table(video: Floats, numbers: npt.NDArray[np.int64]) -> FeatureTable:
    """Clips of those numbers of each class; motion says nothing."""
    rows = torch.from_numpy(np.concatenate([video[:, number] for number in numbers]))
    labels = torch.arange(len(video)).repeat(len(numbers))
    return FeatureTable(torch.zeros(len(rows), 2), rows[:, None], labels)


def correct(name: str, text: Floats, parts: list[FeatureTable], seed: int) -> npt.NDArray[np.bool_]:
    """Which test clips a head gets right that is fitted to training and validation clips."""
    train, val, test = parts
    torch.manual_seed(seed)
    head = create_head(name, 2, text.shape[1], len(text))
    head.fit_statistics(train.motion, train.appearance)
    head.start_from_text(torch.from_numpy(text))
    fit_head(
        head,
        HeadFeed(head, train, val, 64, seed),
        TrainSettings(epochs=1),
        seed=seed,
        device=torch.device("cpu"),
    )
    return np.asarray(head_scores(head, test).argmax(axis=1) == test.labels.numpy())


def interval(values: Floats, draws: npt.NDArray[np.int64]) -> str:
    """Mean in percent with its bootstrap interval."""
    low, high = np.percentile(100 * values[draws].mean(axis=1), [2.5, 97.5])
    return f"{100 * values.mean():.1f} ({low:.1f} to {high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/text_heads"))
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    text, video = features(options.out)
    test = table(video, np.arange(TEST, CLIPS))
    zero_shot = (test.appearance[:, 0].numpy() @ text.T).argmax(axis=1) == test.labels.numpy()
    draws = np.random.default_rng(1).integers(0, len(zero_shot), (2000, len(zero_shot)))
    print(f"zero-shot: {interval(zero_shot.astype(np.float32), draws)}")
    orders = [np.random.default_rng(seed).permutation(TEST) for seed in range(options.seeds)]
    for shots in options.shots:
        means: dict[str, Floats] = {}
        for name in HEADS:
            right = [
                correct(
                    name,
                    text,
                    [
                        table(video, order[:shots]),
                        table(video, order[DRAWN : DRAWN + min(shots, TEST - DRAWN)]),
                        test,
                    ],
                    seed,
                )
                for seed, order in enumerate(orders)
            ]
            means[name] = np.mean(right, axis=0, dtype=np.float32)
            gain = interval(means[name] - means[HEADS[0]], draws)
            print(
                f"{shots:3} clips a class, {name:24} {interval(means[name], draws)}  points from linear {gain}"
            )


if __name__ == "__main__":
    main()
