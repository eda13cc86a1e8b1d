"""``moclip cache``: describe, verify and prune the feature cache."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from mv_tools.urls import spelled

from ..progress import size_in_words
from .console import err, print_json, print_table
from .options import Cache, Json, finite

__all__ = ["app"]

app = typer.Typer(help="Inspect, verify and prune cached features.", no_args_is_help=True)


@app.command()
def info(cache: Cache = None, json: Json = False) -> None:
    """Count the entries of the cache and their size by stage.

    Example: moclip cache info
    """
    from ..storage import upkeep
    from ..storage.cache import FeatureCache

    store = FeatureCache(cache)
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for entry in [*store.entries(), *upkeep.other_entries(store)]:
        counts[entry.stage] += 1
        sizes[entry.stage] += entry.size
    if json:
        stages = {stage: {"entries": counts[stage], "bytes": sizes[stage]} for stage in sorted(counts)}
        print_json({"path": store.shown, "stages": stages})
        return
    rows = [[stage, str(counts[stage]), size_in_words(sizes[stage])] for stage in sorted(counts)]
    print_table(store.shown, ["stage", "entries", "size"], rows)


@app.command()
def verify(
    cache: Cache = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove damaged entries.")] = False,
    json: Json = False,
) -> None:
    """Read every entry and list the damaged ones; exit code 2 if some remain.

    Example: moclip cache verify --remove
    """
    from ..storage import upkeep
    from ..storage.cache import FeatureCache

    store = FeatureCache(cache)
    found = upkeep.verify(store, _check_run)
    damaged = found.damaged
    if remove:
        for entry, _ in damaged:
            upkeep.remove(store, entry)
    if json:
        rows = [{"path": spelled(entry.path), "reason": reason} for entry, reason in damaged]
        print_json({"entries": found.entries, "damaged": rows, "removed": remove})
    elif damaged:
        print_table(
            f"{len(damaged)} of {_entries(found.entries)} damaged",
            ["entry", "reason"],
            [[spelled(entry.path), reason] for entry, reason in damaged],
        )
    else:
        err.print(f"{_entries(found.entries)} read, none is damaged")
    if damaged and not remove:
        raise typer.Exit(2)


def _check_run(folder: Path) -> None:
    from ..hub.kept import check_kept

    check_kept(folder)


def _entries(count: int) -> str:
    return f"{count} entr{'y' if count == 1 else 'ies'}"


@app.command()
def prune(
    stage: Annotated[
        str | None, typer.Option(help="Only this stage, as `moclip cache info` lists it.")
    ] = None,
    days: Annotated[
        float | None, typer.Option(min=0, callback=finite, help="Only entries older than this many days.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Remove all entries.")] = False,
    cache: Cache = None,
) -> None:
    """Remove entries by stage, by age, or all of them.

    Example: moclip cache prune --days 90
    """
    from ..storage import upkeep
    from ..storage.cache import FeatureCache
    from ..storage.cache_keys import cached_stages

    if stage is None and days is None and not all_:
        raise typer.BadParameter("say what to remove: --stage, --days or --all")
    if stage is not None and stage not in cached_stages():
        raise typer.BadParameter(f"--stage must be one of {', '.join(cached_stages())}, got {stage!r}")
    count, freed = upkeep.prune(FeatureCache(cache), stage, days)
    err.print(f"removed {count} entries, {size_in_words(freed)}")
