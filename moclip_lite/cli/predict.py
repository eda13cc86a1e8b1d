"""``moclip predict``: label local files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import ConsoleReporter, err, explain, print_json, print_table
from .options import Json, Pretrained, Sets, overrides_of

__all__ = ["predict"]


def _files(paths: list[Path]) -> list[Path]:
    from ..datasets import video_files

    found: list[Path] = []
    for path in paths:
        try:
            folder = path.is_dir()
        except OSError:  # a name that no file can have: reported when it is read
            folder = False
        if folder:
            inside = video_files(path)
            if not inside:
                raise FileNotFoundError(2, "this folder holds no video files", str(path))
            found += inside
        else:
            found.append(path)
    return found


def predict(
    files: Annotated[list[Path], typer.Argument(help="Video files, or folders of them.")],
    model: Annotated[Path, typer.Option("--model", "-m", help="A run folder.")],
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Labels per file.")] = 5,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    pretrained: Pretrained = None,
    sets: Sets = None,
    json: Json = False,
) -> None:
    """Label video files with a trained model.

    A file that can't be read is reported and the rest goes on; the exit code is then 2.

    Example: moclip predict clip.mp4 holiday/ --model runs/x
    """
    from ..errors import MoclipError
    from ..extract import CLIP_ERRORS, reason_of
    from ..predict import Classifier

    reporter = ConsoleReporter()
    paths = _files(files)
    overrides = [*(sets or []), *overrides_of({"clip.pretrained": pretrained})]
    classifier = Classifier.load(model, device=device, overrides=overrides)
    for warning in classifier.warnings:
        reporter.warn(warning)
    answers, failed = [], []
    for done, path in enumerate(paths, start=1):
        try:
            answers.append(classifier.explain(path, top_k))
        except MoclipError:
            raise  # of the model, not of the file
        except Exception as error:
            known = isinstance(error, CLIP_ERRORS)
            reason = explain(error) if known else f"{path}: {reason_of(error)}"
            failed.append({"path": str(path), "reason": reason})
        reporter.progress("predict", done, len(paths))
    reporter.close()
    if json:
        print_json(
            [
                {
                    "path": a.path,
                    "predictions": [{"label": label, "score": score} for label, score in a.ranking],
                    "stream": a.stream,
                    "streams": {
                        name: [{"label": label, "score": score} for label, score in ranking]
                        for name, ranking in a.streams.items()
                    },
                    "notes": a.notes,
                    "seconds": a.seconds,
                }
                for a in answers
            ]
        )
    else:
        for a in answers:
            streams = ["fusion", "motion", "appearance"]
            shown = [name for name in streams if name in a.streams]
            rows = [
                [
                    str(i + 1),
                    *(f"{a.streams[name][i][0]} {100 * a.streams[name][i][1]:.1f} %" for name in shown),
                ]
                for i in range(len(a.ranking))
            ]
            print_table(f"{a.path}: {a.ranking[0][0]} ({a.seconds:.1f} s)", ["", *shown], rows)
            for note in a.notes:
                err.print(f"  {note}", markup=False)
    for row in failed:
        err.print(f"moclip: {row['reason']}", markup=False, style="red")
    if failed:
        raise typer.Exit(2)
