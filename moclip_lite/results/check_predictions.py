"""Tables of predictions against the metrics of their run: both are of the same tests."""

from __future__ import annotations

from ..errors import CheckpointError
from ..streams import Stream
from .read import Run
from .run_folder import RunFolder

__all__ = ["check_predictions"]


def check_predictions(run: Run, stream: Stream) -> None:
    """Refuse a stream's table of predictions that is not the one which its metrics were computed from.

    Args:
        run: a finished run.
        stream: one that it tested.

    Raises:
        CheckpointError: the table is missing, has more or fewer rows, or another accuracy.
    """
    folder = RunFolder(run.folder)
    path, scores = folder.predictions(stream), run.metrics.streams[stream]
    again = f"restore the file, or remove {folder.metrics} and let `moclip run {run.folder}` test again"
    rows = run.predictions.get(stream)
    if rows is None:
        raise CheckpointError(f"{path} is missing, and {folder.metrics.name} has scores of it; {again}")
    if len(rows) != scores.n:
        raise CheckpointError(
            f"{path} holds {len(rows)} of the {scores.n} clips that {folder.metrics.name} counts; {again}"
            if len(rows) < scores.n
            else f"{path} holds {len(rows)} clips, and {folder.metrics.name} counts {scores.n}; {again}"
        )
    right = sum(row.correct for row in rows.values())
    if abs(right - scores.top1 * scores.n / 100) > 0.5:
        raise CheckpointError(
            f"{path} has an accuracy of {100 * right / scores.n:.2f} %, "
            f"and {folder.metrics.name} says {scores.top1:.2f} %; {again}"
        )
