"""``moclip tune``: budget, resuming, the table of trials, and test clips that are never read."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("optuna")

import yaml

from moclip_lite.cli.configuration import experiment_of
from moclip_lite.errors import CheckpointError, ConfigError, DataError, MoclipError
from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.session import Session
from moclip_lite.motion.network import build_motion_net
from moclip_lite.progress import Silent
from moclip_lite.results.trained_on import write_division
from moclip_lite.storage.objects import ObjectFolder
from moclip_lite.training.checkpoint import save_weights
from moclip_lite.tune import DEFAULT_SPACE, Budget, TuneResult, read_space, tune
from moclip_lite.tune.evaluate import divisions
from moclip_lite.tune.proposals import propose, settings_of
from moclip_lite.tune.space import checked_space
from moclip_lite.tune.trials import Trial, best_trial, read_trials, write_trials

from support.s3_server import connected
from support.tuning import experiment

SPACE = {"train_motion.lr": [0.01, 0.001], "motion.dropout": [0.0, 0.2, 0.5]}


def search(root: Path, cache: str, out: Path, trials: int, **options: Any) -> TuneResult:
    return tune(experiment(root, cache), SPACE, Budget(trials), out, Silent(), parts=1, **options)


def test_a_search_keeps_all_trials_and_writes_a_configuration_that_run_takes(
    root: Path, cache: str, tmp_path: Path
) -> None:
    result = search(root, cache, tmp_path, 4)
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == ["0", "1", "2", "3"]
    first = experiment(root).model_dump(mode="json")
    assert result.trials[0].settings == {
        "train_motion.lr": first["train_motion"]["lr"],
        "motion.dropout": first["motion"]["dropout"],
    }
    assert len({json.dumps(trial.settings, sort_keys=True) for trial in result.trials}) == 4
    chosen = load_experiment(result.file)
    assert chosen.train_motion.lr == result.best.settings["train_motion.lr"]
    assert chosen.motion.dropout == result.best.settings["motion.dropout"]
    assert chosen.motion.grid == (4, 4)
    assert chosen.data.root == root
    assert "dir" not in yaml.safe_load(result.file.read_text()).get("run", {})


def test_any_seed_will_do(root: Path, cache: str, tmp_path: Path) -> None:
    largest = experiment(root, cache, f"run.seed={2**32 - 1}", "train_motion.epochs=1")
    assert len(tune(largest, SPACE, Budget(2), tmp_path, Silent(), parts=1).trials) == 2


def test_an_interrupted_search_goes_on_as_it_would_have(
    root: Path, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search(root, cache, tmp_path / "whole", 4)
    search(root, cache, tmp_path / "cut", 2)
    from moclip_lite.tune import search as module

    real, epochs = module.evaluate, []

    def killed(session: Session, *arguments: Any, **options: Any) -> Any:
        def progress(stage: str, done: int, total: int) -> None:
            if stage == "train motion" and done == 2:
                raise KeyboardInterrupt

        session.reporter = SimpleNamespace(say=print, warn=print, progress=progress)
        return real(session, *arguments, **options)

    monkeypatch.setattr(module, "evaluate", killed)
    with pytest.raises(KeyboardInterrupt):
        search(root, cache, tmp_path / "cut", 4)

    def counting(session: Session, *arguments: Any, **options: Any) -> Any:
        session.reporter = SimpleNamespace(
            say=print, warn=print, progress=lambda stage, done, total: epochs.append((stage, done))
        )
        return real(session, *arguments, **options)

    monkeypatch.setattr(module, "evaluate", counting)
    resumed = search(root, cache, tmp_path / "cut", 4)
    assert [t.settings for t in resumed.trials] == [t.settings for t in whole.trials]
    assert [t.accuracy for t in resumed.trials] == [t.accuracy for t in whole.trials]
    assert ("train motion", 4) in epochs


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_search_at_a_url_goes_on_from_another_machine(
    root: Path, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with connected(tmp_path / "s3") as server:
        out = Path(f"{server.url}/search")
        results = []
        for machine, trials in (("one", 2), ("two", 3)):  # the second has no copy of what the first did
            monkeypatch.setenv("MOCLIP_CACHE", str(tmp_path / machine))
            results.append(search(root, cache, out, trials))
        assert results[1].trials[:2] == results[0].trials
        objects = ObjectFolder.at(out)
        assert objects.names() == ["best.yaml", "trials.csv", "trials.json"]
        assert f"moclip run {server.url}/search/best.yaml" in str(objects.read("best.yaml"))
        assert experiment_of(results[1].file, None, {}).data.root == root  # as moclip run reads it
    assert not [path for path in tmp_path.iterdir() if ":" in path.name]


def test_test_clips_are_never_read(root: Path, cache: str, tmp_path: Path) -> None:
    """With test clips that can't be read the search finds the same."""
    expected = search(root, cache, tmp_path / "intact", 2)
    spoilt = tmp_path / "clips"
    for path in root.rglob("*.mp4"):
        (spoilt / path.parent.name).mkdir(parents=True, exist_ok=True)
        (spoilt / path.parent.name / path.name).write_bytes(path.read_bytes())
    fold = Session(experiment(spoilt)).folds[0]
    assert fold.test
    for number, clip in enumerate(fold.test):
        clip.path.write_bytes(f"spoilt {number}".encode())
    settings = experiment(spoilt, f"cache.dir={tmp_path / 'other'}")
    found = tune(settings, SPACE, Budget(2), tmp_path / "spoilt", Silent(), parts=1)
    assert [(t.accuracy, t.loss) for t in found.trials] == [(t.accuracy, t.loss) for t in expected.trials]


