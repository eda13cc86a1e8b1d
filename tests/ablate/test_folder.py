"""The folder of a grid: one grid at a time, tables of its own runs alone, and what earlier grids left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moclip_lite.ablate import Ablation, AblationResult, load_ablation, run_ablation
from moclip_lite.errors import MoclipError
from moclip_lite.progress import Silent
from moclip_lite.storage.lock import FolderLock

from support.cli import assert_refused, moclip
from support.grids import fake_runs, fingerprint_of, grid

HEADS = {"concat_mlp": 0.7, "film": 0.8, "linear_pool": 0.9}
TABLES = {"differences.csv", "plot.png", "summary.csv", "summary.md", "table.csv", "table.parquet"}


class _Heard(Silent):
    """Keeps what is said and warned of."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells take no time: their results are in their folders already."""

    def run_cells(runs: Any, *_: object) -> tuple[list[Any], dict[str, str]]:
        return [], {run.words: fingerprint_of(run) for run in runs}

    monkeypatch.setattr("moclip_lite.ablate.run._extract_features", lambda runs, reporter: [])
    monkeypatch.setattr("moclip_lite.ablate.run._run_cells", run_cells)


def made(tmp_path: Path, **values: Any) -> Ablation:
    """A grid of three heads with finished runs in tmp_path/out."""
    ablation = load_ablation(
        grid(tmp_path / "g.yaml", **{"seeds": [0, 1], "grid": {"fusion.head": list(HEADS)}, **values})
    )
    fake_runs(ablation, tmp_path / "out", HEADS, clips=40)
    return ablation


def result_of(ablation: Ablation, tmp_path: Path, reporter: Silent | None = None) -> AblationResult:
    return run_ablation(ablation, tmp_path / "out", reporter or Silent(), 1)


def test_one_grid_at_a_time_works_in_a_folder(tmp_path: Path) -> None:
    ablation = made(tmp_path)
    lock = FolderLock(tmp_path / "out" / ".lock")
    assert lock.acquire()
    with pytest.raises(MoclipError, match=r"another grid or search is at work in .*choose another --out"):
        result_of(ablation, tmp_path)
    lock.release()
    result_of(ablation, tmp_path)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*TABLES, "runs"}


@pytest.mark.parametrize("change", ["other", "missing"])
def test_results_of_another_grid_are_a_failure_of_their_cell(tmp_path: Path, change: str) -> None:
    """Something else replaced the results of a run after its cell had ended."""
    ablation = made(tmp_path)
    run = next(run for run in ablation.runs(tmp_path / "out") if run.cell["fusion.head"] == "film")
    path = run.experiment.run.dir / "metrics.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"fingerprint": "of another grid"}))
    if change == "missing":
        path.unlink()
    heard = _Heard()
    result = result_of(ablation, tmp_path, heard)
    (failure,) = result.failures
    assert failure.run == run.words
    assert "another command worked there meanwhile; run the grid again" in failure.reason
    assert heard.warned == [f"{failure.run}: {failure.reason}"]
    assert result.summary.set_index("fusion.head")["runs"].to_dict() == {
        "concat_mlp": 2,
        "film": 1,
        "linear_pool": 2,
    }


def test_an_interrupted_grid_leaves_no_tables_of_earlier_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ablation = made(tmp_path)
    result_of(ablation, tmp_path)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*TABLES, "runs"}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("moclip_lite.ablate.run._run_cells", interrupted)
    with pytest.raises(KeyboardInterrupt):
        result_of(ablation, tmp_path)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["runs"]


def test_the_summary_says_what_its_runs_were_made_with(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("data: {frames: 4}\n", encoding="utf-8")
    result_of(made(tmp_path, base="base.yaml", set=["train_head.epochs=7"]), tmp_path)
    text = (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")
    assert "Cells: fusion.head: concat_mlp, film, linear_pool; seeds: 0, 1\n" in text
    assert f"All cells: `{tmp_path / 'base.yaml'}`, `train_head.epochs=7`\n" in text


def test_tables_of_another_grid_in_the_folder_are_spoken_of(tmp_path: Path) -> None:
    heard = _Heard()
    result_of(made(tmp_path), tmp_path, heard)
    result_of(made(tmp_path), tmp_path, heard)
    assert heard.said == []
    result_of(made(tmp_path, grid={"fusion.head": ["concat_mlp", "film"]}), tmp_path, heard)
    assert heard.said == [
        f"{tmp_path / 'out'}: the tables of another grid are replaced (Cells: fusion.head: concat_mlp, film, "
        "linear_pool; seeds: 0, 1); its runs stay, and another --out keeps its tables"
    ]


@pytest.mark.parametrize(
    ("head", "notes"),
    [
        ("film", ["Not compared with fusion.head=concat_mlp (it has no tests of fusion): fusion.head=film."]),
        (
            "concat_mlp",
            [
                "Not compared with fusion.head=concat_mlp (the reference has no tests of fusion): "
                "fusion.head=film; fusion.head=linear_pool."
            ],
        ),
    ],
)
def test_missing_comparisons_are_reported_with_their_reason(
    tmp_path: Path, head: str, notes: list[str]
) -> None:
    ablation, heard = made(tmp_path), _Heard()
    for run in ablation.runs(tmp_path / "out"):
        if run.cell["fusion.head"] == head:
            (run.experiment.run.dir / "predictions_fusion.csv").unlink()
    result = result_of(ablation, tmp_path, heard)
    assert heard.warned == notes
    assert notes[0] in (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")
    assert len(result.differences) == (1 if head == "film" else 0)


def test_grids_of_one_name_are_refused_in_one_call(tmp_path: Path) -> None:
    for name in ("p", "q"):
        (tmp_path / name).mkdir()
        grid(tmp_path / name / "g.yaml")
    words = ("ablate", tmp_path / "p" / "g.yaml", tmp_path / "q" / "g.yaml", "--out", tmp_path / "ab")
    assert_refused(moclip(*words), "would both be written to", str(tmp_path / "ab" / "g"))
    assert not (tmp_path / "ab").exists()
