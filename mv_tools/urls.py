"""URLs: what is one, fsspec's file system for it, and its errors as those of local files.

They are s3://, gs://, https:// and what else fsspec knows. Credentials come from the environment, as the
libraries below fsspec read it, and never from a URL.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from .errors import ArgumentError, BackendUnavailable, SourceChanged

__all__ = ["SCHEMES", "file_system", "is_url", "reported", "spelled", "url_of"]

SCHEMES: Final = ("s3", "gs", "gcs", "https", "http", "az", "abfs", "memory")
_URL: Final = re.compile(rf"({'|'.join(SCHEMES)}):/{{1,2}}(?=[^/])(.*)", re.DOTALL)
_SIGNED: Final = re.compile(r"(?i)(x-amz-|x-goog-)?(signature|credential|security-token)|sig=|token=|key=")
_LIBRARIES: Final = ("botocore", "aiobotocore", "aiohttp", "s3fs", "google", "gcsfs")
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
        system, path = fsspec.core.url_to_fs(url, **options)
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
        FileNotFoundError, PermissionError, OSError: the object is absent, refused, or can't be reached.
        SourceChanged: it is another one than when it was opened.
    """
    try:
        yield
    except SourceChanged:
        raise
    except Exception as error:  # botocore's and aiohttp's own messages may hold signed requests
        if _library(error) not in _LIBRARIES and not isinstance(error, (OSError, TimeoutError)):
            raise
        raise _translated(url, error) from None


def _translated(url: str, error: Exception) -> Exception:
    """The error of a local file that an error of a file system at a URL amounts to."""
    words, name = " ".join(map(str, error.args)).lower(), type(error).__name__
    if "pre-condition" in words or getattr(error, "status", None) == 412:  # s3fs's words for HTTP 412
        return SourceChanged(f"{url} was changed while it was read; start again")
    if name == "FlexibleChecksumError":  # of botocore: the object is not what was written
        return SourceChanged(f"{url} does not match the checksum that the server keeps of it: it is damaged")
    if "skewed" in words or "difference between the request time" in words:
        return PermissionError(
            13, "access is refused: the clock of this machine differs from the server's", url
        )
    if name in ("NoCredentialsError", "PartialCredentialsError"):
        return PermissionError(13, "access is refused: no credentials in the environment", url)
    cause = error.__cause__  # fsspec takes any error of a web server for an absent file
    if (
        isinstance(cause, Exception)
        and _library(cause) == "aiohttp"
        and getattr(cause, "status", 0) not in (404, 410)
    ):
        return _translated(url, cause)
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, FileNotFoundError):
        response: Any = getattr(error.__cause__, "response", {})
        what = "bucket" if response.get("Error", {}).get("Code") == "NoSuchBucket" else "object"
        return FileNotFoundError(number, f"there is no such {what}", url)
    if isinstance(error, PermissionError) or getattr(error, "status", None) in (401, 403):
        return PermissionError(number, "access is refused", url)
    lost = isinstance(error, (ConnectionError, TimeoutError)) or _library(error) in _LIBRARIES
    return OSError(f"{url}: it can't be {'reached' if lost else 'read or written'} ({name})")


def _library(error: Exception) -> str:
    """The package that an exception is defined in."""
    return type(error).__module__.split(".")[0]
