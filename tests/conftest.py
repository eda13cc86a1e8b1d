"""Fixtures of all tests."""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import gc
import importlib.abc
import itertools
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from support.clips import H264, WITH_B, encode, panning
from support.paths import SHARED
from support.pools import InlinePool

pytest_plugins = ["support.cli", "support.exporting"]

# Machines differ in speed.
settings.register_profile("moclip", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("moclip")

# The workers of pytest share the cores, and threads that spin while they wait would take them from each other.
# Processes that tests start inherit both.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# GPUs compute in float32, as the CPU does: figures are compared with tolerances of float32.
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")

SLOW_MODULES = (
    "mobileviclip/test_commands.py",
    "end_to_end/test_ablation_and_demo.py",
    "end_to_end/test_kills.py",
    "export/test_export.py",
    "engine/test_engine.py",
    "ablate/test_ablate.py",
    "parallel/test_ranks.py",
    "parallel/test_cluster.py",
    "appearance/test_backbone.py",
    "cli/test_light_installation.py",
    "motion/test_pretrained.py",
    "appearance/test_weights_config.py",
    "engine/test_int8.py",
    "hub/test_published.py",
    "hub/test_hub.py",
    "hub/test_fetched.py",
    "fusion/test_text_heads.py",
    "experiment/test_streams.py",
    "datasets/test_changed_files.py",
    "serve/test_answers.py",
    "end_to_end/test_frame_settings.py",
    "serve/test_page.py",
    "results/test_run_state.py",
    "storage/test_cache_keys.py",
    "cli/test_batches.py",
    "mobileviclip/test_weights.py",
    "mobileviclip/test_model.py",
    "mobileviclip/test_training.py",
    "parallel/test_side_effects.py",
    "datasets/test_folders.py",
    "appearance/test_appearance.py",
    "appearance/test_clip_arrays.py",
    "serve/test_vectors.py",
    "tune/test_tune.py",
    "experiment/test_feature_file.py",
    "results/test_seconds.py",
    "docs/test_pages.py",
    "docs/test_snippets.py",
    "serve/test_command.py",
    "mobileviclip/test_loss.py",
    "cli/test_option_sweeps.py",
    "datasets/test_broken_clips.py",
    "storage/test_damaged_storage.py",
    "cli/test_timeline.py",
    "ablate/test_at_url.py",
    "timeline/test_windows.py",
    "cli/test_bad_input.py",
    "shards/test_pack.py",
    "results/test_report.py",
    "experiment/test_pretraining.py",
    "retrieval/test_index.py",
    "retrieval/test_index_file.py",
    "retrieval/test_evaluate.py",
    "timeline/test_shared_segments.py",
    "retrieval/test_nodes.py",
    "datasets/test_torch.py",
    "shards/test_streamed.py",
    "datasets/test_remote_datasets.py",
    "shards/test_at_url.py",
    "experiment/test_saved_state.py",
    "fusion/test_logistic_regression.py",
    "experiment/test_trained_on.py",
    "mv_tools/test_numbering_matrix.py",
)
"""Modules that take seconds, the longest first: they train, start processes, sweep many files or
import libraries of image networks."""

OTHER_PROGRAMS = ("browser", "running")
"""Fixtures of programs that are not ours: Chromium and the nodes of a Ray cluster.

What such programs do on a busy machine is not ours: a test that needs one of these fixtures, or is marked
other_programs because it starts a camera, a broker or a server of S3, is done once more where it fails; the
summary counts reruns. Tests of our own threads and processes are never done again, which would hide races.
"""

MATRIX = "mv_tools/test_numbering_matrix.py"
NOT_FAST = ("end_to_end", "shared", "slow")
"""Marks of the tests that --fast leaves out."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --fast."""
    parser.addoption(
        "--fast", action="store_true", help=f"leave out tests marked {', '.join(NOT_FAST)}, without imports"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --fast, import no module of which all tests are slow."""
    if not config.getoption("fast"):
        return None
    place = collection_path.relative_to(Path(__file__).parent).as_posix()
    return place in SLOW_MODULES or place == "end_to_end" or None


class _NoImageNetworks(importlib.abc.MetaPathFinder):
    """Refuses libraries of image networks, which take seconds to import."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname in ("open_clip", "timm", "torchvision"):
            raise RuntimeError(f"a test that imports {fullname} is slow: mark it so")


def pytest_configure(config: pytest.Config) -> None:
    """Let the groups of tests begin in the order of the tests, not by their number of tests."""
    config.option.loadscopereorder = False
    if config.getoption("fast"):
        sys.meta_path.insert(0, _NoImageNetworks())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by folder, module and fixture, and keep on one worker what shares an expensive fixture.

    Long modules begin first, and those of which the parts are short last: all workers end together.
    """
    tests = Path(__file__).parent
    places: dict[pytest.Item, int] = {}
    for item in items:
        module = item.path.relative_to(tests).as_posix()
        fixtures = getattr(item, "fixturenames", ())
        if module.startswith("end_to_end/"):
            item.add_marker("end_to_end")
        if "shared" in fixtures:
            item.add_marker("shared")
        if module in SLOW_MODULES or "generated" in fixtures:  # also through "trained"
            item.add_marker("slow")
        if item.get_closest_marker("other_programs") or not set(OTHER_PROGRAMS).isdisjoint(fixtures):
            item.add_marker(pytest.mark.flaky(reruns=1))
        # A group runs on one worker: tests of a module share its fixtures, checks of a file its decoding.
        group = item.name.rpartition("-")[0] if module == MATRIX else module
        item.add_marker(pytest.mark.xdist_group(group))
        slow = SLOW_MODULES.index(module) if module in SLOW_MODULES else len(SLOW_MODULES)
        places[item] = len(SLOW_MODULES) + 1 if module == MATRIX else slow
    items.sort(key=places.__getitem__)
    if config.getoption("fast"):
        left_out = [item for item in items if any(map(item.get_closest_marker, NOT_FAST))]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what was imported: it stays until the end."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Libraries warn of objects that the collector has not seen at the end."""
    gc.unfreeze()


_LOGGERS: Final = {
    logger: (tuple(logger.handlers), logger.propagate)
    for logger in map(logging.getLogger, ("moclip", "mv_tools"))
}
"""The program's loggers as they are before it sends warnings to its console for good."""


@pytest.fixture(autouse=True)
def _restored_loggers() -> Iterator[None]:
    """Tests look at records of the loggers; fixtures of a session may have run the program before."""
    _restore_loggers()
    yield
    _restore_loggers()


def _restore_loggers() -> None:
    for logger, (handlers, propagate) in _LOGGERS.items():
        logger.handlers[:], logger.propagate = handlers, propagate


@pytest.fixture(scope="session")
def _caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Cache folders that are not there yet; pytest takes milliseconds for each folder that it makes."""
    base = tmp_path_factory.mktemp("caches")
    return (Path(f"{base}/{number}") for number in itertools.count())


@pytest.fixture(autouse=True)
def _own_cache(_caches: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test touches the user's cache."""
    folder = next(_caches)
    monkeypatch.setenv("MOCLIP_CACHE", str(folder))
    yield
    if folder.exists():
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The number of threads that a test gave PyTorch ends with the test."""
    yield
    torch, threads = sys.modules.get("torch"), int(os.environ["OMP_NUM_THREADS"])
    if torch is not None and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def _return_memory() -> Iterator[None]:
    """Give freed memory back to the system: glibc keeps hundreds of megabytes of each network that a test built."""
    yield
    with contextlib.suppress(AttributeError, OSError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264, no B pictures, content moving right by 3 pixels per frame."""
    return encode(tmp_path_factory.mktemp("clips") / "pan.mp4", panning(), **H264)


@pytest.fixture(scope="session")
def clip_b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with two B pictures."""
    return encode(tmp_path_factory.mktemp("clips") / "pan_b.mp4", panning(), **WITH_B)


@pytest.fixture(scope="session")
def clip_mpeg4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as MPEG-4 Part 2 in .avi."""
    return encode(tmp_path_factory.mktemp("clips") / "pan.avi", panning(), "mpeg4", g="12")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real videos; tests that need them are skipped where there are none."""
    folder = SHARED
    if not (folder / "videos").is_dir():
        pytest.skip(f"no real videos at {folder}; set MOCLIP_SHARED")
    return folder


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """Encode a panning clip under tmp_path."""

    def make(
        name: str = "clip.mp4", frames: int = 24, step: tuple[int, int] = (3, 0), **options: str
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return encode(path, panning(frames, step=step), **{**H264, **options})

    return make


@pytest.fixture
def hide_package(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Importing the named package fails, as if it were not installed."""

    def hide(package: str) -> None:
        real = builtins.__import__

        def without(name: str, *rest: object, **more: object) -> object:
            if name == package:
                raise ImportError(name)
            return real(name, *rest, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(builtins, "__import__", without)

    return hide


@pytest.fixture
def grid_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of an ablation's grid run in this process, with its number of threads."""
    monkeypatch.setattr("moclip_lite.ablate.run.worker_pool", lambda count: InlinePool())
    monkeypatch.setattr("torch.set_num_threads", lambda threads: None)
