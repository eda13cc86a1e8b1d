"""``moclip push``: a run folder to a repository of the hub, in one commit."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine.files import onnx_folder
from ..errors import CheckpointError
from ..experiment.config import load_run_settings
from ..experiment.settings.portable import portable
from ..progress import Reporter
from ..results.fold_folder import FoldFolder
from ..results.metrics import Metrics
from ..results.run_folder import RunFolder
from .address import HubAddress
from .card import model_card
from .check import check_networks, check_run, refusal
from .client import HubError, client, endpoint, explained, token
from .portable import CARD, PAGE, RUN_FILES, portable_files, private_paths

__all__ = ["Pushed", "push"]


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        address: of the repository, with the revision that was named.
        url: page of the repository.
        commit: its commit.
        files: names of the files that the repository holds of the run.
    """

    address: HubAddress
    url: str
    commit: str
    files: tuple[str, ...]


def push(
    run: Path,
    address: HubAddress,
    reporter: Reporter,
    *,
    update: bool = False,
    private: bool = False,
    licence: str | None = None,
) -> Pushed:
    """Publish a run folder: weights, what is needed to use them, scores, report, and a model card.

    Args:
        run: a run folder, or the folder of one fold.
        address: of the repository; it is created if it is not there.
        reporter: told what happens.
        update: replace the run that the repository holds.
        private: create a repository that only its owner sees.
        licence: identifier for the card, such as "mit".

    Raises:
        MissingPackage: huggingface_hub is not installed.
        CheckpointError: no run folder that others could use, or a file of it holds a path of this machine.
        HubError: no token, the repository holds a run already, or the hub refuses.
    """
    api = client()
    files = _files(FoldFolder(run), address, licence)
    if not token():
        raise HubError(f"can't push to {address}: there is no token; set HF_TOKEN, or run `hf auth login`")
    with explained(f"push to {address}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a token in a header, file formats and the like
        api.create_repo(address.repository, repo_type="model", private=private or None, exist_ok=True)
        if private and not api.repo_info(address.repository, repo_type="model").private:
            raise HubError(
                f"can't push to {address}: the repository is there and public; "
                "make it private in its settings on the hub, or choose another name"
            )
        present = _present(api, address)
        if "config.yaml" in present and not update:
            raise HubError(
                f"can't push to {address}: it holds a run already; "
                "--update replaces it, or choose another name"
            )
        reporter.say(f"{len(files)} files to {endpoint()}/{address.repository}: {', '.join(sorted(files))}")
        commit = api.create_commit(
            address.repository,
            repo_type="model",
            revision=address.revision,
            operations=_operations(files, present),
            commit_message=f"{'Update' if 'config.yaml' in present else 'Add'} a run of moclip-lite",
        )
    url = f"{endpoint()}/{address.repository}"
    return Pushed(address, url, str(commit.oid), tuple(sorted(files)))


def _present(api: Any, address: HubAddress) -> set[str]:
    """Names of files in the repository; none in one that was just created."""
    tree = api.list_repo_tree(
        address.repository, recursive=True, revision=address.revision, repo_type="model"
    )
    return {str(entry.path) for entry in tree}


def _operations(files: dict[str, bytes | Path], present: set[str]) -> list[Any]:
    """Add all files, and delete those of an earlier run that this one does not have."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    stale = (present & {*RUN_FILES, PAGE}) - set(files)
    return [
        *(
            CommitOperationAdd(path_in_repo=name, path_or_fileobj=_readable(files[name]))
            for name in sorted(files)
        ),
        *(CommitOperationDelete(path_in_repo=name) for name in sorted(stale)),
    ]


def _readable(content: bytes | Path) -> bytes | str:
    return str(content) if isinstance(content, Path) else content


def _files(folder: FoldFolder, address: HubAddress, licence: str | None) -> dict[str, bytes | Path]:
    """What is published of a run folder, checked as :mod:`.pull` checks it where it is fetched.

    Raises:
        CheckpointError, ConfigError, MissingPackage: see :func:`push`.
    """
    files = portable_files(folder, address.repository)
    if missing := RunFolder(folder.path).missing_answers():
        raise CheckpointError(missing[0])
    files[CARD] = _card(folder, address, files, licence).encode()
    private = private_paths(folder)
    with tempfile.TemporaryDirectory(prefix="moclip-push-") as name:
        draft = Path(name)
        for file, content in files.items():
            data = content if isinstance(content, bytes) else content.read_bytes()
            private.refuse(file, data)
            (draft / file).parent.mkdir(exist_ok=True)
            (draft / file).write_bytes(data)
        with refusal(draft, folder.path, "can't be published"):
            check_run(FoldFolder(draft))
        networks = onnx_folder(folder)
        advice = f"`moclip export {folder.path} --engine` writes them again, or remove {networks}"
        with refusal(draft, folder.path, "can't be published", advice):
            check_networks(FoldFolder(draft))
    return files


def _card(
    folder: FoldFolder, address: HubAddress, files: Mapping[str, bytes | Path], licence: str | None
) -> str:
    """The model card, by what is published."""
    content = files.get("metrics.json")
    metrics = Metrics.from_json(json.loads(content)) if isinstance(content, bytes) else None
    fold = folder.path.name if folder.path != folder.run_path else None
    experiment = portable(load_run_settings(folder.config))
    return model_card(address, experiment, folder.read_labels(), metrics, fold=fold, licence=licence)
