"""Names are stored in valid Unicode and shown without control characters."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moclip_lite.cli.console import ConsoleReporter, print_table
from moclip_lite.storage.names import printable, shortened, told_apart, valid_unicode

HOSTILE = "a\nb\x1b[31m\x9b2J\r\u202egpj\u2028.mp4"


@given(st.binary(max_size=40))
def test_no_bytes_of_a_name_reach_the_terminal_as_controls(name: bytes) -> None:
    shown = printable(os.fsdecode(name))
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)
    assert shown.encode().decode() == shown


@given(st.text(st.characters(), max_size=20) | st.text("\ud800\udc00\udc80\udcff\udfffaé", max_size=8))
def test_any_text_can_be_written(name: str) -> None:
    """YAML and JSON can name half of a surrogate pair, which stands for no byte."""
    for shown in (valid_unicode(name), printable(name)):
        assert shown.encode().decode() == shown
    assert printable("\ud800/x") == r"\ud800/x"


def test_usual_names_are_unchanged_and_controls_are_readable() -> None:
    for name in ("clip 1.mp4", "日本語.mp4", "café.mkv", "क्‍ष", "👩‍🚒.mp4", r"a\nb"):
        assert printable(name) == name
    assert printable(HOSTILE) == r"a\nb\x1b[31m\x9b2J\r\u202egpj\u2028.mp4"
    assert valid_unicode(HOSTILE) == HOSTILE
    assert printable(valid_unicode("\udcff.mp4")) == r"\xff.mp4"


@pytest.mark.parametrize("length", [8, 9])
def test_long_names_keep_beginning_and_end(length: int) -> None:
    assert shortened("a" * length, length) == "a" * length
    assert shortened("take_000001", length) == {8: "tak…0001", 9: "take…0001"}[length]


def test_shortened_names_that_become_alike_are_numbered() -> None:
    assert told_apart(["take_000001", "take_000002"], 8) == ["tak…0001", "tak…0002"]
    assert told_apart(["take_1_of_9", "take_2_of_9"], 8) == ["1 t…of_9", "2 t…of_9"]
    assert told_apart(["same", "same"], 8) == ["same", "same"]


def test_messages_and_tables_show_names_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleReporter().say(f"{HOSTILE}: done")
    ConsoleReporter().warn(f"{HOSTILE}: odd")
    print_table(HOSTILE, [HOSTILE], [[HOSTILE]])
    printed = capsys.readouterr()
    assert not set("\x1b\x9b\r\u202e\u2028") & set(printed.out + printed.err)
    assert printed.err.splitlines()[0].endswith(".mp4: done")
    assert len(printed.err.splitlines()) == 2
