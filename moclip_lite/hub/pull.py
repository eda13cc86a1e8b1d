"""``moclip pull`` and ``hf://USER/NAME``: a repository of the hub as a run folder.

What comes from a hub is untrusted: only files of known names are fetched, of bounded size; the configuration
is read, stripped of paths and written anew; weights must be safetensors.
Nothing is left where any of this fails.
"""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from ..errors import CheckpointError, ConfigError, MoclipError
from ..experiment.config import load_run_settings
from ..experiment.settings.portable import portable
from ..progress import Reporter
from ..results.fold_folder import FoldFolder
from ..storage.cache import default_cache_dir
from ..storage.files import cache_access, read_json, write_json, write_text
from ..storage.lock import FolderLock
from ..storage.plain_yaml import MOST_BYTES
from ..storage.upkeep import HUB, HUB_LOCK, remove_run
from .address import HubAddress
from .check import check_run, refusal
from .client import HubError, HubOffline, client, explained
from .kept import is_whole, write_digests
from .portable import RUN_FILES, WEIGHTS

__all__ = ["fetched", "pull"]

_MAX_TEXT: Final = 64 * 2**20
_MAX_WEIGHTS: Final = 4 * 2**30
_MAIN: Final = "main"
_REVISIONS: Final = "revisions.json"
_DRAFT: Final = ".pull-draft"  # in an empty folder that a pull fills
_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")


def pull(address: HubAddress, out: Path, reporter: Reporter) -> Path:
    """Fetch a repository into a new folder.

    Args:
        address: of the repository.
        out: folder to make, or an empty one, which stays the same folder: a shell may work in it.
        reporter: told what happens.

    Raises:
        ConfigError: the folder is not empty, or another pull is at work on it.
        HubError: the hub refuses, or can't be reached.
        CheckpointError: the repository holds no run folder, or a damaged one.
    """
    _require_free(out)
    api = client()
    with explained(f"pull {address}"):
        commit = _commit(api, address)
    target = out.resolve()  # "." has no name
    target.parent.mkdir(parents=True, exist_ok=True)
    refusal = ConfigError(f"another pull is at work on {out}; choose another folder with --out")
    with FolderLock(target.with_name(f".{target.name}.lock")).held(refusal):
        draft = target / _DRAFT if target.is_dir() else target.with_name(f".{target.name}-draft")
        try:
            _require_free(out)
            _fetch(api, address, commit, draft, reporter)
            _require_free(out)
            if target.is_dir():
                _move_files(draft, target)
            else:
                draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return out


def _require_free(out: Path) -> None:
    """Refuse a folder that holds anything but the draft of a pull."""
    if out.exists() and (not out.is_dir() or any(path.name != _DRAFT for path in out.iterdir())):
        raise ConfigError(f"{out} is there already; choose another folder with --out")


def _move_files(draft: Path, out: Path) -> None:
    """Move what a folder holds into another one; the configuration last, without which it is no run."""
    for path in sorted(draft.iterdir(), key=lambda path: path.name == "config.yaml"):
        path.rename(out / path.name)


def fetched(address: HubAddress, reporter: Reporter) -> Path:
    """The run folder of a repository.

    Fetched runs are kept in the cache, a folder a commit. Without a connection the one that the address meant
    last is taken.

    Raises:
        HubError, CheckpointError: see :func:`pull`.
        CacheUnavailable: the cache can't be written.
    """
    place = default_cache_dir() / HUB / f"{address.user}--{address.name}"
    api = client()
    try:
        with explained(f"load {address}"):
            commit = _commit(api, address)
    except HubOffline as error:
        copy = _kept(place, address)
        if copy is None:
            raise
        reporter.warn(f"{error}; the copy of commit {copy.name[:8]} in the cache answers")
        _touch(copy)
        return copy
    folder = place / commit
    if not is_whole(folder):
        with cache_access(place):
            place.mkdir(parents=True, exist_ok=True)
            lock = FileLock(place / HUB_LOCK)
            lock.acquire()
        try:
            if not is_whole(folder):  # another process may have fetched it meanwhile
                _replace(api, address, commit, folder, reporter)
        finally:
            lock.release()
    with suppress(OSError, MoclipError):  # a cache that is read-only or full still answers
        _remember(place, address, commit)
    _touch(folder)
    return folder


def _touch(folder: Path) -> None:
    """Mark a run folder of the cache as used now: pruning goes by its time."""
    with suppress(OSError):
        os.utime(folder)


