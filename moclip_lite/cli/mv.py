"""``moclip mv``: motion vectors of one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mv_tools.urls import spelled

from ..progress import size_in_words
from .console import ConsoleReporter, err, print_json
from .options import Json

if TYPE_CHECKING:
    from mv_tools import MotionDecoder

__all__ = ["app"]

app = typer.Typer(help="Motion vectors of one file: describe, write, draw, re-encode.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="A video file.")]
Backend = Annotated[str, typer.Option(help="auto, native, libav or mvextractor.")]


_KINDS: Final = ("vectors", "flow", "stats")  # of mv extract


@app.command()
def probe(
    file: File,
    backend: Backend = "auto",
    every_picture: Annotated[
        bool, typer.Option("--all", help="Read the motion of all pictures, not of 300 spread evenly.")
    ] = False,
    json: Json = False,
) -> None:
    """Describe a stream and its motion.

    Example: moclip mv probe clip.mp4
    """
    import mv_tools
    from mv_tools.probe import DEFAULT_SAMPLE

    from .probe_tables import print_probe

    reporter = ConsoleReporter()
    try:
        sample = None if every_picture else DEFAULT_SAMPLE
        summary = mv_tools.probe(file, backend=backend, sample=sample, progress=reporter.progress)
    finally:
        reporter.close()
    if json:
        print_json({"path": spelled(file), **summary.to_json()})
    else:
        print_probe(spelled(file), summary)


def _notes(decoder: MotionDecoder) -> list[str]:
    """What is left out, guessed or damaged in the frames of a decoder that were read."""
    notes = list(decoder.notes)
    if decoder.guessed:
        notes.append(f"{len(decoder.guessed)} pictures refer to lost ones: which ones is a guess")
    return notes


def _warn(notes: Sequence[str]) -> None:
    reporter = ConsoleReporter()
    for note in notes:
        reporter.warn(note)


@app.command()
def extract(
    file: File,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="A .npz (compressed) or .safetensors file; of stats .parquet or .csv."
        ),
    ],
    kind: Annotated[
        str,
        typer.Option(
            help="vectors (as coded), flow (in pixels per frame) or stats (a row for each picture)."
        ),
    ] = "vectors",
    start: Annotated[int, typer.Option(min=0, help="First frame.")] = 0,
    stop: Annotated[int | None, typer.Option(min=0, help="Frame at which to stop (exclusive).")] = None,
    every: Annotated[int, typer.Option(min=1, help="Take every n-th frame.")] = 1,
    backend: Backend = "auto",
    json: Json = False,
) -> None:
    """Write the motion of a file; memory use does not depend on its length.

    Example: moclip mv extract clip.mp4 -o clip.npz --kind flow

    Example: moclip mv extract clip.mp4 --kind stats -o clip.parquet
    """
    import mv_tools

    from ..storage.files import check_output

    if kind not in _KINDS:
        raise typer.BadParameter(f"--kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    check_output(out)
    if kind != "stats" and out.suffix.lower() in (".csv", ".parquet"):
        raise typer.BadParameter(
            f"--out {out}: a {out.suffix.lower()} file gets --kind stats, a row for each picture; "
            "vectors and flow are written to .npz or .safetensors"
        )
    decoder = mv_tools.MotionDecoder(file, backend=backend)
    all_frames = start == 0 and stop is None and every == 1
    chosen = range(len(decoder))[start:stop:every]
    if not chosen:
        raise typer.BadParameter(
            f"--start and --stop select no frame: {spelled(file)} has {len(decoder)} frames"
        )
    frames = iter(decoder) if all_frames else decoder.iter_frames_at(list(chosen))
    if kind == "stats":
        count = mv_tools.write_statistics(frames, out)
    else:
        count = mv_tools.write_motion(frames, out, kind=kind)  # type: ignore[arg-type]
    notes = _notes(decoder)
    if json:
        size = out.stat().st_size
        print_json(
            {"path": str(out), "frames": count, "bytes": size, "backend": decoder.backend, "notes": notes}
        )
    else:
        _warn(notes)
        err.print(f"{count} frames to {out} ({size_in_words(out.stat().st_size)})", markup=False)


@app.command()
def show(
    file: File,
    out: Annotated[Path, typer.Option("--out", "-o", help="A .png (one frame) or .mp4 (all frames).")],
    frame: Annotated[int | None, typer.Option(help="Frame of a PNG; the middle one by default.")] = None,
    style: Annotated[str, typer.Option(help="arrows, colour or both.")] = "both",
    backend: Backend = "auto",
) -> None:
    """Draw the motion of a file over its pictures.

    Example: moclip mv show clip.mp4 -o motion.png --frame 20
    """
    import mv_tools
    from mv_tools import visualize

    from ..storage.files import check_output

    check_output(out)
    if out.suffix.lower() == ".png":
        decoder = mv_tools.MotionDecoder(file, backend=backend)
        if frame is not None and not 0 <= frame < len(decoder):
            raise typer.BadParameter(
                f"--frame {frame}: {spelled(file)} has {len(decoder)} frames (0 to {len(decoder) - 1})"
            )
        _warn(_notes(decoder))
        index = frame if frame is not None else len(decoder) // 2
        if decoder[index].pict_type == "I":
            if frame is None and index + 1 < len(decoder):
                index += 1
            else:
                err.print(f"frame {index} is an I picture, which has no motion; try --frame {index + 1}")
        visualize.save_png(file, out, index, style=style, backend=backend)  # type: ignore[arg-type]
    elif out.suffix.lower() == ".mp4":
        _warn(_notes(mv_tools.MotionDecoder(file, backend=backend)))
        visualize.save_mp4(file, out, style=style, backend=backend)  # type: ignore[arg-type]
    else:
        raise typer.BadParameter(f"{out}: the file name must end in .png or .mp4")
    err.print(f"wrote {out}", markup=False)


@app.command()
def transcode(
    src: Annotated[Path, typer.Argument(help="A video file.")],
    dst: Annotated[Path, typer.Argument(help="The file to write; its ending chooses the container.")],
    codec: Annotated[str, typer.Option(help="h264, hevc or mpeg4.")] = "h264",
    gop: Annotated[int, typer.Option(help="Frames from one I picture to the next.")] = 12,
    bframes: Annotated[int, typer.Option(help="Consecutive B pictures.")] = 0,
    refs: Annotated[int, typer.Option(help="Number of reference pictures.")] = 1,
    crf: Annotated[int, typer.Option(help="Quality, from 0 (lossless) to 51; 1 to 31 for mpeg4.")] = 20,
    preset: Annotated[str, typer.Option(help="x264 preset: encoding speed against file size.")] = "medium",
    side: Annotated[int | None, typer.Option(help="Scale the short side to this many pixels.")] = None,
) -> None:
    """Re-encode a video with a given GOP.

    Example: moclip mv transcode clip.avi clip.mp4 --gop 12
    """
    import mv_tools

    from ..storage.files import check_output

    check_output(dst)
    mv_tools.transcode(
        src, dst, codec, gop=gop, bframes=bframes, refs=refs, crf=crf, preset=preset, side=side
    )
    err.print(f"wrote {dst} ({size_in_words(dst.stat().st_size)})", markup=False)
