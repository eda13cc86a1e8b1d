"""``moclip zero-shot``: class names alone, on a data set, on files, or over the time of long videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from mv_tools.urls import spelled

from ..predict.prediction import ranking_as_list
from .batch import end_batch, files_of, refusal
from .configuration import experiment_of, named_settings, session_of
from .console import print_failures, print_json, print_table
from .options import Cache, Json, Pretrained, Quiet, Segments, SegmentTable, Sets, WeightsOf
from .segment_files import SegmentOutputs
from .timeline import label_segments

if TYPE_CHECKING:
    from ..experiment.session import Session

__all__ = ["zero_shot"]


Sources: TypeAlias = Annotated[
    list[Path], typer.Argument(help="A data set (see run), or video files with --labels.")
]
Labels: TypeAlias = Annotated[
    str | None, typer.Option(help="Free-text labels for files, separated by commas.")
]
Label: TypeAlias = Annotated[
    list[str] | None, typer.Option("--label", help="One label, which may contain commas. Repeatable.")
]
LabelsFile: TypeAlias = Annotated[
    Path | None, typer.Option("--labels-file", help="Text file with one label per line.")
]
Prompts: TypeAlias = Annotated[
    Path | None, typer.Option(help="clip.prompts: YAML of templates and paraphrases.")
]
Model: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="clip.model: an open_clip model, mobileviclip-tiny or -small "
        "(timm and torchvision have no text).",
    ),
]
TopK: TypeAlias = Annotated[int, typer.Option("--top-k", "-k", min=1, help="Labels per file.")]
Window: TypeAlias = Annotated[float | None, typer.Option(help="--segments: seconds of a window; else 10.")]
Threshold: TypeAlias = Annotated[
    float | None, typer.Option(help="--segments: least probability of a label, 0 to 1; else 0.4.")
]
Strip: TypeAlias = Annotated[
    Path | None, typer.Option(help="--segments: draw labels and pictures (.png or .html).")
]


def zero_shot(
    sources: Sources,
    labels: Labels = None,
    label: Label = None,
    labels_file: LabelsFile = None,
    sets: Sets = None,
    prompts: Prompts = None,
    model: Model = None,
    pretrained: Pretrained = None,
    weights_of: WeightsOf = None,
    cache: Cache = None,
    top_k: TopK = 5,
    json: Json = False,
    quiet: Quiet = False,
    segments: Segments = False,
    window: Window = None,
    threshold: Threshold = None,
    csv: SegmentTable = None,
    strip: Strip = None,
) -> None:
    """Classify by class names alone: compare frames with sentences, without training.

    Example: moclip zero-shot clip.mp4 --labels "a person diving, a person cooking"

    Example: moclip zero-shot long.mp4 --labels "diving, cooking" --model mobileviclip-small --segments
    """
    times = {"window": window, "threshold": threshold}
    named = {"clip.prompts": prompts, "clip.model": model}
    named |= named_settings(pretrained=pretrained, weights_of=weights_of, cache=cache)
    names = _labels(labels, label, labels_file)
    if names:
        session = session_of(experiment_of(None, sets, named), quiet)
        if segments:
            outputs = SegmentOutputs(csv=csv, strip=strip)
            _zero_shot_segments(session, sources, names, times, outputs, json)
            return
        _zero_shot_files(session, sources, names, top_k, json)
        return
    if segments:
        raise typer.BadParameter("--segments needs --labels, such as --labels 'diving, cooking'")
    if len(sources) != 1:
        raise typer.BadParameter("several files need --labels; without it one data set is expected")
    features: dict[str, Any] = {}
    if sources[0].is_file() and sources[0].suffix.lower() == ".safetensors":
        features = {"data.kind": "features", "data.root": sources[0]}
    elif sources[0].is_file() and sources[0].suffix.lower() not in (".yaml", ".yml"):
        raise typer.BadParameter("a video file needs --labels, such as --labels 'diving, cooking'")
    source = None if features else sources[0]
    forced = ("run.streams=[zero_shot]",)
    session = session_of(experiment_of(source, sets, {**features, **named}, forced), quiet)
    _zero_shot_dataset(session, json)


def _zero_shot_segments(
    session: Session,
    files: list[Path],
    names: list[str],
    times: dict[str, float | None],
    outputs: SegmentOutputs,
    json: bool,
) -> None:
    from ..timeline.zero_shot import ZeroShotModel

    paths, refused = files_of(files)
    outputs.check(paths)
    model = ZeroShotModel(session, names)
    end_batch([*refused, *label_segments(model, paths, times, outputs, session.reporter, json)])


def _zero_shot_dataset(session: Session, json: bool) -> None:
    from ..experiment.zero_shot import zero_shot_dataset
    from ..results.metrics import plain
    from ..streams import Stream

    metrics = zero_shot_dataset(session)
    scores = metrics.streams[Stream.ZERO_SHOT]
    if json:
        print_json(plain(scores) | {"failures": list(metrics.failures)})
        return
    low, high = scores.ci95
    columns = {
        "top-1 %": f"{scores.top1:.1f}",
        "95 % interval": f"{low:.1f} to {high:.1f}",
        "macro %": f"{scores.macro:.1f}",
    }
    if len(session.labels) > 5:  # else every answer is among the five
        columns["top-5 %"] = f"{scores.top5:.1f}"
    columns["clips"] = str(scores.n)
    clip = session.experiment.clip
    title = f"zero-shot, {clip.model} ({clip.pretrained})"
    if session.feature_file is not None:
        title = f"zero-shot, features of {session.experiment.data.root}"
    print_table(title, list(columns), [list(columns.values())])
    print_failures(metrics.failures)


def _labels(joined: str | None, single: list[str] | None, file: Path | None) -> list[str]:
    """Labels of the three options together; [] if none was given."""
    from ..datasets.prompts import readable
    from ..storage.names import is_blank

    if joined is None and single is None and file is None:
        return []
    names = [name.strip() for name in [*(joined or "").split(","), *(single or [])] if name.strip()]
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise typer.BadParameter(f"{file} is not a text file") from error
        names += [line.strip() for line in lines if line.strip()]
    plain = [readable(name).casefold() for name in names]
    if blank := [name for name, words in zip(names, plain, strict=True) if is_blank(words)]:
        raise typer.BadParameter(f"the label {blank[0]!r} has no words; say what to look for")
    repeated = [name for name, key in zip(names, plain, strict=True) if plain.count(key) > 1]
    if repeated:
        words = " and ".join(map(repr, dict.fromkeys(repeated)))
        raise typer.BadParameter(f"the label {words} is given twice")
    if len(names) < 2:
        raise typer.BadParameter(
            "at least two labels are needed: --labels 'diving, cooking', --label or --labels-file"
        )
    return names


def _zero_shot_files(session: Session, files: list[Path], names: list[str], top_k: int, json: bool) -> None:
    from ..experiment.zero_shot import zero_shot_file

    paths, refused = files_of(files)
    session.encoder.require_text()
    session.prompts.check(names).refuse_shared(names)
    _ = session.encoder.lazy.encoder  # an unavailable model is refused before the first file
    answers = []
    for path in paths:
        try:
            answers.append((path, zero_shot_file(session, path, names)[:top_k]))
        except Exception as error:
            refused.append(refusal(path, error))
    _print_ranked(answers, json)
    end_batch(refused)


def _print_ranked(answers: list[tuple[Path, list[tuple[str, float]]]], json: bool) -> None:
    if json:
        print_json(
            [{"path": spelled(path), "predictions": ranking_as_list(ranking)} for path, ranking in answers]
        )
        return
    for path, ranking in answers:
        print_table(spelled(path), ["label", "%"], [[name, f"{100 * score:.1f}"] for name, score in ranking])