def test_a_combination_that_cannot_be_run_is_a_row_of_the_table(
    root: Path, cache: str, tmp_path: Path
) -> None:
    space = {"motion.pretrained": [True], "train_motion.lr": [0.01]}
    result = tune(experiment(root, cache), space, Budget(4), tmp_path, Silent(), parts=1)
    failed = [trial for trial in result.trials if trial.state == "failed"]
    assert failed
    assert all("pretrained" in trial.reason for trial in failed)
    assert result.best.state == "done"
    assert len(result.trials) <= 4


def test_the_search_ends_when_everything_has_been_tried(root: Path, cache: str, tmp_path: Path) -> None:
    result = tune(experiment(root, cache), {"motion.dropout": [0.0]}, Budget(9), tmp_path, Silent(), parts=1)
    assert len(result.trials) == 2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_budget_is_spent_while_anything_is_untried(seed: int) -> None:
    """The sampler proposes what it likes again and again."""
    space = {
        "motion.dropout": [0.5, 0.1, 0.3],
        "train_motion.lr": [0.003, 0.01],
        "motion.crop": ["none", None],
    }
    trials: list[Trial] = []
    while (asked := propose(space, trials, seed)) is not None:
        settings = settings_of(asked)
        good = settings["motion.dropout"] == 0.1
        trials.append(Trial(len(trials), settings, "done", accuracy=90.0 if good else 10.0, loss=0.1))
    assert len({json.dumps(trial.settings, sort_keys=True) for trial in trials}) == len(trials) == 12


class _Told(Silent):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def test_settings_that_make_no_difference_are_told(root: Path, cache: str, tmp_path: Path) -> None:
    told, space = _Told(), {"motion.crop_side": [0.5, 0.75], "motion.dropout": [0.2]}
    tune(experiment(root, cache), space, Budget(1), tmp_path, told, parts=1)
    assert told.warnings == ["motion.crop_side has no effect with motion.crop=none: its trials are all alike"]
    with pytest.raises(ConfigError, match=r"train_motion\.refit: trials .* train once"):
        read_space(["train_motion.refit=[true,false]"])


def test_a_search_is_for_runs_that_look_at_motion(root: Path, cache: str, tmp_path: Path) -> None:
    asked = experiment(root, cache, "run.streams=[appearance]")
    with pytest.raises(ConfigError, match="does not use it: add motion or fusion"):
        tune(asked, SPACE, Budget(1), tmp_path, Silent(), parts=1)


def test_seeds_that_test_what_settings_are_chosen_on_are_told(root: Path, cache: str, tmp_path: Path) -> None:
    told = _Told()
    asked = experiment(root, cache, "run.seeds=[1,2]", "train_motion.epochs=1")
    tune(asked, SPACE, Budget(1), tmp_path, told, parts=1)
    assert any("run.seeds=[1, 2] of the experiment test clips on which" in text for text in told.warnings)


def test_trials_of_another_search_are_refused(root: Path, cache: str, tmp_path: Path) -> None:
    search(root, cache, tmp_path, 1)
    with pytest.raises(CheckpointError, match="another search"):
        tune(experiment(root, cache, "motion.width=6"), SPACE, Budget(1), tmp_path, Silent(), parts=1)


