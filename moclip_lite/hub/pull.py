"""``moclip pull`` and ``hf://USER/NAME``: a repository of the hub as a run folder.

What comes from a hub is untrusted: only files of known names are fetched, of bounded size; the configuration
is read, stripped of paths and written anew; weights must be safetensors.
Nothing is left where any of this fails.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ..errors import CheckpointError, ConfigError, MoclipError
from ..experiment.config import load_run_settings
from ..experiment.portable import portable
from ..progress import Reporter
from ..results.fold_folder import FoldFolder
from ..results.metrics import Metrics
from ..storage.cache import default_cache_dir
from ..storage.files import read_json, read_metadata, write_json, write_text
from ..storage.plain_yaml import MOST_BYTES
from .address import HubAddress
from .client import HubError, HubOffline, client, explained
from .portable import RUN_FILES, WEIGHTS

__all__ = ["fetched", "pull"]

_MAX_TEXT: Final = 64 * 2**20
_MAX_WEIGHTS: Final = 4 * 2**30
_MAIN: Final = "main"
_REVISIONS: Final = "revisions.json"
_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")


def pull(address: HubAddress, out: Path, reporter: Reporter) -> Path:
    """Fetch a repository into a new folder.

    Args:
        address: of the repository.
        out: folder to make; it must not exist or be empty.
        reporter: told what happens.

    Raises:
        ConfigError: the folder is not empty.
        HubError: the hub refuses, or can't be reached.
        CheckpointError: the repository holds no run folder, or a damaged one.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is there already; choose another folder with --out")
    api = client()
    with explained(f"pull {address}"):
        commit = _commit(api, address)
    _fetch(api, address, commit, out, reporter)
    return out


def fetched(address: HubAddress, reporter: Reporter) -> Path:
    """The run folder of a repository.

    Fetched runs are kept in the cache, a folder a commit. Without a connection the one that the address meant
    last is taken.

    Raises:
        ConfigError, HubError, CheckpointError: see :func:`pull`.
    """
    place = default_cache_dir() / "hub" / f"{address.user}--{address.name}"
    api = client()
    try:
        with explained(f"load {address}"):
            commit = _commit(api, address)
    except HubOffline as error:
        copy = _kept(place, address)
        if copy is None:
            raise
        reporter.warn(f"{error}; the copy of commit {copy.name[:8]} in the cache answers")
        return copy
    folder = place / commit
    if not (folder / "config.yaml").is_file():
        _fetch(api, address, commit, folder, reporter)
    with suppress(OSError, MoclipError):  # a cache that is read-only or full still answers
        _remember(place, address, commit)
    return folder


def _remember(place: Path, address: HubAddress, commit: str) -> None:
    """Keep what the address means, for times without a connection."""
    known = _remembered(place)
    if known.get(address.revision or _MAIN) != commit:
        write_json(place / _REVISIONS, {**known, address.revision or _MAIN: commit})


def _remembered(place: Path) -> dict[str, str]:
    """Revision -> the commit that it meant last; empty in caches of older versions."""
    try:
        known = read_json(place / _REVISIONS)
    except CheckpointError:
        return {}
    return known if isinstance(known, dict) else {}


def _kept(place: Path, address: HubAddress) -> Path | None:
    """The copy in the cache of what the address meant last, or of the commit that it names."""
    copies = [path.parent for path in place.glob("*/config.yaml") if _COMMIT.fullmatch(path.parent.name)]
    known = _remembered(place)
    meant = known.get(address.revision or _MAIN, address.revision)
    if meant is not None:
        copies = [path for path in copies if path.name.startswith(meant)]
    elif known:  # other revisions than the main branch
        return None
    return max(copies, key=lambda path: path.stat().st_mtime, default=None)


def _commit(api: Any, address: HubAddress) -> str:
    """The commit that the address means now."""
    commit = str(api.model_info(address.repository, revision=address.revision).sha)
    if not _COMMIT.fullmatch(commit):
        raise HubError(f"can't load {address}: the hub names no commit of it")
    return commit


def _fetch(api: Any, address: HubAddress, commit: str, out: Path, reporter: Reporter) -> None:
    """Download into a draft beside the target, check it, and rename it."""
    with explained(f"pull {address}"):
        sizes = _sizes(api, address, commit)
    reporter.say(f"{address}: {len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB, commit {commit[:8]}")
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    try:
        for done, name in enumerate(sizes, start=1):
            with explained(f"pull {address}"):
                _download(api, address, commit, name, draft)
            if (draft / name).stat().st_size != sizes[name]:
                raise HubError(f"can't pull {address}: {name} has another size than the hub says")
            reporter.progress("pull", done, len(sizes))
        _check(draft, address)
        if out.is_dir():
            out.rmdir()  # empty, see pull
        draft.chmod(0o755)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


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
    try:
        experiment = load_run_settings(folder.config)
        if experiment.data.kind == "features":
            raise CheckpointError("it was trained on a file of features and can't read videos")
        write_text(folder.config, portable(experiment).to_yaml())
        folder.read_labels()
        for path in draft.glob("*.safetensors"):
            read_metadata(path)
        for path in draft.rglob("*.json"):
            read_json(path)
        if (draft / "metrics.json").is_file():
            Metrics.read(draft / "metrics.json")
    except (MoclipError, ValueError) as error:
        reason = " ".join(str(error).replace(f"{draft}/", "").split())
        raise CheckpointError(f"{address} can't be used: {reason}") from error
