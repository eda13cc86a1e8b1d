"""``moclip pack``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from mv_tools.urls import spelled

from ..progress import size_in_words
from ..storage.files import check_output_folder
from ..storage.url_files import fetched
from .configuration import experiment_of, session_of
from .console import ConsoleReporter, print_json
from .options import Cache, Json, Pretrained, Quiet, Root, Sets, SkipMissing, Workers, run_folder

if TYPE_CHECKING:
    from ..progress import Reporter
    from ..shards.index import ShardIndex

__all__ = ["pack"]


Source: TypeAlias = Annotated[
    Path,
    typer.Argument(
        help="What is packed: an experiment's YAML file, a folder of class folders, "
        "an annotation table, a run folder, or a file of features (.safetensors)."
    ),
]
Out: TypeAlias = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder of the shards to write, or its URL.")
]
Features: TypeAlias = Annotated[
    bool, typer.Option("--features", help="Of a run: motion tokens of its networks, to train heads on.")
]
Fold: TypeAlias = Annotated[str | None, typer.Option(help="--features: only this fold.")]
ShardClips: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Clips in a file; else 4,096, and 65,536 with --features.")
]
Verify: TypeAlias = Annotated[
    bool, typer.Option("--verify", help="SOURCE is a folder of shards: read all and compare checksums.")
]


def pack(
    source: Source,
    out: Out = None,
    features: Features = False,
    fold: Fold = None,
    shard_clips: ShardClips = None,
    verify: Verify = False,
    sets: Sets = None,
    root: Root = None,
    pretrained: Pretrained = None,
    workers: Workers = None,
    cache: Cache = None,
    skip_missing: SkipMissing = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a data set as shards: a few Parquet files with an index, checksums, labels, groups and divisions.

    Motion and appearance features come from the cache; clips that it does not hold are read first. An
    interrupted packing resumes where it ended. Then: moclip run EXPERIMENT.yaml
    --set data.kind=shards --set data.root=DIR

    Example: moclip pack experiments/folder.yaml --root DIR --out shards

    Example: moclip pack runs/mine --features --out features
    """
    reporter = ConsoleReporter(quiet)
    if verify:
        from ..shards.read import ShardReader

        reader = ShardReader(source)
        reader.verify(lambda done, total: reporter.progress("verify", done, total))
        _report(reader.index, source, reporter, json)
        return
    if out is None:
        raise typer.BadParameter("name the folder of the shards with --out DIR")
    check_output_folder(out)
    size = {} if shard_clips is None else {"shard_rows": shard_clips}
    if source.suffix.lower() == ".safetensors":
        from ..experiment.feature_pack import pack_file

        index = pack_file(fetched(source), out, progress=lambda *s: reporter.progress("pack", *s), **size)
        _report(index, out, reporter, json)
        return
    named: dict[str, Any] = {"data.root": root, "cache.dir": cache, "clip.pretrained": pretrained}
    named |= {"run.workers": workers, "data.skip_missing": skip_missing}
    session = session_of(experiment_of(source, sets, named), quiet)
    if features:
        from ..experiment.feature_pack import pack_run
        from ..results.run_folder import RunFolder

        run = run_folder(source, quiet)
        RunFolder(run).require()
        index = pack_run(session, run, out, fold, **size)
    else:
        from ..experiment.clip_pack import pack_clips

        index = pack_clips(session, out, **size)
    _report(index, out, session.reporter, json)


def _report(index: ShardIndex, folder: Path, reporter: Reporter, json: bool) -> None:
    if json:
        facts = {"kind": index.kind, "clips": index.rows, "shards": len(index.shards), "bytes": index.size}
        print_json({"path": spelled(folder), **facts, "digest": index.digest})
        return
    files = f"{len(index.shards)} file{'s' if len(index.shards) != 1 else ''}"
    reporter.say(
        f"{spelled(folder)}: {index.kind} of {index.rows:,} clips in {files}, {size_in_words(index.size)}"
    )
