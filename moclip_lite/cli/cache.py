"""``moclip cache``: look after the features on disk."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated

import typer

from .console import err, print_json, print_table
from .options import Cache, Json, finite

__all__ = ["app"]

app = typer.Typer(help="Look after cached features.", no_args_is_help=True)


@app.command()
def info(cache: Cache = None, json: Json = False) -> None:
    """What the cache holds.

    Example: moclip cache info
    """
    from ..storage.cache import FeatureCache

    store = FeatureCache(cache)
    count: dict[str, int] = defaultdict(int)
    size: dict[str, int] = defaultdict(int)
    for entry in store.entries():
        count[entry.stage] += 1
        size[entry.stage] += entry.size
    if json:
        stages = {stage: {"entries": count[stage], "bytes": size[stage]} for stage in sorted(count)}
        print_json({"path": str(store.root), "stages": stages})
        return
    rows = [[stage, str(count[stage]), f"{size[stage] / 1e6:.1f}"] for stage in sorted(count)]
    print_table(str(store.root), ["stage", "entries", "MB"], rows)


@app.command()
def verify(
    cache: Cache = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove damaged entries.")] = False,
    json: Json = False,
) -> None:
    """Read every entry and name the damaged ones; exit code 2 if some remain.

    Example: moclip cache verify --remove
    """
    from ..storage.cache import FeatureCache

    store = FeatureCache(cache)
    damaged = store.verify()
    for entry, _ in damaged if remove else ():
        entry.path.unlink(missing_ok=True)
    if json:
        rows = [{"path": str(entry.path), "reason": reason} for entry, reason in damaged]
        print_json({"damaged": rows, "removed": remove})
    elif damaged:
        print_table("damaged entries", ["entry", "reason"], [[str(e.path), r] for e, r in damaged])
    else:
        err.print("all entries are sound")
    if damaged and not remove:
        raise typer.Exit(2)


@app.command()
def prune(
    stage: Annotated[
        str | None,
        typer.Option(
            help="Only this stage: folds, motion, clip, motion_tokens, text, trained, window or video."
        ),
    ] = None,
    days: Annotated[
        float | None, typer.Option(min=0, callback=finite, help="Only entries older than so many days.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Everything.")] = False,
    cache: Cache = None,
) -> None:
    """Remove entries by stage, by age, or all of them.

    Example: moclip cache prune --days 90
    """
    from ..storage.cache import FeatureCache
    from ..storage.cache_keys import STAGES

    if stage is None and days is None and not all_:
        raise typer.BadParameter("say what to remove: --stage, --days or --all")
    if stage is not None and stage not in STAGES:
        raise typer.BadParameter(f"--stage must be one of {', '.join(STAGES)}, got {stage!r}")
    count, freed = FeatureCache(cache).prune(stage, days)
    err.print(f"removed {count} entries, {freed / 1e6:.1f} MB")
