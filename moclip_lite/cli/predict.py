"""``moclip predict``: label local files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from ..storage.names import printable
from .console import ConsoleReporter, err, explain, print_json, print_table
from .options import Json, Pretrained, Sets, overrides_of

__all__ = ["end_batch", "files_of", "predict", "refusal"]

Refusal: TypeAlias = tuple[Path, str]
"""A file or folder that got no answer, and why."""


def files_of(paths: Sequence[Path]) -> tuple[list[Path], list[Refusal]]:
    """The files that are named and the videos below the folders that are named, and what could not be listed.

    Raises:
        FileNotFoundError: a folder without videos.
    """
    from ..datasets import find_videos

    files: list[Path] = []
    refused: list[Refusal] = []
    for path in paths:
        if not _is_folder(path):
            files.append(path)
            continue
        found = find_videos(path)
        if not found.videos and not found.unread:
            raise FileNotFoundError(
                2, "; ".join(("this folder holds no video files", *found.notes())), str(path)
            )
        files += found.videos
        refused += [(folder, f"{folder}: {reason}") for folder, reason in found.unread]
    return files, refused


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file can have: told of when it is read
        return False


def refusal(path: Path, error: Exception) -> Refusal:
    """A file that got no answer, and why; call it in ``except Exception`` around the work on one file of several.

    Raises:
        MoclipError, ArgumentError: `error` itself, where it is no matter of one file.
    """
    from ..datasets.clip_errors import CLIP_ERRORS, problem_of

    reason = problem_of(printable(str(path)), error)
    if isinstance(error, CLIP_ERRORS):
        reason = explain(error)
    named = printable(str(path)) in printable(reason)
    return path, reason if named else f"{path}: {reason}"


def end_batch(refused: Sequence[Refusal]) -> None:
    """Say which files got no answer, and why.

    Raises:
        typer.Exit: there are any; exit code 2.
    """
    for _, reason in refused:
        err.print(f"moclip: {printable(reason)}", markup=False, style="red")
    if refused:
        raise typer.Exit(2)


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
    from ..predict.classifier import Classifier

    reporter = ConsoleReporter()
    paths, failed = files_of(files)
    overrides = [*(sets or []), *overrides_of({"clip.pretrained": pretrained})]
    classifier = Classifier.load(model, device=device, overrides=overrides)
    for warning in classifier.warnings:
        reporter.warn(warning)
    answers = []
    for done, path in enumerate(paths, start=1):
        try:
            answers.append(classifier.explain(path, top_k))
        except Exception as error:
            failed.append(refusal(path, error))
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
    end_batch(failed)
