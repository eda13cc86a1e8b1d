"""Commands in a light installation, all in one process: ``python -m support.light_commands FOLDER``.

Prints a JSON object: command line -> [exit code, stdout, stderr]. FOLDER holds what the lines name in braces.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

__all__ = ["ADVANCED", "BASIC"]

BASIC = (
    "--version",
    "--help",
    "mv probe {clip}",
    "mv probe {clip} --json",
    "mv extract {clip} -o {out}/motion.npz",
    "mv show {clip} -o {out}/motion.png",
    "dataset list {data}",
    "extract motion {data}",
    "cache info",
    "cache verify",
)
"""What ``pip install moclip-lite`` alone must do."""

ADVANCED = (
    "mv transcode {clip} {out}/again.mp4",
    "dataset prepare folder --root {data} --out {out}/prepared --recipe gop12",
    "dataset prepare synthetic --out {out}/clips",
    "extract clip {data}",
    "extract features {run} --out {out}/features.npz",
    "train motion {config} --root {data}",
    "train fusion {config} --root {data}",
    "train video-text {pairs} --out {out}/model.safetensors",
    "run {config} --root {data} --run-dir {out}/run",
    "evaluate {run}",
    "zero-shot {clip} --labels left,right",
    "predict {clip} --model {run}",
    "predict {clip} --model {run} --engine onnx",
    "predict {clip} --model {run} --segments",
    "ablate {grid} --root {data} --out {out}/grid",
    "tune {config} --root {data} --out {out}/tune",
    "pretrain {config} -o {out}/pretrained.safetensors",
    "demo --out {out}/demo",
    "index {data} --out {out}/index",
    "search turn --index {out}/index",
    "retrieval {pairs}",
    "pack {data} --out {out}/shards",
    "convert {weights} --out {out}/model.safetensors",
    "export {run} --out {out}/onnx",
    "compare {run} {other}",
    "pack {data} --out {out}/shards",
    "pull user/walks -o {out}/pulled",
    "push {run} user/walks",
    "serve --model {run} --port 0",
    "watch {clip} --model {run}",
)
"""What needs an extra: one sentence with the pip command, exit code 2."""


def main() -> None:
    from moclip_lite.cli import main as moclip

    folder = Path(sys.argv[1])
    places = {path.stem: path for path in folder.iterdir()}
    outcomes = {}
    for line in (*BASIC, *ADVANCED):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = moclip([word.format(**places) for word in line.split()])
        outcomes[line] = (code, out.getvalue(), err.getvalue())
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()
