"""Files of timelines: tables, subtitles, chapters and drawings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..storage.files import check_output, check_output_folder, write_text
from .outputs import same_file

if TYPE_CHECKING:
    from ..timeline.timeline import Timeline

__all__ = ["SegmentOutputs", "SegmentWriter", "refuse_overwriting"]


@dataclass(frozen=True)
class SegmentOutputs:
    """Files to write: each a file for one video, a folder for several; a table or a page may hold several."""

    csv: Path | None = None
    vtt: Path | None = None
    chapters: Path | None = None
    strip: Path | None = None

    def check(self, videos: Sequence[Path]) -> None:
        """Refuse outputs that can't be written, before the work.

        Raises:
            BadParameter: says which option and why.
        """
        for option, path in vars(self).items():
            if path is None:
                continue
            refuse_overwriting(option, path, videos)
            alone = option in ("vtt", "chapters") or (option == "strip" and path.suffix.lower() == ".png")
            if len(videos) > 1 and alone and path.suffix and not path.is_dir():
                raise typer.BadParameter(
                    f"--{option} {path}: there are {len(videos)} videos; "
                    "name a folder, which gets a file for each"
                )
            if option == "csv" and path.is_dir():
                raise typer.BadParameter(f"--csv {path} is a folder; name a file, which gets all videos")
            if option == "strip" and path.suffix.lower() not in (".png", ".html", "") and not path.is_dir():
                raise typer.BadParameter(f"--strip {path}: name a .png or .html file, or a folder")
            in_folder = option != "csv" and (path.is_dir() or not path.suffix)
            if in_folder:
                check_output_folder(path)
            else:
                check_output(path, named=path)


def refuse_overwriting(option: str, path: Path, videos: Sequence[Path]) -> None:
    """Refuse an output that is one of the videos.

    Raises:
        BadParameter: it is.
    """
    if any(same_file(path, video) for video in videos):
        raise typer.BadParameter(f"--{option} {path} would overwrite a video")


@dataclass
class SegmentWriter:
    """Writes the outputs of each video as soon as it is done."""

    outputs: SegmentOutputs
    videos: Sequence[Path]
    warn: Callable[[str], None]
    timelines: list[Timeline] = field(default_factory=list)
    strips: list[Any] = field(default_factory=list)
    _rows: list[str] = field(default_factory=list)
    _taken: set[Path] = field(default_factory=set)

    def add(self, path: Path, timeline: Timeline) -> None:
        """Write what belongs to one more video."""
        self.timelines.append(timeline)
        if self.outputs.csv is not None:
            self._add_to_table(self.outputs.csv, path, timeline)
        if self.outputs.vtt is not None:
            write_text(self._place(self.outputs.vtt, path, ".vtt"), timeline.to_vtt())
        if self.outputs.chapters is not None:
            write_text(self._place(self.outputs.chapters, path, ".ffmetadata"), timeline.to_ffmetadata())
        if self.outputs.strip is not None:
            self._draw(self.outputs.strip, path, timeline)

    def _add_to_table(self, table: Path, path: Path, timeline: Timeline) -> None:
        """Write the table, which names its videos as the reader of annotation tables finds them."""
        from ..datasets.table.videos import name_in_table, wrong_name

        name = name_in_table(path, table.parent)
        wrong = wrong_name(name)
        if wrong is not None:
            self.warn(f"{table} can't be read as an annotation table: {wrong}")
        self._rows.append(timeline.to_csv(header=not self._rows, name=name))
        write_text(table, "".join(self._rows))

    def _draw(self, target: Path, path: Path, timeline: Timeline) -> None:
        from ..timeline.strip import Strip, save_html, save_png
        from ..timeline.thumbnails import read_thumbnails

        strip = Strip(timeline, read_thumbnails(path, timeline.start))
        if target.suffix.lower() == ".html" and not target.is_dir():
            self.strips.append(strip)
            save_html(target, self.strips)
        else:
            save_png(self._place(target, path, ".png"), strip)

    def _place(self, target: Path, video: Path, suffix: str) -> Path:
        """The file of a video: `target` itself, or one in that folder."""
        if len(self.videos) == 1 and target.suffix and not target.is_dir():
            return target
        place, number = target / f"{video.name}{suffix}", 1
        while place in self._taken:
            number += 1
            place = target / f"{video.name}_{number}{suffix}"
        self._taken.add(place)
        return place
