"""Extraction on a Ray cluster against local processes: overhead, and caches after lost nodes.

    python benchmarks/cluster.py [--clips 2000] [--nodes 4] [--folder DIR]

The nodes are simulated on this machine, with one core each, and as many local processes are the peer. Motion of the
same generated clips is extracted into empty caches by both in turn; then once more while a node is killed in the
middle, and once while two are. Every cache must equal that of the local processes, entry by entry.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from moclip_lite.datasets import Clip, SyntheticSpec, generate
from moclip_lite.motion.extract import extract_motion
from moclip_lite.motion.settings import MotionSpec
from moclip_lite.parallel.runner import JobRunner, LocalRunner, make_runner
from moclip_lite.storage.cache import FeatureCache

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
AGENTS = ("metrics_agent", "metrics_export", "dashboard_agent_listen", "runtime_env_agent")


def node_options(cores: int) -> dict[str, Any]:
    """Options of a node, with ports for its agents: a node waits 15 seconds for one that an agent chooses."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in AGENTS]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = {f"{name}_port": one.getsockname()[1] for name, one in zip(AGENTS, sockets, strict=True)}
    return {"num_cpus": cores, "include_dashboard": False, **ports}


def entries(root: Path) -> dict[str, dict[str, bytes]]:
    """Name of each entry -> its arrays as bytes."""
    return {
        path.name: {name: array.tobytes() for name, array in load_file(path).items()}
        for path in (root / "motion").rglob("*.safetensors")
    }


def extract(
    clips: list[Clip], cache: Path, runner: JobRunner, at: Callable[[int], None] = lambda done: None
) -> float:
    """Seconds of an extraction into an empty cache; `at` is called with the number of clips done."""
    began = time.perf_counter()
    report = extract_motion(
        clips, MotionSpec(), FeatureCache(cache), workers=runner, progress=lambda stage, done, total: at(done)
    )
    seconds = time.perf_counter() - began
    assert report.made == len(clips), f"{report.made} of {len(clips)} clips: {report.failures[:3]}"
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=2, help="local and cluster in turn, so many times")
    parser.add_argument("--folder", type=Path, help="of the generated clips, to use them again")
    args = parser.parse_args()
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        spec = SyntheticSpec(clips_per_class=args.clips // 20)
        clips = list(generate(args.folder or place / "clips", spec, workers=2).clips)
        cluster = Cluster(initialize_head=True, head_node_args=node_options(0))
        nodes = [cluster.add_node(**node_options(1)) for _ in range(args.nodes)]
        try:
            notes: list[str] = []
            runner = make_runner("ray", 0, cluster.address, notes.append)
            ratios = []
            for pair in range(args.pairs):
                local = extract(clips, place / f"local{pair}", LocalRunner(args.nodes))
                remote = extract(clips, place / f"ray{pair}", runner)
                ratios.append(remote / local)
                print(
                    f"{len(clips)} clips: local {local:.1f} s, cluster {remote:.1f} s, ratio {ratios[-1]:.2f}"
                )
            wanted = entries(place / "local0")
            assert len(wanted) == len(clips)
            assert entries(place / "ray0") == wanted
            for lost in (1, 2):
                moments = {len(clips) * (number + 1) // 4 for number in range(lost)}

                def kill(done: int, moments: set[int] = moments, alive: list[Any] = nodes) -> None:
                    if done in moments:
                        cluster.remove_node(alive.pop(), allow_graceful=False)

                cache = place / f"lost{lost}"
                seconds = extract(clips, cache, runner, kill)
                assert entries(cache) == wanted
                print(
                    f"{lost} node(s) killed: {seconds:.1f} s, {len(wanted)} entries, equal to those of local processes"
                )
                nodes += [cluster.add_node(**node_options(1)) for _ in range(lost)]
            print(f"lowest ratio of seconds, cluster to local processes: {min(ratios):.2f}")
        finally:
            cluster.shutdown()
    sys.stdout.flush()


if __name__ == "__main__":
    main()
