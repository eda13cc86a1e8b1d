"""Files of timelines: tables, subtitles, chapters and drawings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

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

    def __post_init__(self) -> None:
        self._names = file_names(self.videos)

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

    def finish(self, refused: Collection[Path]) -> None:
        """Remove what earlier runs wrote of videos that have no timeline now."""
        if self.outputs.csv is not None and not self._rows:
            self.outputs.csv.unlink(missing_ok=True)
        if self._one_page(self.outputs.strip) and not self.strips:
            self.outputs.strip.unlink(missing_ok=True)
        for target, suffix in self._of_each:
            for path in refused:
                self._place(target, path, suffix).unlink(missing_ok=True)

    @property
    def _of_each(self) -> list[tuple[Path, str]]:
        """The outputs of which each video has its own, with their ending."""
        strip = None if self._one_page(self.outputs.strip) else self.outputs.strip
        own = ((self.outputs.vtt, ".vtt"), (self.outputs.chapters, ".ffmetadata"), (strip, ".png"))
        return [(target, suffix) for target, suffix in own if target is not None]

    @staticmethod
    def _one_page(strip: Path | None) -> TypeGuard[Path]:
        return strip is not None and strip.suffix.lower() == ".html" and not strip.is_dir()

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
        if self._one_page(target):
            self.strips.append(strip)
            save_html(target, self.strips)
        else:
            save_png(self._place(target, path, ".png"), strip)

    def _place(self, target: Path, video: Path, suffix: str) -> Path:
        """The file of a video: `target` itself, or one in that folder."""
        if len(self.videos) == 1 and target.suffix and not target.is_dir():
            return target
        return target / f"{self._names[video]}{suffix}"


def file_names(videos: Sequence[Path]) -> dict[Path, str]:
    """The name of each video's file in a folder: its own, with a number where several are called alike."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for video in dict.fromkeys(videos):
        name, number = video.name, 1
        while name in taken:
            number += 1
            name = f"{video.name}_{number}"
        names[video] = name
        taken.add(name)
    return names
