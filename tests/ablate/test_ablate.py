"""Grids: validation, runs, tables and comparisons."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from moclip_lite.ablate import Ablation, condense, figures, load_ablation, run_ablation
from moclip_lite.ablate import run as ablate_run
from moclip_lite.ablate.comparisons import comparisons
from moclip_lite.ablate.summary import mean_table, summary_markdown
from moclip_lite.ablate.tables import notes_of_runs, summarize, tidy_table
from moclip_lite.errors import ConfigError, MoclipError
from moclip_lite.experiment.feature_pack import pack_file
from moclip_lite.experiment.inputs.feature_storage import save_features
from moclip_lite.experiment.session import Session
from moclip_lite.motion.settings import GENERATED
from moclip_lite.progress import Silent
from moclip_lite.storage.files import read_json, write_json
from moclip_lite.storage.plain_yaml import parse_yaml

from support.features import labelled_features
from support.grids import fake_runs, grid
from support.paths import ROOT
from support.pools import InlinePool
from support.waiting import until

pytestmark = pytest.mark.usefixtures("no_drawings")

SHIPPED = sorted((ROOT / "experiments" / "ablations").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_grids_load(path: Path) -> None:
    ablation = load_ablation(path)
    assert len(ablation.cells()) >= 2
    assert ablation.reference in ablation.cells()
    starts = {str(ablation.experiment(cell, 0, Path("out")).motion.start) for cell in ablation.cells()}
    assert len(starts) == 1


@pytest.mark.parametrize(
    ("key", "values", "random"),
    [
        ("motion.grid", [[24, 32], [12, 16]], True),
        ("motion.width", [24, 8], True),
        ("motion.width", [24], False),
        ("motion.flip", [0, 1], False),
    ],
)
@pytest.mark.parametrize("pretrained", ["auto", "generated", "false"])
def test_cells_start_alike(
    key: str, values: list[Any], random: bool, pretrained: str, tmp_path: Path
) -> None:
    path = grid(tmp_path / "g.yaml", grid={key: values}, set=[f"motion.pretrained={pretrained}"])
    if random and pretrained == "generated":
        with pytest.raises(ConfigError, match=f"needs {key}"):
            load_ablation(path)
        return
    ablation = load_ablation(path)
    starts = {ablation.experiment(cell, 0, tmp_path).motion.start for cell in ablation.cells()}
    assert starts == {False if random or pretrained == "false" else GENERATED}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"grid": {"fusion.head": ["concat_mpl"]}}, "did you mean 'concat_mlp'"),
        ({"grid": {"fusion.heads": ["film"]}}, "'fusion.head'"),
        ({"grid": {}}, "grid"),
        ({"grid": {"fusion.head": "film"}}, "lists"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [-1]}, "seeds"),
        ({"stream": "sound"}, "stream"),
        ({"reference": {"fusion.head": "gated_sum"}}, "reference"),
        ({"grid": {"fusion.head": ["film", "film"]}}, "same configuration"),
        ({"grid": {"run.workers": [1, 1.0, "1"]}}, "same configuration"),
        ({"grid": {"run.seed": [0, 1]}}, "run.seed can't be in 'grid': 'seeds' repeats every cell"),
        ({"grid": {"run.seeds": [[0], [1]]}}, "run.seeds can't be in 'grid': 'seeds' repeats every cell"),
        ({"set": ["run.seeds=[0,1]"]}, "run.seeds is for a single run; a grid repeats each cell"),
        ({"grid": {"run.dir": ["a", "b"]}}, "run.dir can't be in 'grid': each run has a folder of its own"),
        ({"set": ["run.seed=7"]}, "run.seed in 'set' has no effect, .* 'seeds' repeats"),
        ({"set": ["fusion.head=film"]}, "fusion.head in 'set' has no effect, because the cells set it"),
        ({"set": ["run.streams=[motion]"]}, "not tested in the reference .fusion.head=concat_mlp"),
        ({"grid": {"run.streams": [["fusion"], ["motion"]]}}, "not tested in any cell but the reference"),
        ({"grid": {"clip.normalize": [True, "true"]}}, "same configuration"),
        ({"sets": []}, "expected the keys"),
    ],
)
def test_grids_that_are_refused(tmp_path: Path, values: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        load_ablation(grid(tmp_path / "g.yaml", **values))


@pytest.mark.parametrize("override", ["fusion.head=film", "run.seed=7", "run.dir=x"])
def test_settings_that_the_cells_set_are_refused_for_all(tmp_path: Path, override: str) -> None:
    path = grid(tmp_path / "g.yaml", grid={"fusion.head": ["film", "late_average"]})
    with pytest.raises(ConfigError, match=f"{override.partition('=')[0]} is given for all cells"):
        load_ablation(path, (override,))


def test_the_reference_takes_the_order_of_the_grid(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    axes = "{motion.width: [8, 24], motion.segments: [2, 4]}"
    path.write_text(f"grid: {axes}\nreference: {{motion.segments: 4, motion.width: 24}}\n", encoding="utf-8")
    ablation = load_ablation(path)
    assert list(ablation.reference.items()) == [("motion.width", "24"), ("motion.segments", "4")]


def test_units_do_not_depend_on_which_cell_is_the_reference(tmp_path: Path) -> None:
    """Only one of the two cells knows groups: they are the units in either direction."""
    found = []
    for head in ("concat_mlp", "film"):
        path = grid(tmp_path / "g.yaml", seeds=[0], reference={"fusion.head": head})
        ablation = load_ablation(path)
        runs = fake_runs(ablation, tmp_path, {"concat_mlp": 0.7, "film": 0.8}, groups=3)
        table = runs[1].experiment.run.dir / "predictions_fusion.csv"
        lines = [line.split(",") for line in table.read_text().splitlines()]
        table.write_text("\n".join(",".join([*line[:4], "", line[5]]) for line in lines[1:]))
        table.write_text("clip,label,predicted,score,group,fold\n" + table.read_text())
        compared = comparisons(ablation, runs)
        assert compared.notes == []
        found.append(compared.table.iloc[0])
    assert found[0]["p"] == found[1]["p"]
    assert found[0]["p"] in (0.25, 0.5, 0.75, 1)  # of the 8 permutations of three units
    assert found[0]["difference"] == -found[1]["difference"]


def test_equal_variants_get_no_verdict(tmp_path: Path) -> None:
    """Equally accurate, wrong on different clips: no difference is shown, whichever has the higher mean."""
    for repeat in range(5):
        ablation = load_ablation(
            grid(tmp_path / "g.yaml", seeds=[3 * repeat, 3 * repeat + 1, 3 * repeat + 2])
        )
        runs = fake_runs(ablation, tmp_path / str(repeat), {"concat_mlp": 0.8, "film": 0.8})
        (row,) = comparisons(ablation, runs).table.to_dict(orient="records")
        assert row["verdict"] == "no difference shown"
        assert row["low"] < 0 < row["high"]


def test_a_better_variant_is_called_better(tmp_path: Path) -> None:
    ablation = load_ablation(grid(tmp_path / "g.yaml", seeds=[0, 1, 2]))
    runs = fake_runs(ablation, tmp_path, {"concat_mlp": 0.7, "film": 0.8})
    (row,) = comparisons(ablation, runs).table.to_dict(orient="records")
    assert row["verdict"] == "better"
    assert row["clips"] == 400
    assert row["difference"] == pytest.approx(
        summarize(tidy_table(runs), ["fusion.head"]).set_index("fusion.head")["mean"].diff().iloc[-1]
    )


def test_cells_whose_clips_have_other_labels_are_not_compared(tmp_path: Path) -> None:
    ablation = load_ablation(grid(tmp_path / "g.yaml", seeds=[0]))
    runs = fake_runs(ablation, tmp_path, {"concat_mlp": 0.7, "film": 0.8})
    table = runs[1].experiment.run.dir / "predictions_fusion.csv"
    table.write_text(table.read_text().replace("c5,a,", "c5,b,"))
    compared = comparisons(ablation, runs)
    assert not len(compared.table)
    assert "(clips have other labels)" in compared.notes[0]


def test_notes_of_runs_stand_in_the_summary_once(tmp_path: Path) -> None:
    ablation = load_ablation(grid(tmp_path / "g.yaml", seeds=[0, 1]))
    runs = fake_runs(ablation, tmp_path, {"concat_mlp": 0.7, "film": 0.8})
    for number, run in enumerate(runs):
        file = run.experiment.run.dir / "metrics.json"
        notes = ["flips are off", *(["odd"] if number % 2 else [])]
        write_json(file, {**read_json(file), "notes": notes})
    assert notes_of_runs(runs) == ["flips are off", "odd (2 of 4 runs)"]


def test_three_groups_show_no_difference(tmp_path: Path) -> None:
    """The same clips from three source videos: three units are too few for a verdict."""
    ablation = load_ablation(grid(tmp_path / "g.yaml", seeds=[0, 1, 2]))
    runs = fake_runs(ablation, tmp_path, {"concat_mlp": 0.7, "film": 0.8}, groups=3)
    (row,) = comparisons(ablation, runs).table.to_dict(orient="records")
    assert row["verdict"] == "no difference shown"


def test_summary_is_over_seeds(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"k": ["1", "1", "2", "2"], "stream": ["fusion"] * 4, "top1": [60.0, 70.0, 99.0, 99.5]}
        | {"seed": [0, 1, 0, 1], "n": [10] * 4, "run_low": [50.0] * 4, "run_high": [100.0] * 4}
        | {key: [1.0] * 4 for key in ("trainable", "gflops", "latency_ms")}
    )
    first, second = summarize(table, ["k"]).to_dict(orient="records")
    assert (first["mean"], first["runs"]) == (65.0, 2)
    assert first["low"] == pytest.approx(65 - 12.706 * 5, abs=0.01)  # t quantile, one degree of freedom
    assert second["high"] == 100.0


def test_seeds_that_agree_exactly_give_no_interval(tmp_path: Path) -> None:
    """An interval without width would say that the mean is certain."""
    table = pd.DataFrame(
        {"fusion.head": "film", "stream": "fusion", "top1": [50 / 1.7] * 2, "seed": [0, 1], "n": [17] * 2}
        | {"run_low": 10.0, "run_high": 55.0}
        | dict.fromkeys(("trainable", "gflops", "latency_ms"), 1.0)
    )
    summary = summarize(table, ["fusion.head"])
    assert summary[["low", "high"]].isna().all(axis=None)
    (row,) = mean_table(load_ablation(grid(tmp_path / "g.yaml")), summary)[1]
    assert row == ["film", "fusion", "29.4", "-", "2"]


def test_mean_of_folds_equals_the_accuracy_in_the_metrics() -> None:
    """Folds of 90 and 10 clips: the run's accuracy is over 100 tests, and so is the grid's."""
    table = pd.DataFrame(
        {
            "k": ["1", "1"],
            "stream": "fusion",
            "seed": 0,
            "n": [90, 10],
            "top1": [100.0, 0.0],
            "run_low": 70.0,
            "run_high": 95.0,
        }
        | dict.fromkeys(("trainable", "gflops", "latency_ms"), 1.0)
    )
    (row,) = summarize(table, ["k"]).to_dict(orient="records")
    assert (row["mean"], row["low"], row["high"], row["runs"]) == (90.0, 70.0, 95.0, 1)


def test_summary_states_how_points_are_paired(tmp_path: Path) -> None:
    ablation = load_ablation(grid(tmp_path / "g.yaml", seeds=[0, 1]))
    runs = fake_runs(ablation, tmp_path, {"concat_mlp": 0.7, "film": 0.8}, clips=40)
    for kept, words in (
        (runs, "count each seed once, the points all tests. Paired"),
        (runs[:-1], "Up to 40 tests of one cell have no partner"),
    ):
        table, found = summarize(tidy_table(kept), ["fusion.head"]), comparisons(ablation, kept)
        summary_markdown(tmp_path / "s.md", ablation, table, found, [])
        text = (tmp_path / "s.md").read_text()
        assert words in text
        assert "Not compared" not in text


def test_summary_names_cells_that_are_not_compared(tmp_path: Path) -> None:
    heads = {"concat_mlp": 0.7, "film": 0.8, "linear_pool": 0.9}
    ablation = load_ablation(grid(tmp_path / "g.yaml", seeds=[0], grid={"fusion.head": list(heads)}))
    runs = fake_runs(ablation, tmp_path, heads, clips=40)
    kept = [run for run in runs if run.cell["fusion.head"] != "film"]
    table, found = summarize(tidy_table(kept), ["fusion.head"]), comparisons(ablation, kept)
    summary_markdown(tmp_path / "s.md", ablation, table, found, [])
    text = (tmp_path / "s.md").read_text()
    assert "Not compared with fusion.head=concat_mlp (it could not be run): fusion.head=film." in text


@pytest.mark.usefixtures("grid_in_process")
def test_a_cell_whose_clips_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    file = tmp_path / "f.safetensors"
    save_features(file, *labelled_features()[:3])
    settings = [
        "data.kind=features",
        "data.protocol=official",
        f"cache.dir={tmp_path / 'c'}",
        "run.streams=[fusion]",
        "train_head.epochs=2",
    ]
    files = {"data.root": [str(file), str(tmp_path / "missing.safetensors")]}
    path = grid(tmp_path / "g.yaml", seeds=[0], set=settings, grid=files)
    result = run_ablation(load_ablation(path), tmp_path / "out", Silent(), workers=1)
    (failure,) = result.failures
    assert "missing.safetensors" in failure.run
    assert "missing.safetensors" in failure.reason
    assert set(result.summary["data.root"]) == {str(file)}


@pytest.mark.usefixtures("grid_in_process")
@pytest.mark.parametrize("values", [["cosine_text", "linear_pool"], ["linear_pool", "cosine_text"]])
@pytest.mark.parametrize("remote", [False, True])
def test_a_cell_whose_settings_do_not_go_together_fails_alone(
    tmp_path: Path, values: list[str], remote: bool
) -> None:
    """A head on class text needs features with text."""
    file = tmp_path / "f.safetensors"
    save_features(file, *labelled_features()[:3])
    settings = [
        f"data.root={file}",
        "data.kind=features",
        "data.protocol=official",
        f"cache.dir={tmp_path / 'c'}",
        "run.streams=[fusion]",
        "train_head.epochs=2",
    ]
    path = grid(tmp_path / "g.yaml", seeds=[0], set=settings, grid={"fusion.head": values})
    workers = _Elsewhere() if remote else 1
    result = run_ablation(load_ablation(path), tmp_path / "out", Silent(), workers)
    (failure,) = result.failures
    assert "cosine_text" in failure.run
    assert set(result.summary["fusion.head"]) == {"linear_pool"}


class _Elsewhere:
    """Jobs of other machines, done here."""

    processes, remote = 1, True

    def run(self, work: Any, jobs: Any, **_: object) -> Iterator[tuple[Any, Any]]:
        for job in jobs:
            yield job, work(job)


_PARENT = """
import sys, time
from moclip_lite.parallel.pool import worker_pool
if __name__ == "__main__":
    pool = worker_pool(1)
    print(pool.submit(__import__("os").getpid).result(), flush=True)
    pool.submit(time.sleep, 600)
    time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(_PARENT)
    command = [sys.executable, tmp_path / "parent.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
    place = Path(f"/proc/{worker}/stat")

    def ended() -> bool:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return place.read_text().rsplit(")", 1)[1].split()[0] == "Z"
        return True

    try:
        until(ended)
    except AssertionError:
        os.kill(worker, signal.SIGKILL)
        raise


def test_streams_that_the_grid_does_not_affect_have_one_row() -> None:
    rows = [
        {"k": k, "stream": s, "mean": m, "low": 0, "high": 100, "runs": 2, "trainable": 1, "gflops": np.nan}
        for k in "ab"
        for s, m in (("fusion", ord(k)), ("motion", 5))
    ]
    shown = condense(pd.DataFrame(rows), ["k"])
    assert list(zip(shown["k"], shown["stream"], strict=True)) == [
        ("a", "fusion"),
        ("b", "fusion"),
        ("all", "motion"),
    ]


def test_cells_that_are_all_right_keep_their_rows() -> None:
    """Without an interval equal means say nothing."""
    row = {"stream": "motion", "mean": 100.0, "low": np.nan, "high": np.nan, "runs": 2, "trainable": 1}
    shown = condense(pd.DataFrame([{"k": k, **row, "gflops": 1.0} for k in "ab"]), ["k"])
    assert list(shown["k"]) == ["a", "b"]


def test_curves_are_drawn_from_left_to_right(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[float]] = []
    axes = SimpleNamespace(
        plot=lambda x, *_, **__: (drawn.append(list(x)), [SimpleNamespace(get_color=lambda: "r")])[1],
        fill_between=lambda x, *_, **__: drawn.append(list(x)),
        set_xscale=lambda *_, **__: None,
        **{
            name: lambda *_, **__: None
            for name in ("set_xticks", "minorticks_off", "set_xlabel", "set_ylabel")
        },
        grid=lambda **_: None,
        legend=lambda **_: None,
    )
    rows = [{"e": e, "stream": "motion", "mean": m, "low": 0.0, "high": 1.0} for e, m in (("8", 1), ("2", 2))]
    figures._draw_curves(axes, "e", [8.0, 2.0], [("8",), ("2",)], pd.DataFrame(rows))  # type: ignore[arg-type]
    assert drawn == [[2.0, 8.0], [2.0, 8.0]]


@pytest.mark.parametrize("reverse", [False, True])
def test_cells_of_equal_means_keep_their_rows(reverse: bool) -> None:
    """50 and 90 % over two seeds are no 70 and 70 %."""
    table = pd.DataFrame(
        {"k": ["1", "1", "2", "2"], "stream": "fusion", "top1": [50.0, 90.0, 70.0, 70.0], "seed": [0, 1] * 2}
        | dict.fromkeys(("n", "trainable", "gflops", "latency_ms"), 10)
        | {"run_low": 0.0, "run_high": 100.0}
    )
    shown = condense(summarize(table[::-1] if reverse else table, ["k"]), ["k"])
    assert sorted(shown["k"]) == ["1", "2"]


def test_a_finished_grid_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes, one cell that can't be run; the second time nothing is trained."""
    file = tmp_path / "f.safetensors"
    data, motion, appearance, _ = labelled_features()
    save_features(file, data, motion, appearance)  # no text embeddings: the adapter can't start
    settings = [
        "data.kind=features",
        f"data.root={file}",
        "data.protocol=official",
        f"cache.dir={tmp_path / 'c'}",
        "run.streams=[fusion]",
        "train_head.epochs=15",
    ]
    heads = ["concat_mlp", "film", "residual_adapter"]
    path = grid(tmp_path / "g.yaml", seeds=[0, 1], set=settings, grid={"fusion.head": heads})
    result = run_ablation(load_ablation(path), tmp_path / "out", Silent(), workers=2)
    assert [failure.reason for failure in result.failures] == [
        f"{file} holds no text embeddings of the labels"
    ] * 2
    fused = result.summary[result.summary["stream"] == "fusion"]
    assert list(fused["fusion.head"]) == ["concat_mlp", "film"]
    assert (fused["mean"] > 75).all()
    assert list(result.differences["fusion.head"]) == ["film"]
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {
        "differences.csv",
        "plot.png",
        "runs",
        "summary.csv",
        "summary.md",
        "table.csv",
        "table.parquet",
    }
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "out" / "table.parquet"),
        pd.read_csv(tmp_path / "out" / "table.csv"),
        check_dtype=False,
    )
    weights = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.safetensors")}
    monkeypatch.setattr("moclip_lite.ablate.run.worker_pool", lambda count: InlinePool())
    run_ablation(load_ablation(path), tmp_path / "out", Silent(), workers=1)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.safetensors")} == weights


