"""``moclip push`` and ``moclip pull``: run folders on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import ConsoleReporter, print_json
from .options import Json, Quiet, run_folder

__all__ = ["pull", "push"]


def push(
    run: Annotated[Path, typer.Argument(help="A run folder, or the folder of one of its folds.")],
    repository: Annotated[str, typer.Argument(help="USER/NAME, or USER/NAME@BRANCH.")],
    update: Annotated[bool, typer.Option("--update", help="Replace the run that is there.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Create it for yourself alone.")] = False,
    licence: Annotated[
        str | None, typer.Option("--license", help="Of the weights, for the model card, such as mit.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Publish a trained model on the Hugging Face hub, with a model card made from its metrics.

    The token is taken from HF_TOKEN or an earlier `hf auth login`; HF_ENDPOINT names another hub.

    Example: moclip push runs/mine USER/NAME
    """
    from ..hub import HubAddress
    from ..hub.push import push as push_run

    reporter = ConsoleReporter(quiet)
    pushed = push_run(
        run_folder(run, quiet),
        HubAddress.parse(repository),
        reporter,
        update=update,
        private=private,
        licence=licence,
    )
    if json:
        names = {"repository": pushed.address.repository, "revision": pushed.address.revision}
        print_json(names | {"url": pushed.url, "commit": pushed.commit, "files": list(pushed.files)})
        return
    reporter.say(f"{pushed.url}, commit {pushed.commit[:8]}")
    reporter.say(f"next: moclip predict YOUR.mp4 --model hf://{pushed.address}")


def pull(
    repository: Annotated[str, typer.Argument(help="USER/NAME, USER/NAME@REVISION, or hf://USER/NAME.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to make; by default NAME here.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Fetch a model from the Hugging Face hub as a run folder.

    Example: moclip pull USER/NAME -o model
    """
    from ..hub import HubAddress
    from ..hub.pull import pull as pull_run
    from ..storage.files import check_output_folder

    address = HubAddress.parse(repository)
    out = out or Path(address.name)
    check_output_folder(out)
    reporter = ConsoleReporter(quiet)
    folder = pull_run(address, out, reporter)
    reporter.close()
    reporter.say(f"next: moclip predict YOUR.mp4 --model {folder}")
