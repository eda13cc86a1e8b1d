"""What the log says of trainings."""

from __future__ import annotations

from moclip_lite.experiment.stages import _summary, _validation
from moclip_lite.streams import Stream
from moclip_lite.training.loop import FitResult


def test_validation_figures_are_called_what_they_are() -> None:
    """The networks of motion weigh classes alike, heads do not."""
    result = FitResult(1, 54.2, 0.9, [{}, {}, {}], 3.0)
    measure = Stream.MOTION.validation_measure
    assert _summary("motion_selection", result, measure) == (
        "motion_selection: 54.2 % on validation, mean over classes (epoch 2 of 3), 3 s"
    )
    assert _validation(result, Stream.FUSION.validation_measure) == " (54.2 % on validation, top-1)"
    assert _summary("motion", FitResult(history=[{}]), measure) == (
        "motion: trained 1 epochs without validation, 0 s"
    )
