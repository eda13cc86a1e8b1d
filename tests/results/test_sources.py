"""Heads are used with the features that they were trained on, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from moclip_lite.errors import CheckpointError
from moclip_lite.results.fold_folder import FoldFolder
from moclip_lite.results.trained_on import check_sources
from moclip_lite.streams import Source, Stream
from moclip_lite.training.checkpoint import save_weights

PRESENT: dict[Source, str | None] = {Source.MOTION_NETWORK: "m" * 32, Source.ENCODER: "e" * 32}


def save(folder: FoldFolder, stream: Stream, *sources: Source) -> None:
    digests = {str(source.value): str(PRESENT[source]) for source in sources}
    save_weights(folder.weights(stream), nn.Linear(3, 2), ("jump", "run"), {"head": "film"}, digests)


@pytest.fixture
def folder(tmp_path: Path) -> FoldFolder:
    """A run folder with two heads."""
    folder = FoldFolder(tmp_path / "run")
    for stream in (Stream.FUSION, Stream.MOTION_HEAD):
        save(folder, stream, *stream.sources)
    return folder


def test_a_head_on_its_own_features_is_accepted(folder: FoldFolder) -> None:
    check_sources(folder, Stream.FUSION, PRESENT)
    other = {**PRESENT, Source.ENCODER: "other"}
    check_sources(folder, Stream.MOTION_HEAD, other)  # a source it does not look at
    check_sources(folder, Stream.FUSION, {})  # not known yet


@pytest.mark.parametrize(
    ("source", "digest", "message"),
    [
        (Source.MOTION_NETWORK, "other", r"trained on another motion network than .*motion\.safetensors"),
        (Source.MOTION_NETWORK, None, r"trained on a motion network that is missing \(.*motion\.safetensors"),
        (Source.ENCODER, "other", r"other CLIP weights.*--pretrained"),
        (Source.ENCODER, None, r"other CLIP weights.*--pretrained"),
    ],
)
def test_a_head_on_other_features_is_refused(
    source: Source, digest: str | None, message: str, folder: FoldFolder
) -> None:
    with pytest.raises(CheckpointError, match=message) as error:
        check_sources(folder, Stream.FUSION, {**PRESENT, source: digest})
    assert f"`moclip run {folder.path}` trains it again" in str(error.value)


@pytest.mark.parametrize("absent", list(Source))
def test_a_head_that_does_not_name_its_source_is_refused(absent: Source, folder: FoldFolder) -> None:
    save(folder, Stream.FUSION, *(source for source in Source if source is not absent))
    with pytest.raises(CheckpointError, match=f"does not say which {absent.words} it was trained on"):
        check_sources(folder, Stream.FUSION, PRESENT)


def test_the_message_names_the_run_of_a_fold(tmp_path: Path) -> None:
    folder = FoldFolder(tmp_path / "run" / "folds" / "p0")
    save(folder, Stream.FUSION)
    with pytest.raises(CheckpointError, match=f"`moclip run {tmp_path / 'run'}` trains"):
        check_sources(folder, Stream.FUSION, PRESENT)
