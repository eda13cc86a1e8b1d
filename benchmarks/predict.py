"""CPU time of a prediction, start-up aside, against full decoding with PyAV and open_clip on 8 frames, on one thread.

    python benchmarks/predict.py --clips DIR [--run RUN] [--shares RUN] [--rounds 3]

DIR holds clips in class folders. RUN is a finished run with motion and fusion; without one, a run folder with the default recipe (6 views of 16 windows of motion, ViT-B/32 with random weights on 4 frames) is
trained for an epoch in a temporary folder: its answers mean nothing, its cost is that of any run. Each clip is
predicted by PyTorch, by ONNX Runtime, and by ONNX Runtime with the image encoder in int8: with all frames, and with
the cascade stopped after motion and after one frame.
``--shares RUN`` takes the shares of clips that end there from RUN/cascade.json, which validation clips gave, and
prints the mean cost with that cascade. The peer decodes all pictures of the same clips and encodes 8 of them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["OMP_NUM_THREADS"] = "1"

import av
import numpy as np
import open_clip
import torch
from PIL import Image

from moclip_lite import Classifier
from moclip_lite.cli import main as moclip
from moclip_lite.datasets.walk import find_videos
from moclip_lite.export.int8 import export_int8
from moclip_lite.predict.measure import measure_prediction
from moclip_lite.results.cascade import NEVER, Cascade, read_cascade

_FRAMES = 8


def full_decode_and_clip(
    network: torch.nn.Module, preprocess: Callable[[Image.Image], torch.Tensor]
) -> Callable[[Path], None]:
    """The peer: all pictures decoded, 8 of them encoded."""

    @torch.inference_mode()
    def predict(path: Path) -> None:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            frames = list(container.decode(stream))
        chosen = np.linspace(0, len(frames) - 1, _FRAMES).round().astype(int)
        network.encode_image(torch.stack([preprocess(frames[i].to_image()) for i in chosen]))

    return predict


def cpu_ms(predict: Callable[[Path], object], clips: list[Path], rounds: int) -> float:
    """Mean over the clips of the least CPU time of a few rounds, in milliseconds."""
    predict(clips[0])  # loads what is loaded on first use
    least = []
    for clip in clips:
        seconds = []
        for _ in range(rounds):
            started = time.process_time()
            predict(clip)
            seconds.append(time.process_time() - started)
        least.append(min(seconds))
    return 1000 * float(np.mean(least))


def stages(run: Path, clips: list[Path]) -> dict[str, float]:
    """CPU time of each stage with the image encoder in int8, in milliseconds."""
    found = measure_prediction(Classifier.load(run, device="cpu", engine="onnx-int8"), clips, len(clips))
    return {} if found is None else dict(found.cpu_ms)


def train(clips: Path, folder: Path) -> Path:
    """A run folder with the default recipe."""
    recipe = Path(__file__).parents[1] / "experiments" / "folder.yaml"
    quick = ("train_motion.epochs=1", "train_head.epochs=1", "clip.pretrained=none", "run.workers=1")
    places = (f"data.root={clips}", f"run.dir={folder / 'run'}", f"cache.dir={folder / 'cache'}")
    words = [word for value in (*quick, *places) for word in ("--set", value)]
    if moclip(["run", str(recipe), *words]):
        raise SystemExit("the run failed")
    return folder / "run"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True, help="folder of class folders")
    parser.add_argument("--run", type=Path, help="a run folder with motion and fusion, which is copied")
    parser.add_argument("--rounds", type=int, default=3, help="passes over each clip; the least time counts")
    parser.add_argument("--shares", type=Path, help="a run folder with cascade.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips = find_videos(options.clips).videos
    network, _, preprocess = open_clip.create_model_and_transforms("ViT-B-32")
    with TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        if options.run is None:
            train(options.clips, Path(folder))
        else:
            shutil.copytree(options.run, run)
        peer = cpu_ms(full_decode_and_clip(network.eval(), preprocess), clips, options.rounds)
        print(f"{len(clips)} clips; CPU ms a clip, one thread, least of {options.rounds}, start-up aside")
        print(f"{'PyAV, all pictures + open_clip ViT-B/32 on 8':48} {peer:7.0f}")
        cost = {}
        chosen = Classifier.load(run, device="cpu")  # before int8 is forced for the rows below
        print(
            f"by default this run answers with {chosen.engine.name}: {chosen.engine.why or chosen.engine_note}"
        )
        export_int8(run)
        for engine in ("torch", "onnx", "onnx-int8"):
            classifier = Classifier.load(run, device="cpu", engine=engine)
            cost[engine] = cpu_ms(classifier.explain, clips, options.rounds)
            print(
                f"{f'predict, all 4 frames ({engine})':48} {cost[engine]:7.0f}  {peer / cost[engine]:4.1f} x less"
            )
        for stage, ms in stages(run, clips).items():
            print(f"{f'  onnx-int8, {stage}':48} {ms:7.0f}")
        for name, thresholds in {"motion": (1e-6, NEVER), "one frame": (NEVER, 1e-6)}.items():
            Cascade(*thresholds, 1, 0, 0, 0, 0).write(run / "cascade.json")
            classifier = Classifier.load(run, device="cpu", engine="onnx-int8")
            cost[name] = cpu_ms(
                lambda clip, c=classifier: c.explain(clip, cascade=True), clips, options.rounds
            )
            print(
                f"{f'predict --cascade, stopped after {name}':48} {cost[name]:7.0f}  {peer / cost[name]:4.1f} x less"
            )
    cascade = read_cascade(options.shares / "cascade.json") if options.shares else None
    if cascade is not None:
        rest = 1 - cascade.by_motion - cascade.by_one_frame
        wasted = cost["one frame"] - cost["motion"] if cascade.one_frame < NEVER else 0.0
        mean = cascade.by_motion * cost["motion"] + cascade.by_one_frame * cost["one frame"]
        mean += rest * (cost["onnx-int8"] + wasted)
        print(
            f"{f'predict --cascade, shares of {options.shares.name}':48} {mean:7.0f}  {peer / mean:4.1f} x less"
        )
        print(cascade.words)


if __name__ == "__main__":
    main()