@pytest.mark.usefixtures("grid_in_process")
def test_a_grid_streams_shards_and_gives_the_scores_of_the_file(tmp_path: Path) -> None:
    file, shards = tmp_path / "f.safetensors", tmp_path / "shards"
    save_features(file, *labelled_features()[:3])
    pack_file(file, shards, shard_rows=50)
    tables = []
    for kind, root in (("features", file), ("shards", shards)):
        settings = [f"data.kind={kind}", f"data.root={root}", "data.protocol=official", "data.buffer=40"]
        settings += [f"cache.dir={tmp_path / kind}", "run.streams=[fusion]", "train_head.epochs=3"]
        path = grid(tmp_path / f"{kind}.yaml", seeds=[0], set=settings)
        result = run_ablation(load_ablation(path), tmp_path / f"{kind}-out", Silent(), workers=1)
        assert not result.failures
        tables.append(result.summary.drop(columns="latency_ms"))
    pd.testing.assert_frame_equal(*tables)


def test_a_grid_without_a_finished_cell_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "f.safetensors"
    settings = [
        "data.kind=features",
        f"data.root={file}",
        f"cache.dir={tmp_path / 'c'}",
        "run.streams=[fusion]",
    ]
    path = grid(tmp_path / "g.yaml", seeds=[0], set=settings)
    with pytest.raises(MoclipError, match="no cell of the grid could be run"):
        run_ablation(load_ablation(path), tmp_path / "out", Silent(), workers=1)


