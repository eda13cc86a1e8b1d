"""Grids whose run folders and tables are at a URL, on a real S3 server on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from moclip_lite.ablate import load_ablation, run_ablation
from moclip_lite.experiment.inputs.feature_storage import save_features
from moclip_lite.progress import Silent
from moclip_lite.storage.objects import ObjectFolder

from support.features import labelled_features
from support.pools import InlinePool
from support.s3_server import Server, connected

pytestmark = [
    pytest.mark.usefixtures("no_drawings"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with connected(tmp_path_factory.mktemp("s3")) as running:
        yield running


def test_a_grid_at_a_url_goes_on_from_another_machine(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("moclip_lite.ablate.run.worker_pool", lambda count: InlinePool())
    save_features(tmp_path / "f.safetensors", *labelled_features()[:3])
    settings = [
        "data.kind=features",
        f"data.root={tmp_path / 'f.safetensors'}",
        "data.protocol=official",
        "run.streams=[fusion]",
        "train_head.epochs=2",
    ]
    path = tmp_path / "g.yaml"
    heads = ["concat_mlp", "film"]
    path.write_text(yaml.safe_dump({"set": settings, "grid": {"fusion.head": heads}, "seeds": [0]}))
    out = Path(f"{server.url}/grid")
    summaries = []
    for machine in ("one", "two"):  # the second has no copy of what the first did
        monkeypatch.setenv("MOCLIP_CACHE", str(tmp_path / machine))
        result = run_ablation(
            load_ablation(path, (f"cache.dir={tmp_path / machine / 'c'}",)), out, Silent(), workers=1
        )
        assert not result.failures
        summaries.append(result.summary.drop(columns="latency_ms"))
        objects = ObjectFolder.at(out)
        if machine == "one":
            versions = objects.versions(name for name in objects.names() if name.startswith("runs/"))
    pd.testing.assert_frame_equal(*summaries)
    assert {name for name in versions if name.endswith("metrics.json")} == {
        name for name in objects.names() if name.endswith("seed0/metrics.json")
    }
    assert len([name for name in versions if name.endswith("fusion.safetensors")]) == 2
    assert objects.versions(versions) == versions, "a finished run was made again"
    assert {name for name in objects.names() if "/" not in name} == {
        "differences.csv",
        "plot.png",
        "summary.csv",
        "summary.md",
        "table.csv",
        "table.parquet",
    }
    config = yaml.safe_load(
        str(objects.read(next(n for n in versions if n.endswith("config.yaml"))), "utf-8")
    )
    assert server.environment["AWS_SECRET_ACCESS_KEY"] not in json.dumps(config)
    assert not [entry for entry in tmp_path.iterdir() if ":" in entry.name]
