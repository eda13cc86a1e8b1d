"""URLs: what is one, fsspec's file system for it, and its errors as those of local files.

They are s3://, gs://, https:// and what else fsspec knows. Credentials come from the environment, as the
libraries below fsspec read it, and never from a URL.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from .errors import ArgumentError, BackendUnavailable, SourceChanged
from .server_errors import (
    AccessRefused,
    Answers,
    NoSuchBucket,
    ObjectDenied,
    ObjectFault,
    ObjectRefused,
    ServerFailure,
)

__all__ = [
    "SCHEMES",
    "AccessRefused",
    "NoSuchBucket",
    "ObjectRefused",
    "ServerFailure",
    "file_system",
    "is_url",
    "is_web",
    "name_below",
    "refuse_other_scheme",
    "reported",
    "spelled",
    "url_below",
    "url_of",
]

SCHEMES: Final = ("s3", "gs", "gcs", "https", "http", "az", "abfs", "memory")
_WEB: Final = ("http", "https")
"""Schemes whose URLs hold names percent-encoded (RFC 3986); those of object stores hold them as they are."""

_URL: Final = re.compile(rf"({'|'.join(SCHEMES)}):/{{1,2}}(?=[^/])(.*)", re.DOTALL)
_OTHER: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")  # Windows' drives have one letter
_SIGNED: Final = re.compile(r"(?i)(x-amz-|x-goog-)?(signature|credential|security-token)|sig=|token=|key=")
_LIBRARIES: Final = ("botocore", "aiobotocore", "aiohttp", "s3fs", "google", "gcsfs")
_VERSIONED: Final = "?versionId="  # what s3fs takes for the end of a name
_BUCKET: Final = re.compile(r"(?!s3:)|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/|$)")  # as S3 lets them be named
_CREDENTIALS: Final = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken")
"""S3's names of errors that all objects share."""

_ANSWERS: Final = Answers()
_PACKAGES: Final = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}


