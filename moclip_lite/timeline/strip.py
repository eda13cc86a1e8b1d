"""A timeline drawn: thumbnails, a lane for each label and the amount of motion, as PNG or an HTML page."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..storage.files import atomic_path, write_text
from ..storage.names import told_apart
from .thumbnails import Thumbnail
from .timeline import Timeline, clock

__all__ = ["COLOURS", "Strip", "save_html", "save_png"]

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#8a5a2b", "#6a51a3")
"""Of lanes in turn (Okabe and Ito 2008, darker yellow): told apart with colour vision deficiencies, too."""

_INK: Final = "#1d2430"
_DIM: Final = "#657082"
_LINE: Final = "#dfe3e8"
_TICKS: Final = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400),
)
_MAX_LABEL: Final = 28  # characters


@dataclass(frozen=True)
class Strip:
    """What is drawn of one video."""

    timeline: Timeline
    thumbnails: Sequence[Thumbnail] = ()

    @property
    def first(self) -> float:
        """Seconds at the left edge."""
        return self.timeline.start

    @property
    def last(self) -> float:
        """Seconds at the right edge."""
        return self.timeline.start + max(self.timeline.duration, 1e-3)

    def lanes(self) -> list[str]:
        """The labels that occur, in the order of their first segments."""
        return list(dict.fromkeys(segment.label for segment in self.timeline.segments))

    def ticks(self, most: int = 10) -> list[float]:
        """Round times, at most `most`."""
        step = next((t for t in _TICKS if (self.last - self.first) / t <= most), None)
        if step is None:
            step = 3600 * math.ceil((self.last - self.first) / 3600 / most)
        first, last = math.ceil(self.first / step), math.floor(self.last / step + 1e-6)
        return [number * step for number in range(first, last + 1)]

    def clock(self, seconds: float) -> str:
        """A time in words, to a tenth of the strip or less: pictures and ticks have different times."""
        return clock(seconds, max(0, math.ceil(1 - math.log10(self.last - self.first))))

    def energy(self) -> list[tuple[float, float]]:
        """(seconds, motion) at the middle of each window; [] for a model that does not look at motion."""
        windows = [w for w in self.timeline.windows if not math.isnan(w.energy)]
        points = [((w.start + w.end) / 2, w.energy) for w in windows]
        if not points:
            return []
        return [(self.first, points[0][1]), *points, (self.last, points[-1][1])]


def save_png(path: Path, strip: Strip) -> None:
    """Draw a strip."""
    from ..results.confusion import drawing

    lanes, energy = strip.lanes(), strip.energy()
    heights = [0.85 if strip.thumbnails else 0.0, 0.34 * max(len(lanes), 1) + 0.1, 0.8 if energy else 0.0]
    rows = [height for height in heights if height]
    with drawing(12, sum(rows) + 1.1, {"font.size": 9, "axes.edgecolor": _LINE}) as figure:
        axes = list(figure.subplots(len(rows), 1, sharex=True, height_ratios=rows, squeeze=False)[:, 0])
        count = len(strip.timeline.segments)
        title = f"{Path(strip.timeline.path).name}   {count} segment{'' if count == 1 else 's'} in "
        figure.suptitle(
            title + strip.clock(strip.timeline.duration), x=0.01, ha="left", color=_INK, fontsize=11
        )
        if strip.thumbnails:
            _draw_thumbnails(axes[0], strip)
        _draw_lanes(axes[1 if strip.thumbnails else 0], strip, lanes)
        if energy:
            _draw_energy(axes[-1], strip)
        ticks = strip.ticks()
        axes[-1].set_xticks(ticks, [strip.clock(tick) for tick in ticks])
        axes[-1].set_xlim(strip.first, strip.last)
        for axis in axes:
            axis.tick_params(length=0, labelcolor=_INK)
            for side in ("top", "right", "left"):
                axis.spines[side].set_visible(False)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as draft:
            figure.savefig(draft, format="png", dpi=110)


def _draw_thumbnails(axis: Any, strip: Strip) -> None:
    """Pictures in equal parts of the width, each as large as its part and the row have room, and its time."""
    axis.set_yticks([])
    axis.spines["bottom"].set_visible(False)
    part = 1 / len(strip.thumbnails)
    for place, thumbnail in enumerate(strip.thumbnails):
        box = axis.inset_axes(((place + 0.03) * part, 0, 0.94 * part, 0.86), anchor="N")
        box.set_axis_off()
        box.imshow(thumbnail.picture, interpolation="antialiased")
        time = {"ha": "center", "va": "bottom", "color": _DIM, "fontsize": 7}
        axis.text((place + 0.5) * part, 0.9, strip.clock(thumbnail.seconds), transform=axis.transAxes, **time)


def _draw_lanes(axis: Any, strip: Strip, lanes: Sequence[str]) -> None:
    for row, label in enumerate(lanes):
        axis.axhline(row, color=_LINE, linewidth=0.6, zorder=0)
        for segment in strip.timeline.segments:
            if segment.label == label:
                axis.barh(
                    row,
                    segment.end - segment.start,
                    left=segment.start,
                    height=0.66,
                    color=COLOURS[row % len(COLOURS)],
                    alpha=0.35 + 0.65 * min(max(segment.score, 0.0), 1.0),
                    linewidth=0,
                )
    axis.set_yticks(range(len(lanes)), told_apart(lanes, _MAX_LABEL))
    axis.set_ylim(max(len(lanes), 1) - 0.4, -0.6)
    for tick in strip.ticks():
        axis.axvline(tick, color=_LINE, linewidth=0.6, zorder=0)
    if not lanes:
        axis.text(
            0.5,
            0.5,
            "no segment: no class reaches the threshold",
            transform=axis.transAxes,
            ha="center",
            color=_DIM,
        )


def _draw_energy(axis: Any, strip: Strip) -> None:
    times, values = zip(*strip.energy(), strict=True)
    axis.fill_between(times, values, color=_DIM, alpha=0.35, linewidth=0)
    axis.plot(times, values, color=_DIM, linewidth=0.8)
    axis.set_ylim(0, max(*values, 1e-3) * 1.08)
    axis.set_yticks([max(values)], [f"motion, up to {max(values):.1f} px"])


def save_html(path: Path, strips: Sequence[Strip]) -> None:
    """Write a page of one or more videos: no script, no network; all text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("moclip_lite.timeline"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    videos = [_page_values(strip) for strip in strips]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, environment.get_template("strip.html").render(videos=videos) + "\n")


