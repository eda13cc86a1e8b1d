"""Time per 8-frame clip of MobileViCLIP and of what it is compared with, in one run on this CPU.

    python benchmarks/mobileviclip.py [--threads 1] [--repeat 3]

All weights are random. Least CPU seconds of the repeats, which take turns, so that a busy machine slows
all alike. Multiply-adds of matrix products and convolutions are counted while a clip passes through. MobileCLIP stands
for the same image model frame by frame, folded, and the mean. "With text" adds the text tower, which no clip
passes through.

The stand-ins of InternVideo2 have the published towers' shape: vision transformers of S (384 wide, 12 layers, 6 heads)
and L (1024, 24, 16) with 14-pixel patches on 8 frames of 224 x 224, attention over all 2,048 patches and a
class token at once, attention pooling to 768 and a projection to 512. Their norms of queries and keys and their layer scales
are left out, which spares them time. With these towers the published totals, 133 and 644 M, fit text
towers of BERT's base and large size, which are counted here.

The paper's ratios to small, 6.7 and 55, are of a tablet. A CPU does 45 to 60 G multiply-adds a second with small and
with plain transformers alike, so that time goes by the table's column of multiply-adds: S14 needs 1.3 times
small's, L14 13 times.
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
    """Parameters of the tower that clips pass through and of the whole model, multiply-adds, one pass."""

    tower: int
    whole: int
    operations: int
    run: Callable[[], Any]


class StandIn(nn.Module):
    """InternVideo2's video tower: float32 [B, 8, 3, 224, 224] -> [B, 512]."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.trunk = VisionTransformer(
            img_size=(FRAMES * 224, 224), patch_size=14, embed_dim=width, depth=depth, num_heads=heads,
            qkv_bias=False, final_norm=False, global_pool="", num_classes=0,
        )  # fmt: skip
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(3)])
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.pooled = nn.Linear(width, 768)
        self.project = nn.Sequential(nn.LayerNorm(768), nn.Linear(768, 512))

    def forward(self, clip: Tensor) -> Tensor:
        # Frames below one another are one tall picture: attention over space and time jointly.
        tokens = self.trunk(clip.transpose(1, 2).flatten(2, 3))
        mean = tokens.mean(1, keepdim=True)
        layers = zip((self.query, self.key, self.value), self.norms, (mean, tokens, tokens), strict=True)
        parts = [layer(norm(x)).unflatten(-1, (16, -1)).transpose(1, 2) for layer, norm, x in layers]
        out: Tensor = functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(1)
        return self.project(self.pooled(out))


def bert(width: int, depth: int, heads: int) -> int:
    """Parameters of a text tower of BERT's shape: 30,522 pieces, 512 positions, two segments, a pooler."""
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
    found: dict[str, Candidate] = {}

    def add(
        name: str, tower: nn.Module, text: int, clip: Tensor, run: Callable[[], Any] | None = None
    ) -> None:
        found[name] = candidate(tower.eval(), text, clip, run or (lambda: tower(clip)))

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
    return found


@torch.inference_mode()
def measure(found: dict[str, Candidate], repeat: int) -> dict[str, float]:
    best = dict.fromkeys(found, np.inf)
    for turn in range(repeat + 1):
        for name, one in found.items():
            started = time.process_time()
            one.run()
            if turn:  # the first warms up
                best[name] = min(best[name], time.process_time() - started)
    return best


def report(found: dict[str, Candidate], seconds: dict[str, float]) -> None:
    small = [f"small, {form}" for form in FORMS]
    print(f"{'':28}{'M parameters':^18}{'multiply-adds':^24}{'CPU':>8}{'times of small':^36}")
    print(f"{'':28}{'tower':>8}{'with text':>10}{'G':>8}{'to small':>9}{'G/s':>7}{'ms':>8}", end="")
    print("".join(f"{form:>14}" for form in FORMS))
    for name, one in found.items():
        print(
            f"{name:28}{one.tower / 1e6:8.1f}{one.whole / 1e6:10.1f}{one.operations / 1e9:8.1f}"
            f"{one.operations / found[small[1]].operations:9.2f}{one.operations / 1e9 / seconds[name]:7.0f}"
            f"{1e3 * seconds[name]:8.0f}"
            + "".join(f"{seconds[name] / seconds[form]:13.2f}x" for form in small)
        )
    for name in ("tiny", "small"):
        own = seconds[f"{name}, folded"]
        print(
            f"{name}: folded / training form {own / seconds[f'{name}, training form']:.2f}, "
            f"ONNX Runtime / folded {seconds[f'{name}, ONNX Runtime'] / own:.2f}, "
            f"folded / frame by frame {own / seconds[f'MobileCLIP {name}, mean']:.2f}"
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
        found = candidates(Path(folder), options.threads)
        seconds = measure(found, options.repeat)
    print(f"\n{FRAMES} frames, {options.threads} thread(s), best of {options.repeat}")
    report(found, seconds)


if __name__ == "__main__":
    main()
