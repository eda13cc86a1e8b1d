"""Names of objects at URLs, and errors that concern a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moclip_lite.storage.objects import ObjectFolder
from mv_tools import ArgumentError
from mv_tools.urls import (
    AccessRefused,
    NoSuchBucket,
    ServerFailure,
    file_system,
    name_below,
    reported,
    url_below,
)

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def objects() -> Iterator[ObjectFolder]:
    yield ObjectFolder("memory://names")
    fsspec.filesystem("memory").rm("/names", recursive=True)


def test_two_colons_in_a_name_begin_no_other_url(objects: ObjectFolder) -> None:
    for name in ("a::b.mp4", "s3::c/d e#1.mp4"):
        objects.write(name, name.encode())
        assert objects.read(name) == name.encode()
    assert objects.names() == ["a::b.mp4", "s3::c/d e#1.mp4"]
    assert objects.path_of("a::b.mp4") == Path("memory:/names/a::b.mp4")


def test_names_of_object_stores_stand_in_their_urls_as_they_are() -> None:
    pytest.importorskip("s3fs")
    url = url_below("s3://bucket/x/", "a::b%20c #1.mp4")
    assert (url, file_system(url)[1]) == ("s3://bucket/x/a::b%20c #1.mp4", "bucket/x/a::b%20c #1.mp4")
    assert name_below("s3://bucket/x", "a%20b") == "a%20b"
    assert url_below("https://host/x", "a b#1/c%.mp4") == "https://host/x/a%20b%231/c%25.mp4"


@pytest.mark.parametrize(
    ("folder", "rest"), [("s3://bucket", "a?versionId=x.mp4"), ("https://host/x", "a%2Fb.mp4")]
)
def test_a_name_that_would_be_another_objects_is_refused(folder: str, rest: str) -> None:
    with pytest.raises(ArgumentError, match=r"give the object another name"):
        name_below(folder, rest)


def test_an_object_is_not_written_under_the_beginning_of_its_name() -> None:
    pytest.importorskip("s3fs")
    for act in (ObjectFolder("s3://bucket").write, ObjectFolder("s3://bucket").create):
        with pytest.raises(ArgumentError, match=r"s3://bucket/a\?versionId=x\.mp4: "):
            act("a?versionId=x.mp4", b"x")


def test_a_bucket_of_an_impossible_name_is_told() -> None:
    """Servers say no more than HTTP 400 of it where one object is asked for."""
    for url, words in (("s3://b/x.mp4", "no bucket can have this name"), ("s3://bucket/x", "HTTP 400")):
        error = OSError(22, "Bad Request")
        error.__cause__ = _Answer("400", 400)
        with pytest.raises(ServerFailure, match=words), reported(url):
            raise error


class _Answer(Exception):
    def __init__(self, code: str, status: int = 0) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


@pytest.mark.parametrize(
    ("error", "code", "kind", "words"),
    [
        (FileNotFoundError("x"), "NoSuchBucket", NoSuchBucket, "there is no such bucket"),
        (OSError(22, "Bad Request"), "InvalidBucketName", ServerFailure, "no bucket can have this name"),
        (PermissionError("x"), "AccessDenied", AccessRefused, "access is refused"),
    ],
)
def test_what_is_wrong_with_a_bucket_is_said_of_a_list(
    objects: ObjectFolder,
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
    code: str,
    kind: type[OSError],
    words: str,
) -> None:
    error.__cause__ = _Answer(code)

    def refuse(*_: Any, **__: Any) -> Any:
        raise error

    objects.write("a", b"a")
    monkeypatch.setattr(objects._system, "ls", refuse)
    with pytest.raises(kind, match=f"{words}.*memory://names"):
        objects.names()
