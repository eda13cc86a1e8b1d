"""Clips and a cache of the tests of a module."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.tuning import clips


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"cache.dir={tmp_path_factory.mktemp('features')}"
