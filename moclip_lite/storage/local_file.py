"""A file on this machine that is written whole or not at all."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mv_tools.atomic import atomic_write

from ..errors import MoclipError

__all__ = ["local_path"]


@contextmanager
def local_path(target: Path) -> Iterator[Path]:
    """A temporary file beside `target`, renamed to it when the block ends without error.

    Raises:
        MoclipError: the disk is full (no partial file is left).
    """
    try:
        with atomic_write(target) as draft:
            yield draft
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MoclipError(
                f"the disk is full: {target} could not be written; finished work is kept"
            ) from error
        raise
