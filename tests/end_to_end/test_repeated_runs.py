"""Nothing is computed twice: finished, changed, continued and killed runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from support.cli import (
    FOLDER_YAML,
    QUICK,
    TrainedRun,
    assert_ok,
    entries,
    many_clips,
    moclip,
    sets,
    slow_reading,
    start,
    stop_when_filled,
)
from support.run_files import STREAMS, modification_times, read_metrics


def test_second_run_does_nothing_and_says_so(trained: TrainedRun) -> None:
    before = modification_times(trained.folder), modification_times(trained.cache, "*.safetensors")
    again = assert_ok(moclip(*trained.words(), "--json"))
    assert "motion: nothing to do, all 32 clips are in the cache" in again.err
    assert "clip: nothing to do, all 32 clips are in the cache" in again.err
    assert "nothing to do, this experiment is finished" in again.err
    assert "loading" not in again.err
    assert again.json == read_metrics(trained.folder)
    assert (modification_times(trained.folder), modification_times(trained.cache, "*.safetensors")) == before


def test_a_finished_run_imports_nothing_heavy(trained: TrainedRun) -> None:
    """Seconds of imports are most of what a run with nothing to do would take."""
    program = (
        "import json, sys\n"
        "from moclip_lite.cli import main\n"
        "done = [main(words) for words in json.loads(sys.argv[1])]\n"
        "heavy = ('torch', 'sklearn', 'scipy', 'pandas', 'matplotlib', 'open_clip', 'timm', 'transformers')\n"
        "sys.exit(f'{done} {[name for name in heavy if name in sys.modules]}')\n"
    )
    run = [str(word) for word in trained.words()]
    calls = json.dumps([["--help"], ["dataset", "list", *run[1:]], run])
    found = subprocess.run([sys.executable, "-c", program, calls], capture_output=True, text=True)
    assert "this experiment is finished" in found.stderr
    assert found.stderr.splitlines()[-1] == "[0, 0, 0] []"


def test_run_folder_is_an_experiment(trained: TrainedRun) -> None:
    again = assert_ok(moclip("run", trained.folder))
    assert "this experiment is finished" in again.err


def test_same_seed_gives_the_same_answers(trained: TrainedRun, tmp_path: Path) -> None:
    assert_ok(moclip(*trained.words(tmp_path / "run")))
    first, second = read_metrics(trained.folder), read_metrics(tmp_path / "run")
    for stream in STREAMS:
        assert first[stream] == second[stream]
        name = f"predictions_{stream}.csv"
        assert (trained.folder / name).read_text() == (tmp_path / "run" / name).read_text()


def test_only_what_a_setting_touches_is_trained_again(trained: TrainedRun, tmp_path: Path) -> None:
    folder = trained.copy(tmp_path / "run")
    before = modification_times(folder)
    outcome = assert_ok(moclip(*trained.words(folder), "--set", "fusion.hidden=16", "--json"))
    assert "motion: already trained" in outcome.err
    after = modification_times(folder)
    assert after["motion.safetensors"] == before["motion.safetensors"]
    assert after["fusion.safetensors"] != before["fusion.safetensors"]
    assert outcome.json["motion"] == read_metrics(trained.folder)["motion"]


def test_train_motion_then_fusion(trained: TrainedRun, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = trained.words(folder)[1:]
    first = assert_ok(moclip("train", "motion", *words, "--json")).json
    assert "fusion" not in first
    assert "appearance" not in first
    assert first["motion"]["n"] == 8
    assert not (folder / "fusion.safetensors").exists()
    weights = modification_times(folder)["motion.safetensors"]
    second = assert_ok(moclip("train", "fusion", *words, "--json"))
    assert "motion: already trained" in second.err
    assert modification_times(folder)["motion.safetensors"] == weights
    assert second.json["motion"] == first["motion"]
    assert second.json["fusion"] == read_metrics(trained.folder)["fusion"]


def test_heads_are_trained_again_on_exported_features(trained: TrainedRun, tmp_path: Path) -> None:
    """The same clips, features and settings, without the videos: the same scores."""
    file, folder = tmp_path / "features.safetensors", tmp_path / "heads"
    assert_ok(moclip("extract", "features", trained.folder, "--out", file))
    settings = (
        "data.kind=features",
        f"data.root={file}",
        "data.protocol=official",
        "run.streams=[appearance,fusion]",
    )
    found = assert_ok(moclip(*trained.words(folder), *sets(settings), "--json")).json
    assert found["appearance_weights"] == f"features of {file}"
    assert found["fusion"]["n"] == read_metrics(trained.folder)["fusion"]["n"]
    assert found["fusion"]["top1"] >= 75


def test_goes_on_after_a_kill(tmp_path: Path) -> None:
    cache, data, folder = tmp_path / "cache", tmp_path / "data", tmp_path / "run"
    many_clips(data, 10, "one")
    many_clips(data, 10, "two")
    places = (f"data.root={data}", f"run.dir={folder}", f"cache.dir={cache}")
    words = ("run", FOLDER_YAML, *sets((*QUICK, "train_motion.epochs=1", *places)), "--json")
    process = start(*words, cwd=tmp_path, program=slow_reading(tmp_path))
    outcome = stop_when_filled(process, cache, "motion", 3, signal.SIGKILL)
    assert outcome.code == -signal.SIGKILL
    assert not (folder / "metrics.json").exists()
    kept = entries(cache, "motion")
    assert 3 <= len(kept) < 20
    assert_ok(moclip("cache", "verify", "--cache", cache))
    before = {path: path.stat().st_mtime_ns for path in kept}
    again = assert_ok(moclip(*words))
    assert f"motion: {20 - len(kept)} clips computed, {len(kept)} found in the cache" in again.err
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert again.json["clips"]["test"] == again.json["motion"]["n"]
