"""Some of the folds of a trained run are found where all were trained."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from moclip_lite.datasets import Fold
from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.trained_run import trained_run
from moclip_lite.results.metrics import Metrics
from moclip_lite.results.run_folder import RunFolder

SPLITS = ("split1", "split2", "split3")
SEEDS = ("split1-seed1", "split1-seed2")


def asked(folds: tuple[str, ...], *settings: str) -> Any:
    """A session of these folds."""
    return SimpleNamespace(
        experiment=load_experiment(None, settings), folds=[Fold(name, (), (), ()) for name in folds]
    )


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("trained", "session", "places"),
    [
        (SPLITS, asked(("split2",)), ["folds/split2"]),
        (SPLITS, asked(("split3", "split1")), ["folds/split3", "folds/split1"]),
        (SPLITS, asked(("other",)), ["."]),
        (SEEDS, asked(("split1",), "run.seeds=[2]"), ["folds/split1-seed2"]),
        (SEEDS, asked(("split1",), "run.seed=1"), ["folds/split1-seed1"]),
        (SEEDS, asked(SEEDS, "run.seeds=[1,2]"), ["folds/split1-seed1", "folds/split1-seed2"]),
        (("split1",), asked(("split1",)), ["."]),
    ],
)
def test_folds_are_found_where_they_were_trained(
    tmp_path: Path, finished: bool, trained: tuple[str, ...], session: Any, places: list[str]
) -> None:
    run = RunFolder(tmp_path, trained)
    for name in trained:
        run.fold(name).describe("", ["a"])
        run.fold(name).division.write_text(json.dumps({"fold": name}))
    if finished:
        run.metrics.write_text(json.dumps(Metrics({}, folds=trained).to_json()))
    found = trained_run(session, tmp_path)
    assert [found.fold(fold.name).path for fold in session.folds] == [tmp_path / place for place in places]
