"""Pictures of a libavfilter graph, encoded on the way: their shape, and graphs that are none."""

from __future__ import annotations

from fractions import Fraction
from threading import Event

import pytest

from mv_tools import MotionStream, SourceUnavailable, UnsupportedStream
from mv_tools.live.address import Address
from mv_tools.live.device import EncodedDevice
from mv_tools.live.items import LiveOptions
from mv_tools.live.reader import LiveReader


def test_pictures_keep_their_sample_aspect_ratio() -> None:
    graph = "lavfi:color=size=96x64:rate=25:duration=0.08,setsar=2"
    device, stream = EncodedDevice(Address.parse(graph), Event()), MotionStream("h264")
    frames = [frame for packet in device.packets() for frame in stream.push(packet.data, packet.seconds)]
    device.close()
    frames += stream.flush()
    assert [frame.sample_aspect_ratio for frame in frames] == [Fraction(2)] * 2


@pytest.mark.parametrize(
    ("graph", "error", "message"),
    [
        ("lavfi:nosuch=1", SourceUnavailable, "the graph can't be opened"),
        ("lavfi:sine", UnsupportedStream, "gives no pictures"),
    ],
)
def test_a_graph_that_is_none_is_tried_once(graph: str, error: type[Exception], message: str) -> None:
    said: list[str] = []
    reader = LiveReader(Address.parse(graph), LiveOptions(), Event(), said.append)
    with pytest.raises(error, match=message):
        list(reader.items())
    assert said == []