def _replace_video(root: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fold = Session(experiment(root)).folds[0]
    fold.train[0].path.write_bytes(fold.train[0].path.read_bytes() + b"free space")


def _replace_weights(root: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (out / "weights.safetensors").write_bytes(b"other")


def _change_code(root: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from moclip_lite.tune import search as module

    monkeypatch.setattr(module, "stage_versions", lambda stage: {"code": "another"})


def _nothing(root: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pass


@pytest.mark.parametrize("change", [_nothing, _replace_video, _replace_weights, _change_code])
def test_trials_of_other_videos_weights_or_code_are_refused(
    root: Path, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    """Of what decides a trial, no name of which says that it changed."""
    clips_of, out = tmp_path / "clips", tmp_path / "out"
    shutil.copytree(root, clips_of)
    out.mkdir()
    (out / "weights.safetensors").write_bytes(b"one")
    space = {"motion.pretrained": [str(out / "weights.safetensors")]}
    options = (space, Budget(1), out, Silent())
    tune(experiment(clips_of, cache), *options, parts=1)
    change(clips_of, out, monkeypatch)
    if change is _nothing:
        (out / "best.yaml").unlink()
        tune(experiment(clips_of, cache), *options, parts=1)
        assert (out / "best.yaml").is_file()
        return
    with pytest.raises(CheckpointError, match="another search"):
        tune(experiment(clips_of, cache), *options, parts=1)


def test_trials_flip_where_a_run_does(root: Path, cache: str, tmp_path: Path) -> None:
    """Classes that mirror each other by name: an experiment with flips is tried as one without."""
    mirrored = tmp_path / "clips"
    for old, new in (("left", "left"), ("up", "right")):
        shutil.copytree(root / old, mirrored / new)
    said: list[str] = []
    reporter = SimpleNamespace(say=said.append, warn=said.append, progress=lambda *a: None)
    losses = {}
    for name, flips in {"none": ["motion.flip=0"], "auto": ["motion.flip=0.5"]}.items():
        settings = experiment(mirrored, cache, *flips)
        result = tune(settings, {"motion.dropout": [0.5]}, Budget(1), tmp_path / name, reporter, parts=1)
        losses[name] = result.best.loss
    assert losses["auto"] == losses["none"]
    assert [note for note in said if "flips are off" in note and "left and right" in note]


@pytest.mark.parametrize("swapped", [True, False])
def test_weights_whose_run_used_validation_clips_are_a_failed_trial(
    root: Path, cache: str, tmp_path: Path, swapped: bool
) -> None:
    """To train, or to validate: a run trains again on its validation clips."""
    settings = experiment(root, cache)
    session = Session(settings)
    fold = session.folds[0]
    weights = tmp_path / "other" / "motion.safetensors"
    save_weights(weights, build_motion_net(settings.motion, 2), session.labels, {})
    used = replace(fold, train=fold.val, val=fold.train) if swapped else fold
    write_division(weights.with_name("division.json"), used, session.dataset.place, session.content_digests)
    space = {"motion.pretrained": [str(weights)]}
    result = tune(settings, space, Budget(2), tmp_path / "out", Silent(), parts=1)
    assert [trial.state for trial in result.trials] == ["done", "failed"]
    assert "its run used" in result.trials[1].reason


def test_weights_of_unknown_clips_are_told_once(
    root: Path, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = experiment(root, cache)
    weights = tmp_path / "motion.safetensors"
    save_weights(weights, build_motion_net(settings.motion, 2), ["a", "b"], {})
    said: list[str] = []
    reporter = SimpleNamespace(say=said.append, warn=said.append, progress=lambda *a: None)
    monkeypatch.chdir(tmp_path)
    space = {"motion.pretrained": [weights.name], "motion.dropout": [0.2, 0.5]}
    tune(settings, space, Budget(4), tmp_path / "out", reporter, parts=1)
    assert len([text for text in said if "it is not known which clips" in text]) == 1
    assert str(weights) in (tmp_path / "out" / "trials.json").read_text()  # a path of any working directory


def test_a_pruned_trial_has_an_accuracy(
    root: Path, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import optuna

    monkeypatch.setattr(optuna.trial.Trial, "should_prune", lambda self: self.number > 0)
    result = tune(
        experiment(root, cache), {"motion.dropout": [0.2, 0.5]}, Budget(2), tmp_path, Silent(), parts=1
    )
    pruned = result.trials[1]
    assert pruned.state == "pruned"
    assert pruned.accuracy in (0.0, 50.0, 100.0)
    assert pruned.loss > 0.0
    assert pruned.score == pytest.approx(max(pruned.curve.values()))
    assert max(pruned.curve.values()) < pruned.accuracy  # a score is less by the loss


def test_damaged_tables_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "trials.json"
    for content in ("[]", '{"format": "moclip-trials-1", "fingerprint": "x", "trials": [{"number": "a"}]}'):
        file.write_text(content)
        with pytest.raises(CheckpointError):
            read_trials(file, "x")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"accuracy": 180.0}, "trial 1 has the accuracy 180, which is not from 0 to 100"),
        ({"accuracy": -1.0}, "trial 1 has the accuracy -1, which"),
        ({"loss": -50.0}, "trial 1 has the loss -50, which is below 0"),
    ],
)
def test_figures_out_of_range_are_refused(changed: dict[str, float], words: str, tmp_path: Path) -> None:
    """A table edited by hand decides no search."""
    first, second, third = _trials()
    write_trials(tmp_path, "x", [first, replace(second, **changed), third])  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=words):
        read_trials(tmp_path / "trials.json", "x")


def test_a_fold_that_does_not_exist_is_refused(root: Path, cache: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the folds are holdout"):
        search(root, cache, tmp_path, 1, fold="split7")


def test_a_search_at_work_is_not_disturbed(root: Path, cache: str, tmp_path: Path) -> None:
    from moclip_lite.storage.lock import FolderLock

    lock = FolderLock(tmp_path / ".lock")
    assert lock.acquire()
    with pytest.raises(MoclipError, match="another search"):
        search(root, cache, tmp_path, 1)
    lock.release()


def test_drafts_of_a_killed_search_are_removed(root: Path, cache: str, tmp_path: Path) -> None:
    draft = tmp_path / ".trials-0123456789ab.json"
    draft.touch()
    with pytest.raises(MoclipError):
        search(root, cache, tmp_path, 1, fold="none")
    assert not draft.exists()


def test_parts_validate_each_clip_once_and_keep_groups_together(root: Path) -> None:
    fold = Session(experiment(root)).folds[0]
    made = divisions(fold.train, fold.val, 3, 0)
    validated = [clip.name for part in made for clip in part.val]
    assert sorted(validated) == sorted(clip.name for clip in (*fold.train, *fold.val))
    for part in made:
        assert not {clip.group for clip in part.train} & {clip.group for clip in part.val}
        assert not {clip.name for clip in fold.test} & {clip.name for clip in (*part.train, *part.val)}
    with pytest.raises(DataError, match="raise data"):
        divisions(fold.train, (), 1, 0)
    with pytest.raises(DataError, match="lower --parts"):
        divisions(fold.train, fold.val, 20, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("40", (40, None)),
        ("90s", (None, 90)),
        ("30m", (None, 1800)),
        ("1.5h", (None, 5400)),
        ("4, 2h", (4, 7200)),
    ],
)
def test_budgets(text: str, expected: tuple[int | None, float | None]) -> None:
    budget = Budget.parse(text)
    assert (budget.trials, budget.seconds) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "2d", "4,5", "1h,2h", "nan", "inf", "٣"])
