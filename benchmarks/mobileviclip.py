"""Time per 8-frame clip of MobileViCLIP and of models it is compared with, in one run on this CPU.

    python benchmarks/mobileviclip.py [--threads 1] [--repeat 3]

All weights are random. The time is the least CPU time of the repeats; models take turns, so that other load
affects all alike. Multiply-adds of matrix products and convolutions are counted in a forward pass.
"MobileCLIP" is the same image model applied to each frame, folded, and the mean. "With text" adds the
parameters of the text tower.

The InternVideo2 stand-ins have the shape of the published towers: vision transformers of size S (384 wide, 12
layers, 6 heads) and L (1024, 24, 16) with 14-pixel patches on 8 frames of 224 x 224, joint attention over
2,048 patches and a class token, attention pooling to 768 and a projection to 512. They lack the norms of
queries and keys and the layer scales, which makes them faster. With these towers the published totals, 133
and 644 M, fit text towers of BERT's base and large size, which are counted here.

The paper's ratios to small, 6.7 and 55, were measured on a tablet. A CPU does 45 to 60 G multiply-adds per
second both with small and with plain transformers, so that times are proportional to multiply-adds: S14 needs
1.3 times those of small, L14 13 times.
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
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from moclip_lite.export import export_mobileviclip
from moclip_lite.mobileviclip import build, variant

FRAMES = 8
FORMS = ("training form", "folded", "ONNX Runtime")


@dataclasses.dataclass
class Candidate:
    """A model to measure.

    Attributes:
        tower, total: parameters of the video tower, and with the text tower.
        operations: multiply-adds of a forward pass.
        run: a forward pass.
    """

    tower: int
    total: int
    operations: int
    run: Callable[[], Any]


class StandIn(nn.Module):
    """InternVideo2's video tower: float32 [B, 8, 3, 224, 224] -> [B, 512]."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.trunk = VisionTransformer(
            img_size=(FRAMES * 224, 224),
            patch_size=14,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            qkv_bias=False,
            final_norm=False,
            global_pool="",
            num_classes=0,
        )
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(3)])
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.pooled = nn.Linear(width, 768)
        self.project = nn.Sequential(nn.LayerNorm(768), nn.Linear(768, 512))

    def forward(self, clip: Tensor) -> Tensor:
        # Frames stacked vertically are one tall picture: joint attention over space and time.
        tokens = self.trunk(clip.transpose(1, 2).flatten(2, 3))
        mean = tokens.mean(1, keepdim=True)
        layers = zip((self.query, self.key, self.value), self.norms, (mean, tokens, tokens), strict=True)
        parts = [layer(norm(x)).unflatten(-1, (16, -1)).transpose(1, 2) for layer, norm, x in layers]
        attended = functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(1)
        return self.project(self.pooled(attended))


def bert(width: int, depth: int, heads: int) -> int:
    """Parameters of a text tower of BERT's shape: 30,522 tokens, 512 positions, two segments, a pooler."""
    layer = nn.TransformerEncoderLayer(width, heads, 4 * width, device="meta")
    table, norm, pooler = (30522 + 512 + 2) * width, 2 * width, (width + 1) * width
    return depth * size(layer) + table + norm + pooler


def size(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def candidate(tower: nn.Module, text: int, clip: Tensor, run: Callable[[], Any]) -> Candidate:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        tower(clip)
    return Candidate(size(tower), size(tower) + text, counter.get_total_flops() // 2, run)


def onnx_run(folder: Path, clip: Tensor, threads: int) -> Callable[[], Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(folder / "video.onnx"), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"clip": clip.numpy()})


def candidates(folder: Path, threads: int) -> dict[str, Candidate]:
    models: dict[str, Candidate] = {}

    def add(
        name: str, tower: nn.Module, text: int, clip: Tensor, run: Callable[[], Any] | None = None
    ) -> None:
        models[name] = candidate(tower.eval(), text, clip, run or (lambda: tower(clip)))

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
        runs = (None, None, onnx_run(folder / name, clip, threads))
        for form, part, run in zip(FORMS, (model, folded, folded), runs, strict=True):
            add(f"{name}, {form}", part.video, size(part.text), clip, run)
        add(f"MobileCLIP {name}, mean", frames.video, size(frames.text), clip)
    plain = open_clip.create_model("ViT-B-32", load_weights=False)
    pictures = torch.rand(FRAMES, 3, 224, 224)
    text = size(plain) - size(plain.visual)
    add("ViT-B/32, mean", plain.visual, text, pictures, lambda: plain.visual(pictures).mean(0))
    clip = torch.rand(1, FRAMES, 3, 224, 224)
    add("InternVideo2-S14 stand-in", StandIn(384, 12, 6), bert(768, 12, 12), clip)
    add("InternVideo2-L14 stand-in", StandIn(1024, 24, 16), bert(1024, 24, 16), clip)
    return models


@torch.inference_mode()
def measure(models: dict[str, Candidate], repeat: int) -> dict[str, float]:
    best = dict.fromkeys(models, np.inf)
    for turn in range(repeat + 1):
        for name, model in models.items():
            started = time.process_time()
            model.run()
            if turn:  # the first turn warms up
                best[name] = min(best[name], time.process_time() - started)
    return best


def report(models: dict[str, Candidate], seconds: dict[str, float]) -> None:
    small = [f"small, {form}" for form in FORMS]
    print(f"{'':28}{'M parameters':^18}{'multiply-adds':^24}{'CPU':>8}{'times of small':^36}")
    print(f"{'':28}{'tower':>8}{'with text':>10}{'G':>8}{'to small':>9}{'G/s':>7}{'ms':>8}", end="")
    print("".join(f"{form:>14}" for form in FORMS))
    for name, model in models.items():
        print(
            f"{name:28}{model.tower / 1e6:8.1f}{model.total / 1e6:10.1f}{model.operations / 1e9:8.1f}"
            f"{model.operations / models[small[1]].operations:9.2f}"
            f"{model.operations / 1e9 / seconds[name]:7.0f}"
            f"{1e3 * seconds[name]:8.0f}"
            + "".join(f"{seconds[name] / seconds[form]:13.2f}x" for form in small)
        )
    for name in ("tiny", "small"):
        folded = seconds[f"{name}, folded"]
        print(
            f"{name}: folded / training form {folded / seconds[f'{name}, training form']:.2f}, "
            f"ONNX Runtime / folded {seconds[f'{name}, ONNX Runtime'] / folded:.2f}, "
            f"folded / frame by frame {folded / seconds[f'MobileCLIP {name}, mean']:.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        models = candidates(Path(folder), options.threads)
        seconds = measure(models, options.repeat)
    print(f"\n{FRAMES} frames, {options.threads} thread(s), best of {options.repeat}")
    report(models, seconds)


if __name__ == "__main__":
    main()