def _replace(api: Any, address: HubAddress, commit: str, folder: Path, reporter: Reporter) -> None:
    """Fetch a commit in place of what there is of it; the caller holds the lock of the repository."""
    for draft in (path for path in folder.parent.glob(".*") if path.is_dir()):  # of fetches that were killed
        shutil.rmtree(draft, ignore_errors=True)
    draft = folder.with_name(f".{folder.name}-draft")
    try:
        _fetch(api, address, commit, draft, reporter)
        write_digests(draft)
        remove_run(folder)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _remember(place: Path, address: HubAddress, commit: str) -> None:
    """Keep what the address means, for times without a connection."""
    known = _remembered(place)
    if known.get(address.revision or _MAIN) != commit:
        write_json(place / _REVISIONS, {**known, address.revision or _MAIN: commit})


def _remembered(place: Path) -> dict[str, str]:
    """Revision -> the commit that it meant last."""
    try:
        known = read_json(place / _REVISIONS)
    except CheckpointError:
        return {}
    return known if isinstance(known, dict) else {}


def _kept(place: Path, address: HubAddress) -> Path | None:
    """The copy in the cache of what the address meant last, or of the commit that it names.

    A revision that was never fetched is a commit if it can be the beginning of one, and no tag.
    """
    copies = [path for path in place.glob("*") if _COMMIT.fullmatch(path.name) and path.is_dir()]
    known, revision = _remembered(place), address.revision or _MAIN
    if revision in known:
        copies = [path for path in copies if path.name == known[revision]]
    elif _COMMIT.fullmatch(revision):
        copies = [path for path in copies if path.name.startswith(revision)]
    else:
        return None
    newest = sorted(copies, key=lambda path: path.stat().st_mtime, reverse=True)
    return next(filter(is_whole, newest), None)


def _commit(api: Any, address: HubAddress) -> str:
    """The commit that the address means now."""
    commit = str(api.model_info(address.repository, revision=address.revision).sha)
    if not _COMMIT.fullmatch(commit):
        raise HubError(f"can't load {address}: the hub names no commit of it")
    return commit


def _fetch(api: Any, address: HubAddress, commit: str, draft: Path, reporter: Reporter) -> None:
    """Download into a draft and check it; the caller holds the target, and removes the draft."""
    with explained(f"pull {address}"):
        sizes = _sizes(api, address, commit)
    reporter.say(f"{address}: {len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB, commit {commit[:8]}")
    shutil.rmtree(draft, ignore_errors=True)  # of a pull that was killed
    draft.mkdir()
    for done, name in enumerate(sizes, start=1):
        with explained(f"pull {address}"):
            _download(api, address, commit, name, draft)
        if (draft / name).stat().st_size != sizes[name]:
            raise HubError(f"can't pull {address}: {name} has another size than the hub says")
        reporter.progress("pull", done, len(sizes))
    _check(draft, address)


def _sizes(api: Any, address: HubAddress, commit: str) -> Mapping[str, int]:
    """Name -> bytes of the run's files in the repository; all other files are left there.

    Raises:
        CheckpointError: it holds no run folder, or a file is too large.
    """
    tree = api.list_repo_tree(address.repository, recursive=True, revision=commit, repo_type="model")
    listed = {str(entry.path): int(getattr(entry, "size", 0) or 0) for entry in tree}
    sizes = {name: listed[name] for name in RUN_FILES if name in listed}
    if not {"config.yaml", "labels.json"} <= set(sizes) or not set(sizes) & set(WEIGHTS):
        raise CheckpointError(
            f"{address} is not a run folder of moclip-lite (it needs config.yaml, labels.json and weights)"
        )
    for name, size in sizes.items():
        if size > _most_bytes(name):
            raise CheckpointError(f"{address}: {name} is too large ({size / 1e6:.0f} MB)")
    return sizes


def _most_bytes(name: str) -> int:
    if name.endswith((".safetensors", ".onnx")):
        return _MAX_WEIGHTS
    return MOST_BYTES if name.endswith(".yaml") else _MAX_TEXT


def _download(api: Any, address: HubAddress, commit: str, name: str, draft: Path) -> None:
    """A file through the cache of huggingface_hub, which resumes interrupted downloads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cached = api.hf_hub_download(address.repository, name, revision=commit, repo_type="model")
    target = draft / name  # `name` is one of RUN_FILES
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(cached, target)


def _check(draft: Path, address: HubAddress) -> None:
    """Check a fetched folder as any run folder, and take paths out of its configuration.

    Raises:
        CheckpointError: damaged, or not of this program.
    """
    folder = FoldFolder(draft)
    with refusal(draft, address, "can't be used"):
        write_text(folder.config, portable(load_run_settings(folder.config)).to_yaml())
        check_run(folder)