def test_what_is_not_a_budget_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--budget takes"):
        Budget.parse(text)


def test_a_budget_is_spent_by_whichever_limit_comes_first() -> None:
    budget = Budget(3, 10)
    assert [budget.spent(2, 9), budget.spent(3, 0), budget.spent(0, 10)] == [False, True, True]


def test_the_default_space_is_valid_and_begins_with_what_the_experiment_says(root: Path) -> None:
    settings = experiment(root)
    space = checked_space(settings, DEFAULT_SPACE)
    assert space["motion.grid"][0] == [4, 4]
    assert all(len(values) >= 2 for values in space.values())


@pytest.mark.parametrize(
    "word",
    ["motion.frames", "motion.frames=5", "motion.frames=[]", "clip.model=[a]", "motion.frames=[", "=[1]"],
)
def test_what_is_not_a_list_of_values_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="--search"):
        read_space([word])


def test_values_out_of_range_are_refused_before_any_work(root: Path) -> None:
    for key, value in (("motion.frames", 0), ("motion.nonsense", 1), ("train_motion.lr", -1)):
        with pytest.raises(ConfigError):
            checked_space(experiment(root), {key: [value]})


def _trials() -> Iterator[Trial]:
    yield Trial(0, {"a": [1, 2]}, "done", 80.0, 0.5, 1.0, {50: 70.0})
    yield Trial(1, {"a": "x"}, "pruned", 99.0)
    yield Trial(2, {"a": "x"}, "failed", reason="no")


def test_the_best_trial_is_a_finished_one_and_the_loss_decides_between_equals(tmp_path: Path) -> None:
    trials = list(_trials())
    better = replace(trials[0], number=3, loss=0.4)
    assert best_trial([*trials, better]) == better
    assert best_trial(trials[1:]) is None
    write_trials(tmp_path, "x", trials)
    assert read_trials(tmp_path / "trials.json", "x") == trials
