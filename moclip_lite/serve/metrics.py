"""Counters of a server in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)  # seconds

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """What a server has done since its start.

    Attributes:
        requests: by route, method and status.
        jobs: finished jobs by state.
        upload_bytes: received.
        restarts: how often the analysing process was started again.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.jobs: Counter[str] = Counter()
        self.upload_bytes = 0
        self.restarts = 0
        self._started = time.time()
        self._buckets = [0] * len(_BUCKETS)
        self._seconds, self._count = 0.0, 0

    def observe(self, seconds: float) -> None:
        """Count an analysis by its wall time."""
        self._seconds += seconds
        self._count += 1
        for place, bound in enumerate(_BUCKETS):
            self._buckets[place] += seconds <= bound

    def text(self, waiting: int, running: int, kept: int) -> str:
        """All metrics; `waiting`, `running` and `kept` are the present numbers of jobs."""
        requests = [
            ((("route", route), ("method", method), ("status", str(status))), float(count))
            for (route, method, status), count in sorted(self.requests.items())
        ]
        jobs = [((("state", state),), float(self.jobs[state])) for state in ("done", "failed", "cancelled")]
        lines = [
            *_family("moclip_http_requests_total", "counter", "HTTP requests.", requests),
            *_family("moclip_jobs_total", "counter", "Finished jobs.", jobs),
            *_family("moclip_jobs_waiting", "gauge", "Jobs that wait.", [((), waiting)]),
            *_family("moclip_jobs_running", "gauge", "Jobs being analysed.", [((), running)]),
            *_family("moclip_results_kept", "gauge", "Results that can be asked for.", [((), kept)]),
            *_family("moclip_upload_bytes_total", "counter", "Bytes received.", [((), self.upload_bytes)]),
            *_family(
                "moclip_worker_restarts_total",
                "counter",
                "Starts of the analysing process after a crash, a time-out or a cancelled job.",
                [((), self.restarts)],
            ),
            *self._histogram(),
            *_family(
                "process_start_time_seconds",
                "gauge",
                "Start of the server, Unix time.",
                [((), self._started)],
            ),
        ]
        return "\n".join(lines) + "\n"

    def _histogram(self) -> list[str]:
        name = "moclip_analysis_seconds"
        counts = [*zip(map(str, _BUCKETS), self._buckets, strict=True), ("+Inf", self._count)]
        return [
            f"# HELP {name} Wall time of an analysis.",
            f"# TYPE {name} histogram",
            *(f'{name}_bucket{{le="{bound}"}} {count}' for bound, count in counts),
            f"{name}_sum {self._seconds}",
            f"{name}_count {self._count}",
        ]


def _family(name: str, kind: str, text: str, values: Sequence[tuple[Labels, float]]) -> list[str]:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value in values:
        inner = ",".join(f'{key}="{_escaped(word)}"' for key, word in labels)
        lines.append(f"{name}{{{inner}}} {value:.17g}" if inner else f"{name} {value:.17g}")
    return lines


def _escaped(word: str) -> str:
    return word.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
