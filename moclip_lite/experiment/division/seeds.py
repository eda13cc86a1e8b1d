"""The folds of an experiment: one division per seed, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...appearance.pooling import LONGER
from ...appearance.settings import no_text
from ...datasets import Fold, VideoDataset
from ...datasets.fold_checks import checked
from ...datasets.settings import DataSettings
from ...errors import ConfigError
from ...fusion.registry import NEED_TEXT
from ...progress import Reporter
from ...storage.cache import FeatureCache
from ...streams import Source, Stream
from ..config import Experiment
from ..inputs.feature_file import FeatureFile
from .folds import divide, divide_features, division_of, keeps_division

__all__ = ["check_folds", "divide_by_seeds", "refuse_missing_text", "refuse_pooling", "trains", "words_of"]


def trains(experiment: Experiment) -> bool:
    """Whether anything is trained: zero-shot alone is not."""
    return set(experiment.run.streams) != {"zero_shot"}


def divide_by_seeds(
    experiment: Experiment, dataset: VideoDataset, file: FeatureFile | None, cache: FeatureCache
) -> list[Fold]:
    """The divisions of each seed of the run.

    Args:
        experiment: the configuration.
        dataset: the clips.
        file: their features, where these take the place of videos.
        cache: where divisions are kept.

    Raises:
        ConfigError, DataError: see :func:`divide` and :func:`divide_features`.
    """
    data = experiment.data
    if file is not None:  # shards of features are divided as a file of them
        data = data.model_copy(update={"kind": "features"})
    elif not trains(experiment):  # then there is nothing to choose on validation clips
        data = data.model_copy(update={"val_fraction": 0.0})
    seeds, folds = experiment.run.all_seeds, []
    for seed in seeds:
        if file is None:
            divided = divide(dataset, data, seed, cache)
        else:
            divided = divide_features(replace(file, dataset=dataset), data, seed, cache)
        folds += [fold.repeated(seed) for fold in divided] if len(seeds) > 1 else divided
    return folds


def check_folds(
    folds: list[Fold],
    dataset: VideoDataset,
    file: FeatureFile | None,
    data: DataSettings,
    digests: Mapping[str, str],
    reporter: Reporter,
) -> list[Fold]:
    """Folds with notes on what is unusual about them, which are reported.

    Args:
        folds: to check.
        dataset: their clips.
        file: their features, where these take the place of videos.
        data: the settings they were made with.
        digests: clip name -> digest of its content, as far as known.
        reporter: told the notes.

    Raises:
        DataError: copies of a clip, or overlapping segments, on two sides of a split.
    """
    own = division_of(file) if file is not None and keeps_division(file, data) else {}
    by_lists = data.kind == "ucf101" or bool(dataset.official) if file is None else bool(own)
    share = 0.0 if by_lists or data.protocol == "official" else data.test_fraction
    asked = None if own.get("protocol", data.protocol) in ("leave-one-group-out", "kfold") else share
    shared = data.shared_groups
    folds = [checked(fold, dataset.labels, digests, test_fraction=asked, shared=shared) for fold in folds]
    for fold in folds:
        for note in fold.notes:
            reporter.warn(f"fold {fold.name}: {note}")
    return folds


def words_of(file: FeatureFile, data: DataSettings, seed: int) -> str:
    """How a file of features is divided, as a sentence; "" if it does not know, or is divided anew."""
    if file.origin is None or not file.origin.division or not keeps_division(file, data):
        return ""
    settings = ", ".join(f"{name} {value}" for name, value in file.origin.division.items())
    return (
        f"{file.dataset.shown}: divided as its features were made ({settings}); "
        f"run.seed {seed} is for the heads"
    )


def refuse_pooling(experiment: Experiment) -> None:
    """Refuse to compare pooled features with text where the lengths differ.

    Raises:
        ConfigError: they do.
    """
    pooling = experiment.clip.pooling
    if _text_heads(experiment) and pooling in LONGER:
        raise ConfigError(
            f"fusion.head={experiment.fusion.head} compares frames with text, and clip.pooling={pooling} "
            "gives vectors of another length; take clip.pooling=head, mean, max or motion"
        )


def refuse_missing_text(experiment: Experiment) -> None:
    """Refuse zero-shot and heads that start from text; call it where the image encoder has no text.

    Raises:
        ConfigError: such a stream is asked for.
    """
    own = experiment.data.appearance
    reason = no_text(experiment.clip.model) if own is None else f"data.appearance={own} holds no text"
    if "zero_shot" in experiment.run.streams:
        raise ConfigError(f"run.streams asks for zero-shot; {reason}")
    if _text_heads(experiment):
        raise ConfigError(f"fusion.head={experiment.fusion.head} starts from text; {reason}")


def _text_heads(experiment: Experiment) -> set[str]:
    """Heads of the streams that are asked for which start from text."""
    streams = experiment.run.streams
    asked = [stream for stream in Stream if stream in streams and Source.ENCODER in stream.sources]
    return {experiment.head_of(stream) for stream in asked}.intersection(NEED_TEXT)