def url_of(path: str | os.PathLike[str]) -> str | None:
    """The URL that a word or a path stands for; a path holds one slash where a URL has two.

    Returns:
        None where it is no URL of :data:`SCHEMES`.

    Raises:
        ArgumentError: it is none, or holds a user, a password or a signature.
    """
    match = _URL.fullmatch(os.fspath(path))
    if match is None:
        return None
    url = f"{match[1]}://{match[2]}"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ArgumentError(f"{url} is not a URL: {error}") from error
    if "@" in parts.netloc or _SIGNED.search(parts.query):
        raise ArgumentError(
            f"{parts.scheme}://...{parts.path}: a URL must not hold credentials or a signature, "
            "because configurations and logs keep it; "
            "set them in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return url


def refuse_other_scheme(word: str | os.PathLike[str]) -> None:
    """Refuse a word with a scheme whose URLs are not read; it is not shown, as it may hold a password.

    Raises:
        ArgumentError: it has.
    """
    match = _OTHER.match(os.fspath(word))
    if match is not None and match[1].lower() not in SCHEMES:
        raise ArgumentError(
            f"files are not read from {match[1]}://: give a path or a URL of {', '.join(SCHEMES[:-1])}; "
            "live sources are opened by mv_tools.open_live and `moclip watch`"
        )


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether a word or a path is a URL, and no local file of that name.

    Raises:
        ArgumentError: see :func:`url_of`.
    """
    return url_of(path) is not None and not Path(path).exists()


def spelled(path: str | os.PathLike[str]) -> str:
    """A path or a URL as it is written; what lies there is not looked at.

    Raises:
        ArgumentError: see :func:`url_of`.
    """
    return url_of(path) or str(path)


def url_below(folder: str, name: str) -> str:
    """The URL of what lies below a URL under a name; names are those of local files, only URLs are encoded.

    Raises:
        ArgumentError: no URL stands for the name.
    """
    if not name:
        return folder
    _refuse_ambiguous(folder, name)
    return f"{folder.rstrip('/')}/{quote(name) if is_web(folder) else name}"


def name_below(folder: str, rest: str) -> str:
    """The name of what lies below a URL.

    Args:
        folder: the URL.
        rest: what follows the URL of the folder in that of the file.

    Raises:
        ArgumentError: no URL can be made of the name.
    """
    _refuse_ambiguous(folder, rest)
    return unquote(rest) if is_web(folder) else rest


def _refuse_ambiguous(folder: str, rest: str) -> None:
    """Refuse names of which a URL would be another object's.

    Raises:
        ArgumentError: it would.
    """
    if folder.startswith("s3:") and _VERSIONED in rest:
        reason = f"{_VERSIONED} in a name is taken for the end of it"
    elif is_web(folder) and "%2f" in rest.lower():
        reason = "a name that holds a slash can't be told from a folder"
    else:
        return
    raise ArgumentError(f"{folder.rstrip('/')}/{rest}: {reason}; give the object another name")


def is_web(url: str) -> bool:
    """Whether a URL is of a web server, not of an object store."""
    return url.partition(":")[0] in _WEB


def file_system(url: str) -> tuple[Any, str]:
    """(fsspec's file system for a URL, the path in it); options come from the environment.

    Raises:
        BackendUnavailable: fsspec or the package for this kind of URL is not installed.
    """
    scheme = url.partition(":")[0]
    try:
        import fsspec

        options: dict[str, Any] = {}
        if scheme == "s3":
            endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
            options = {"endpoint_url": endpoint} if endpoint else {}
        kind = fsspec.get_filesystem_class(scheme)
        # Not url_to_fs, which takes :: in a name for the beginning of another URL.
        system = kind(**options, **kind._get_kwargs_from_urls(url))
        path = kind._strip_protocol(url)
    except (ImportError, ValueError) as error:
        package = _PACKAGES.get(scheme, "aiohttp")
        raise BackendUnavailable(
            f"{url} needs fsspec and {package}: pip install 'moclip-lite[cloud]'"
            + ("" if package in ("s3fs", "aiohttp") else f" {package}")
        ) from error
    return system, path


@contextmanager
def reported(url: str) -> Iterator[None]:
    """Turn the errors of fsspec's file systems into those of local files, without requests or credentials.

    Raises:
        FileNotFoundError: the object is absent.
        ObjectRefused: the server refuses this object, or fails with it.
        ServerFailure: it can't be reached, has no such bucket, or gives none of many objects.
        OSError: it can't be read or written.
        SourceChanged: it is another one than when it was opened.
    """
    try:
        yield
        _ANSWERS.give(url)
    except (SourceChanged, ServerFailure):  # said already
        raise
    except Exception as error:  # botocore's and aiohttp's own messages may hold signed requests
        if _library(error) not in _LIBRARIES and not isinstance(error, (OSError, TimeoutError)):
            raise
        translated = _translated(url, error)
        if isinstance(translated, ObjectRefused):
            translated = _ANSWERS.refuse(translated, url)
        elif not isinstance(translated, ServerFailure):  # absent or changed
            _ANSWERS.give(url)
        raise translated from None


def _translated(url: str, error: Exception) -> Exception:
    """The error of a local file that an error of a file system at a URL amounts to."""
    words, name = " ".join(map(str, error.args)).lower(), type(error).__name__
    if "pre-condition" in words or _status(error) == 412:  # s3fs's words for HTTP 412
        return SourceChanged(f"{url} was changed while it was read; start again")
    if name == "FlexibleChecksumError":  # of botocore: the object is not what was written
        return SourceChanged(f"{url} does not match the checksum that the server keeps of it: it is damaged")
    if "skewed" in words or "difference between the request time" in words:
        return AccessRefused(
            13, "access is refused: the clock of this machine differs from the server's", url
        )
    if name in ("NoCredentialsError", "PartialCredentialsError"):
        return AccessRefused(13, "access is refused: no credentials in the environment", url)
    cause = error.__cause__  # fsspec takes any error of a web server for an absent file
    if isinstance(cause, Exception) and _library(cause) == "aiohttp" and _status(cause) not in (404, 410):
        return _translated(url, cause)
    code = _code(error)
    if code == "NoSuchBucket":
        return NoSuchBucket(errno.ENOENT, "there is no such bucket", url)
    if "InvalidBucketName" in (code, name) or (_status(error) == 400 and not _BUCKET.match(url)):
        return ServerFailure(errno.EINVAL, "no bucket can have this name", url)
    if code in _CREDENTIALS:
        return AccessRefused(errno.EACCES, f"access is refused ({code})", url)
    if isinstance(error, FileNotFoundError) or _status(error) in (404, 410):
        return FileNotFoundError(errno.ENOENT, "there is no such object", url)
    if isinstance(error, PermissionError) or _status(error) in (401, 403):
        return ObjectDenied(errno.EACCES, "access is refused", url)
    lost = isinstance(error, (ConnectionError, TimeoutError)) or _library(error) in _LIBRARIES
    answer = f"HTTP {_status(error)}" if _status(error) else name
    what = f"it can't be {'reached' if lost else 'read or written'} ({answer})"
    kind = ServerFailure if not _status(error) else ObjectFault if _status(error) >= 500 else ObjectRefused
    return kind(errno.EIO, what, url)


def _status(error: Exception) -> int:
    """The status of HTTP that an error is about; 0 of others."""
    return int(getattr(error, "status", None) or _answer(error, "ResponseMetadata").get("HTTPStatusCode", 0))


def _code(error: Exception) -> str:
    """S3's name of an error."""
    return str(_answer(error, "Error").get("Code", ""))


def _answer(error: Exception, part: str) -> dict[str, Any]:
    """A part of the answer of an S3 server that s3fs made an error of."""
    response: Any = getattr(error.__cause__, "response", None) or {}
    return dict(response.get(part, {}))


def _library(error: Exception) -> str:
    """The package that an exception is defined in."""
    return type(error).__module__.split(".")[0]
