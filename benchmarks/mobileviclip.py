"""Time per 8-frame clip of MobileViCLIP and of what it is compared with, in one run on this CPU.

    python benchmarks/mobileviclip.py [--threads 1] [--repeat 3]

All weights are random. Least CPU seconds of the repeats, which take turns, so that a busy machine slows
all alike. MobileCLIP stands for the same image model frame by frame, folded, and the mean. The stand-ins of
InternVideo2 are vision transformers of S (384 wide, 12 layers, 6 heads) and L (1024, 24, 16) with 14-pixel patches on
8 frames of 224 x 224 and attention over all 2,048 patches and a class token at once. The published 133
and 644 M count towers that this clip does not pass through, and are not what the time depends on.

The paper's ratios to small, 6.7 and 55, are of a tablet. On a CPU time goes by operations: S14 needs about 82 G
multiply-adds by its shape, L14 about 830, small 63.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import open_clip
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from moclip_lite.export import export_mobileviclip
from moclip_lite.mobileviclip import build, variant

FRAMES = 8
Run = Callable[[], Any]


def stand_in(width: int, depth: int, heads: int) -> VisionTransformer:
    """Frames below one another are one tall picture: attention over space and time jointly."""
    return VisionTransformer(
        img_size=(FRAMES * 224, 224),
        patch_size=14,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        num_classes=512,
    ).eval()


def millions(module: torch.nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def onnx_run(folder: Path, clip: Tensor, threads: int) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(folder / "video.onnx"), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"clip": clip.numpy()})


def candidates(folder: Path, threads: int) -> dict[str, tuple[float, Run]]:
    """Name -> (millions of parameters, one pass)."""
    runs: dict[str, tuple[float, Run]] = {}
    clip = torch.rand(1, FRAMES, 3, 256, 256)
    for name in ("tiny", "small"):
        model = build(variant(name))
        folded = model.reparameterize()
        frames = build(dataclasses.replace(variant(name), temporal=False)).reparameterize()
        (folder / name).mkdir()
        exported = export_mobileviclip(model, folder / name)
        print(
            f"{name}: ONNX Runtime differs from PyTorch by "
            + ", ".join(f"{e.difference:.1e} ({e.path.name})" for e in exported)
        )
        with torch.inference_mode():
            difference = (model.encode_video(clip) - folded.encode_video(clip)).abs().max()
        print(f"{name}: folded differs from training form by {float(difference):.1e}", flush=True)
        runs[f"{name}, training form"] = millions(model.video), lambda m=model: m.video(clip)
        runs[f"{name}, folded"] = millions(folded.video), lambda m=folded: m.video(clip)
        runs[f"{name}, ONNX Runtime"] = millions(folded.video), onnx_run(folder / name, clip, threads)
        runs[f"MobileCLIP {name}, mean"] = millions(frames.video), lambda m=frames: m.video(clip)
    plain = open_clip.create_model("ViT-B-32", load_weights=False).visual.eval()
    pictures, tall = torch.rand(FRAMES, 3, 224, 224), torch.rand(1, 3, FRAMES * 224, 224)
    runs["ViT-B/32, mean"] = millions(plain), lambda: plain(pictures).mean(0)
    for name, shape in (("S14", (384, 12, 6)), ("L14", (1024, 24, 16))):
        vit = stand_in(*shape)
        runs[f"InternVideo2-{name} stand-in"] = millions(vit), lambda m=vit: m(tall)
    return runs


@torch.inference_mode()
def measure(runs: dict[str, tuple[float, Run]], repeat: int) -> dict[str, float]:
    best = dict.fromkeys(runs, np.inf)
    for turn in range(repeat + 1):
        for name, (_, run) in runs.items():
            started = time.process_time()
            run()
            if turn:  # the first warms up
                best[name] = min(best[name], time.process_time() - started)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        runs = candidates(Path(folder), options.threads)
        seconds = measure(runs, options.repeat)
    base = seconds["small, folded"]
    print(f"\n{FRAMES} frames, {options.threads} thread(s), best of {options.repeat}, CPU milliseconds")
    print(f"{'':28}{'M params':>9}{'ms':>9}{'to small, folded':>18}")
    for name, (size, _) in runs.items():
        print(f"{name:28}{size:9.1f}{1e3 * seconds[name]:9.0f}{seconds[name] / base:17.2f}x")
    for name in ("tiny", "small"):
        own = seconds[f"{name}, folded"]
        print(
            f"{name}: folded / training form {own / seconds[f'{name}, training form']:.2f}, "
            f"ONNX Runtime / folded {seconds[f'{name}, ONNX Runtime'] / own:.2f}, "
            f"folded / frame by frame {own / seconds[f'MobileCLIP {name}, mean']:.2f}"
        )


if __name__ == "__main__":
    main()