@pytest.mark.parametrize(
    "word", ["on", "off", "yes", "n", "007", "1:30", "2024-01-01", "0x10", "1e3", ".5", "~x", "true"]
)
def test_text_of_a_grid_stays_text(word: str, tmp_path: Path) -> None:
    """Text settings, in the grid, as the reference and with quotes."""
    path = tmp_path / "g.yaml"
    path.write_text(
        f"grid:\n  data.recipe: [{word}, other]\nreference: {{data.recipe: {word}}}\nseeds: [1, 1, 2]\n"
    )
    ablation = load_ablation(path)
    recipes = [ablation.experiment(cell, 1, tmp_path).data.recipe for cell in ablation.cells()]
    assert recipes == [word, "other"]
    assert (ablation.reference, ablation.seeds) == ({"data.recipe": word}, (1, 2))


def test_values_of_a_grid_have_the_type_of_their_setting(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(
        "grid:\n  motion.grid: [[6, 8]]\n  clip.normalize: [on, false]\n  train_motion.lr: [1e-3]\n"
        "  data.train_per_class: [null]\n"
    )
    ablation = load_ablation(path)
    first, second = (ablation.experiment(cell, 0, tmp_path) for cell in ablation.cells())
    assert (first.clip.normalize, second.clip.normalize) == (True, False)
    assert (first.motion.grid, first.train_motion.lr, first.data.train_per_class) == ((6, 8), 1e-3, None)


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ("[1, 2, 4]", [1, 2, 4]),
        ("[0.5, 1e0, null]", [0.5, 1, 2]),
        ("[on, off, yes]", None),
        ("[1, 2]", None),
        ("[1, .inf, nan]", None),
    ],
)
def test_numbers_of_a_grid_have_axis_positions(
    values: str, places: list[float] | None, tmp_path: Path
) -> None:
    from moclip_lite.ablate.figures import _axis_positions

    row = parse_yaml(values)
    assert (
        _axis_positions(
            Ablation("g", None, (), {"data.recipe": row}, (0,), "fusion", {"data.recipe": row[0]})
        )
        == places
    )


