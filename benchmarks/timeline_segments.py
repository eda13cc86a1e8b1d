"""Timelines of generated long videos against their annotations, by the demo's model.

    python benchmarks/timeline_segments.py --model demo/run --out long [--seeds 2 3] [--frames 24 96] [--gap 12 60]

Each video shows every class of `make demo` twice, in random order, with gaps in which nothing moves. Videos and their
tables stay in the folder --out: `moclip evaluate RUN --segments long/2.csv` gives the same figures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from long_videos import LongSpec, generate_long

from moclip_lite import Classifier
from moclip_lite.timeline.evaluate import TimedLabel, evaluate_timelines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--rounds", type=int, default=2, help="how often each class occurs")
    parser.add_argument(
        "--frames", type=int, nargs=2, default=(24, 96), help="least and greatest length of a clip"
    )
    parser.add_argument("--gap", type=int, nargs=2, default=(12, 60), help="the same of gaps")
    options = parser.parse_args()
    classifier = Classifier.load(options.model)
    for seed in options.seeds:
        path = options.out / f"{seed}.mp4"
        lengths = {"frames": tuple(options.frames), "gap": tuple(options.gap)}
        video = generate_long(path, LongSpec(seed=seed, rounds=options.rounds, **lengths))
        truth = [TimedLabel(str(path), *segment) for segment in video.segments]
        timeline = classifier.timeline(path)
        scores = evaluate_timelines([timeline], truth)
        means = ", ".join(
            f"{value:.1f} at {overlap:g}" for overlap, value in scores.average_precision.items()
        )
        error = "none matched" if scores.boundary_error is None else f"{scores.boundary_error:.2f} s"
        print(
            f"seed {seed}: {len(truth)} segments in {timeline.duration:.0f} s; mAP {means}; frame accuracy "
            f"{scores.time_accuracy:.1f} %; boundaries {error} (window {timeline.window:g} s); found {scores.found}"
        )


if __name__ == "__main__":
    main()
