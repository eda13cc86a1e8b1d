"""Counters of a server in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

from typing import Final

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
_BUCKETS: Final = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)  # seconds


class Metrics:
    """What a server has done since its start.

    Attributes:
        requests: by route, method and status.
        jobs: finished jobs by state.
        analysis_seconds: wall time of analyses that came to an end of their own.
        upload_bytes: received.
        restarts: how often the analysing process was started again.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        labels = ("route", "method", "status")
        self.requests = Counter("moclip_http_requests", "HTTP requests.", labels, registry=registry)
        self.jobs = Counter("moclip_jobs", "Finished jobs.", ("state",), registry=registry)
        for state in ("done", "failed", "cancelled"):
            self.jobs.labels(state)
        self.analysis_seconds = Histogram(
            "moclip_analysis_seconds", "Wall time of an analysis.", buckets=_BUCKETS, registry=registry
        )
        self.upload_bytes = Counter("moclip_upload_bytes", "Bytes received.", registry=registry)
        self.restarts = Counter(
            "moclip_worker_restarts",
            "Starts of the analysing process after a crash, a time-out or a cancelled job.",
            registry=registry,
        )
        self._waiting = Gauge("moclip_jobs_waiting", "Jobs that wait.", registry=registry)
        self._running = Gauge("moclip_jobs_running", "Jobs being analysed.", registry=registry)
        self._kept = Gauge("moclip_results_kept", "Results that can be asked for.", registry=registry)
        ProcessCollector(registry=registry)

    def text(self, waiting: int, running: int, kept: int) -> bytes:
        """All metrics; `waiting`, `running` and `kept` are the present numbers of jobs."""
        self._waiting.set(waiting)
        self._running.set(running)
        self._kept.set(kept)
        return generate_latest(self._registry)
