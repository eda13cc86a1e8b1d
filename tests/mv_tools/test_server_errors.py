"""Which answers of a server are about one object, and which about all that lies there."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from mv_tools.remote import RemoteFile
from mv_tools.server_errors import (
    AccessRefused,
    Answers,
    ObjectDenied,
    ObjectFault,
    ObjectRefused,
    ServerFailure,
)
from mv_tools.urls import reported

from support.http_files import http_files

URLS = [f"http://server/{number}.mp4" for number in range(16)]


def outcomes(answers: Answers, kind: type[ObjectRefused], urls: list[str]) -> list[type[ServerFailure]]:
    return [type(answers.refuse(kind(errno.EACCES, "access is refused", url), url)) for url in urls]


def test_the_first_objects_are_all_refused() -> None:
    assert outcomes(Answers(), ObjectDenied, URLS) == [ObjectDenied] * 15 + [AccessRefused]
    assert outcomes(Answers(), ObjectDenied, URLS[:1] * 20) == [ObjectDenied] * 20  # one object


def test_objects_of_a_server_that_gave_others_are_refused_one_by_one() -> None:
    answers = Answers()
    answers.give("http://server/other.mp4")
    assert set(outcomes(answers, ObjectDenied, URLS * 2)) == {ObjectDenied}
    answers.give("http://server/other.mp4")
    assert outcomes(answers, ObjectFault, URLS) == [ObjectFault] * 15 + [ServerFailure]
    assert outcomes(Answers(), ObjectFault, [url.replace("server", url[-6]) for url in URLS[:10]])[-1] is (
        ObjectFault  # of ten servers
    )


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, ObjectDenied, "access is refused"),
        (403, ObjectDenied, "access is refused"),
        (429, ObjectRefused, "HTTP 429"),
        (500, ObjectFault, "HTTP 500"),
    ],
)
def test_a_status_of_http_is_about_the_object(
    tmp_path: Path, status: int, kind: type[ObjectRefused], words: str
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    with http_files(tmp_path, refuses={"a.mp4": status}) as url:
        with pytest.raises(ObjectRefused, match=words) as refused:
            RemoteFile(f"{url}/a.mp4")
        assert type(refused.value) is kind


def test_a_web_server_that_fails_once_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    refuses = {"a.mp4": 500}
    monkeypatch.setattr("mv_tools.remote.time.sleep", lambda seconds: refuses.clear())
    with http_files(tmp_path, refuses=refuses) as url:
        assert RemoteFile(f"{url}/a.mp4").read_at(0, 1) == b"a"


class _Expired(Exception):
    response = {"Error": {"Code": "ExpiredToken"}, "ResponseMetadata": {"HTTPStatusCode": 400}}  # noqa: RUF012


def test_credentials_that_are_refused_concern_all_objects() -> None:
    error = PermissionError("x")
    error.__cause__ = _Expired()
    with pytest.raises(AccessRefused, match="ExpiredToken") as refused, reported("s3://bucket/a.mp4"):
        raise error
    assert not isinstance(refused.value, ObjectRefused)
