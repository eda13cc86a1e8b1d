"""``moclip predict``: label local files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, cast

import typer

from ..storage.names import printable
from ..streams import Stream
from .console import ConsoleReporter, err, explain, print_json, print_table
from .options import Engine, Json, Pretrained, Sets, overrides_of

if TYPE_CHECKING:
    from ..engine.base import EngineName
    from ..predict.classifier import Prediction

__all__ = ["end_batch", "files_of", "predict", "ranking_as_list", "refusal"]

_COLUMNS: Final = (Stream.FUSION, Stream.MOTION, Stream.APPEARANCE)

Refusal: TypeAlias = tuple[Path, str]
"""A file or folder that got no answer, and why."""


def files_of(paths: Sequence[Path]) -> tuple[list[Path], list[Refusal]]:
    """The files that are named and the videos below the folders that are named, and what could not be listed.

    Raises:
        FileNotFoundError: a folder without videos.
    """
    from ..datasets.walk import find_videos

    files: list[Path] = []
    refused: list[Refusal] = []
    for path in paths:
        if not _is_folder(path):
            files.append(path)
            continue
        listing = find_videos(path)
        if not listing.videos and not listing.unread:
            raise FileNotFoundError(
                2, "; ".join(("this folder holds no video files", *listing.notes())), str(path)
            )
        files += listing.videos
        refused += [(folder, f"{folder}: {reason}") for folder, reason in listing.unread]
    return files, refused


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file can have: refused when it is read
        return False


def refusal(path: Path, error: Exception) -> Refusal:
    """A file that got no answer, and why; call it in ``except Exception`` around the work on one file.

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
    engine: Engine = "auto",
    pretrained: Pretrained = None,
    sets: Sets = None,
    json: Json = False,
) -> None:
    """Label video files with a trained model.

    A file that can't be read is reported and the others are labelled; the exit code is then 2.

    Example: moclip predict clip.mp4 holiday/ --model runs/x
    """
    from ..predict.classifier import Classifier

    reporter = ConsoleReporter()
    paths, refused = files_of(files)
    overrides = [*(sets or []), *overrides_of({"clip.pretrained": pretrained})]
    classifier = Classifier.load(model, device=device, overrides=overrides, engine=cast("EngineName", engine))
    if classifier.engine_note:
        reporter.say(classifier.engine_note)
    for warning in classifier.warnings:
        reporter.warn(warning)
    predictions = []
    for done, path in enumerate(paths, start=1):
        try:
            predictions.append(classifier.explain(path, top_k))
        except Exception as error:
            refused.append(refusal(path, error))
        reporter.progress("predict", done, len(paths))
    reporter.close()
    if json:
        print_json([_as_dict(prediction) for prediction in predictions])
    else:
        for prediction in predictions:
            _print_prediction(prediction)
    end_batch(refused)


def ranking_as_list(ranking: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    """A ranking for --json."""
    return [{"label": label, "score": score} for label, score in ranking]


def _as_dict(prediction: Prediction) -> dict[str, Any]:
    return {
        "path": prediction.path,
        "predictions": ranking_as_list(prediction.ranking),
        "stream": prediction.stream,
        "streams": {name: ranking_as_list(ranking) for name, ranking in prediction.streams.items()},
        "notes": prediction.notes,
        "seconds": prediction.seconds,
    }


def _print_prediction(prediction: Prediction) -> None:
    """Print a table with a column per stream."""
    shown = {str(name): prediction.streams[name] for name in _COLUMNS if name in prediction.streams}
    rows = [
        [
            str(place + 1),
            *(f"{ranking[place][0]} {100 * ranking[place][1]:.1f} %" for ranking in shown.values()),
        ]
        for place in range(len(prediction.ranking))
    ]
    title = f"{prediction.path}: {prediction.ranking[0][0]} ({prediction.seconds:.1f} s)"
    print_table(title, ["", *shown], rows)
    for note in prediction.notes:
        err.print(f"  {note}", markup=False)