def _page_values(strip: Strip) -> dict[str, Any]:
    """What the template shows of a video; positions in percent of its duration."""
    timeline, lanes = strip.timeline, strip.lanes()
    span = strip.last - strip.first

    def share(seconds: float) -> float:
        return round(100 * min(max((seconds - strip.first) / span, 0.0), 1.0), 4)

    def segments(label: str) -> list[dict[str, Any]]:
        return [
            {
                "left": share(s.start),
                "width": round(share(s.end) - share(s.start), 4),
                "opacity": round(0.35 + 0.65 * min(max(s.score, 0.0), 1.0), 3),
                "title": f"{s.label} {100 * s.score:.0f} %, {strip.clock(s.start)} to {strip.clock(s.end)}",
            }
            for s in timeline.segments
            if s.label == label
        ]

    energy = strip.energy()
    most = max((value for _, value in energy), default=0.0)
    outline = " ".join(f"{share(t)},{round(100 - 100 * v / max(most, 1e-9), 2)}" for t, v in energy)
    return {
        "name": Path(timeline.path).name,
        "duration": strip.clock(timeline.duration),
        "count": len(timeline.segments),
        "notes": timeline.notes,
        "thumbnails": [
            {"time": strip.clock(t.seconds), "data": base64.b64encode(t.jpeg()).decode()}
            for t in strip.thumbnails
        ],
        "lanes": [
            {"label": label, "colour": COLOURS[row % len(COLOURS)], "segments": segments(label)}
            for row, label in enumerate(lanes)
        ],
        "ticks": [{"left": share(tick), "time": strip.clock(tick)} for tick in strip.ticks(8)],
        "energy": f"0,100 {outline} 100,100" if energy else "",
        "most": f"{most:.1f}",
        "streams": timeline.streams,
        "rows": timeline.table_rows(timeline.streams, decimals=0),
    }