def test_a_bug_in_one_cell_is_reported_with_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error is not a reason why a cell can't be run; the other cells go on."""
    file = tmp_path / "f.safetensors"
    save_features(file, *labelled_features()[:3])
    settings = [
        "data.kind=features",
        f"data.root={file}",
        "data.protocol=official",
        f"cache.dir={tmp_path / 'c'}",
        "run.streams=[fusion]",
        "train_head.epochs=2",
    ]
    run_experiment = ablate_run.run_experiment

    def broken(session: Session) -> object:
        if session.experiment.fusion.head == "film":
            raise ValueError("wrong shape")
        return run_experiment(session)

    monkeypatch.setattr(ablate_run, "run_experiment", broken)
    monkeypatch.setattr(ablate_run, "worker_pool", lambda workers: ThreadPoolExecutor(1))
    path = grid(tmp_path / "g.yaml", seeds=[0], set=settings)
    result = run_ablation(load_ablation(path), tmp_path / "out", Silent(), workers=1)
    (failure,) = result.failures
    assert (failure.run, failure.reason) == (
        "fusion.head=film, seed 0",
        "a bug in this program (ValueError: wrong shape)",
    )
    assert set(result.summary["fusion.head"]) == {"concat_mlp"}
    (record,) = [r for r in caplog.records if r.name == "moclip.bugs"]
    assert record.exc_info is not None
    assert record.exc_info[0] is ValueError
