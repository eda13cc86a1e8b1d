"""The exceptions of mv_tools.

::

    MotionError
    ├── MalformedStream      damaged or truncated input
    ├── UnsupportedStream    a feature that the chosen backend does not handle
    │   └── NoMotionVectors  a codec without motion vectors that can be read
    ├── BackendUnavailable   an optional backend that is not installed
    ├── SourceChanged        a file at a URL that is another one than when it was opened
    └── SourceUnavailable    a live source that can't be reached, or stopped sending

    ArgumentError (a ValueError): an argument that is invalid for any video

A missing file raises the builtin :class:`FileNotFoundError`.
"""

__all__ = [
    "ArgumentError",
    "BackendUnavailable",
    "MalformedStream",
    "MotionError",
    "NoMotionVectors",
    "SourceChanged",
    "SourceUnavailable",
    "UnsupportedStream",
]


class MotionError(Exception):
    """Root of the errors that mv_tools raises about a video."""


class MalformedStream(MotionError):
    """The file is damaged or truncated; the message says where."""


class UnsupportedStream(MotionError):
    """The file is well formed but uses a feature this backend can't read; the message names it."""


class NoMotionVectors(UnsupportedStream):
    """Motion vectors of this codec can't be read; the file can be re-encoded to another codec."""


class BackendUnavailable(MotionError):
    """The backend is not installed on this machine; the message says what to install."""


class SourceChanged(MotionError):
    """A file at a URL was changed while it was read; the message names it."""


class SourceUnavailable(MotionError):
    """A live source can't be reached or stopped sending; the message says why, without credentials."""


class ArgumentError(ValueError):
    """An argument is out of range or not one of the choices, whatever the video; the message lists them."""
