"""Forms (multipart/form-data): the file is written as it comes, fields are short and few."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import unquote_to_bytes

from .received import Received, display_name, file_of, given_twice, too_large
from .refusal import Refusal

__all__ = ["MAX_FIELD", "Form"]

MAX_FIELD: Final = 4096
"""Bytes of a text field, and of a JSON body."""
_MAX_FIELDS: Final = 16


class Form:
    """Receives the parts of a multipart body: one file, a few short fields.

    Args:
        folder: where to write the file.
        max_upload: its greatest size in bytes.
        name: of the file, if its part has none.
    """

    def __init__(self, folder: Path, max_upload: int, name: str = "") -> None:
        self._folder, self._max_upload = folder, max_upload
        self._header: tuple[bytes, bytes] = (b"", b"")
        self._headers: dict[bytes, bytes] = {}
        self._fields: dict[str, bytes] = {}
        self._field = ""
        self._file: IO[bytes] | None = None
        self._video: Path | None = None
        self._name, self._size = name, 0
        self._complete = False

    async def receive(self, chunks: AsyncIterator[bytes], content_type: str) -> Received:
        """Read a body of this type.

        Raises:
            Refusal: it is damaged, or a bound is exceeded.
        """
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser, parse_options_header

        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary or len(boundary) > 200:
            raise Refusal(400, "multipart/form-data without a boundary")
        try:
            parser = MultipartParser(boundary, self._callbacks())
            async for chunk in chunks:
                parser.write(chunk)
            parser.finalize()
        except FormParserError as error:
            raise Refusal(400, f"the multipart body is damaged: {error}") from error
        finally:
            self._close()
        if not self._complete:
            raise Refusal(400, "the multipart body is cut short")
        fields = {name: value.decode("utf-8", "replace") for name, value in self._fields.items()}
        return Received(fields, self._video, display_name(self._name) if self._video else "")

    def _callbacks(self) -> Any:
        """For python_multipart's parser."""
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, a, b: self._add_header(0, data[a:b]),
            "on_header_value": lambda data, a, b: self._add_header(1, data[a:b]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin_data,
            "on_part_data": lambda data, a, b: self._data(data[a:b]),
            "on_part_end": self._close,
            "on_end": self._end,
        }

    def _close(self) -> None:
        """Close the file if one is open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _end(self) -> None:
        self._complete = True

    def _begin_part(self) -> None:
        self._headers, self._header = {}, (b"", b"")

    def _add_header(self, side: int, data: bytes) -> None:
        name, value = self._header
        self._header = (name + data, value) if side == 0 else (name, value + data)

    def _end_header(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = (b"", b"")

    def _begin_data(self) -> None:
        from python_multipart.multipart import parse_options_header

        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        self._field = options.get(b"name", b"").decode("utf-8", "replace")[:64]
        filename = _filename(disposition, options.get(b"filename"))
        if self._field == "file":
            self._begin_file(filename)
        elif filename is not None:
            raise Refusal(400, f"the part {self._field!r} has a file name; send the video as the part `file`")
        elif not self._field:
            raise Refusal(400, "a part has no name; send the video as the part `file`")
        elif self._field in self._fields:
            raise given_twice(self._field)
        elif len(self._fields) >= _MAX_FIELDS:
            raise Refusal(400, f"more than {_MAX_FIELDS} fields")
        else:
            self._fields[self._field] = b""

    def _begin_file(self, filename: str | None) -> None:
        if self._video is not None:
            raise Refusal(400, "send one file per request")
        self._name = filename or self._name
        self._video = file_of(self._folder, self._name)
        self._file = self._video.open("xb")

    def _data(self, data: bytes) -> None:
        if self._file is not None:
            self._size += len(data)
            if self._size > self._max_upload:
                raise too_large(self._max_upload)
            self._file.write(data)
            return
        value = self._fields[self._field] + data
        if len(value) > MAX_FIELD:
            raise Refusal(413, f"the field {self._field!r} is longer than {MAX_FIELD} bytes")
        self._fields[self._field] = value


def _filename(disposition: bytes, plain: bytes | None) -> str | None:
    """The name of a part's file: `filename`, or `filename*` with a character set (RFC 5987).

    In the first one browsers escape three characters (HTML, "multipart/form-data encoding algorithm").
    """
    if plain is not None:
        for escape, character in ((b"%22", b'"'), (b"%0D", b"\r"), (b"%0A", b"\n")):
            plain = plain.replace(escape, character)
        return plain.decode("utf-8", "replace")
    match = re.search(rb";\s*filename\*\s*=\s*\"?([\w-]*)'[^']*'([^;\"\s]*)", disposition, re.IGNORECASE)
    if match is None:
        return None
    latin = match[1].lower() == b"iso-8859-1"
    return unquote_to_bytes(match[2]).decode("latin-1" if latin else "utf-8", "replace")
