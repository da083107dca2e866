"""Holds the Prometheus metrics: one object that the daemon builds and hands to the stages.

What happens is counted where it happens; what *is* (backlog, breakers, disks) mirrors one snapshot of
the state, taken for the scrape that asks. Names are public: CONTRACT.md, "The local endpoint".
"""

from __future__ import annotations

import os
import platform
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.core.account import FileClass
from sidecar.core.breaker import BreakerState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Processes of a program that share their counts: prometheus_client keeps them in files then.
_ARE_SHARED = "PROMETHEUS_MULTIPROC_DIR" in os.environ or "prometheus_multiproc_dir" in os.environ
BREAKER_LEVELS = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}

_UPLOAD_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
_CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10)
_LATENCY_SECONDS = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_SIZE_BYTES = tuple(1024 * 4**power for power in range(12))  # 1 KiB to 4 GiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """State at one moment, for the gauges. Mappings are by root, path or remote; absent means unknown."""

    version: str
    backlog_files: int = 0
    backlog_bytes: int = 0
    backlog_oldest_seconds: float = 0.0
    dead_letters: int = 0
    removals: Mapping[str, int] = field(default_factory=dict)  # by state
    breakers: Mapping[str, BreakerState] = field(default_factory=dict)
    files: Mapping[str, Mapping[FileClass, int]] = field(default_factory=dict)
    unmatched_files: Mapping[str, int] = field(default_factory=dict)
    last_scan_age_seconds: Mapping[str, float] = field(default_factory=dict)
    troubled_roots: Mapping[str, bool] = field(default_factory=dict)
    disk_free_bytes: Mapping[str, int] = field(default_factory=dict)
    clock_skew_seconds: Mapping[str, float] = field(default_factory=dict)
    journal_bytes: int = 0
    log_lines_dropped: int = 0


class _QuickHistogram(Histogram):
    """A histogram that is told of every file: an observation is two additions, without locks.

    One thread observes: the event loop's.
    """

    def __init__(
        self, name: str, text: str, *, registry: CollectorRegistry | None, buckets: Sequence[float]
    ) -> None:
        """Register, with the upper bounds of all buckets but the last."""
        self._limits = tuple(buckets)
        self._counts, self._total = [0] * (len(buckets) + 1), 0.0
        super().__init__(name, text, registry=registry, buckets=buckets)

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Count."""
        if exemplar:
            super().observe(amount, exemplar)
            return
        self._counts[bisect_left(self._limits, amount)] += 1
        self._total += amount

    def collect(self) -> Iterable[Metric]:
        """Add what was counted to the samples, whose buckets come in their order."""
        [metric] = super().collect()
        up_to = accumulate(self._counts)
        ours = {"_count": sum(self._counts), "_sum": self._total}
        metric.samples = [
            sample._replace(
                value=sample.value
                + (
                    next(up_to)
                    if "le" in sample.labels
                    else ours.get(sample.name.removeprefix(metric.name), 0)
                )
            )
            for sample in metric.samples
        ]
        return [metric]


class _UnderWay(AbstractContextManager[None]):
    """Counts the blocks that it is around now."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        """Begin without any."""
        self.count = 0

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1


class Metrics:
    """All metrics of CONTRACT.md, in a registry of their own unless they are given one."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register every metric."""
        self.registry = registry or CollectorRegistry()
        self.upload_duration_seconds = self._histogram(
            "upload_duration_seconds", "From the claim of a transfer to S3's confirmation.", _UPLOAD_SECONDS
        )
        self.sync_duration_seconds = self._histogram(
            "sync_duration_seconds", "One applyAssets call to Convex.", _CALL_SECONDS
        )
        self.close_to_synced_seconds = self._histogram(
            "close_to_synced_seconds", "From complete on disk to acknowledged by Convex.", _LATENCY_SECONDS
        )
        self.asset_size_bytes = self._histogram("asset_size_bytes", "Sizes of uploaded assets.", _SIZE_BYTES)
        self.errors_total = Counter(
            "sidecar_errors", "Failures, by kind and stage.", ["kind", "stage"], registry=self.registry
        )
        self.concurrent_operations = Gauge(
            "sidecar_concurrent_operations", "Operations under way.", ["operation"], registry=self.registry
        )
        self._under_way: dict[str, _UnderWay] = {}
        self._mirror = _MirrorCollector()
        self.registry.register(self._mirror)

    def under_way(self, operation: str) -> AbstractContextManager[None]:
        """Return what counts blocks as operations under way, around any number of them at once."""
        gauge = self.concurrent_operations.labels(operation=operation)
        if _ARE_SHARED:
            return gauge.track_inprogress()
        if operation not in self._under_way:
            counted = self._under_way[operation] = _UnderWay()
            gauge.set_function(lambda: counted.count)
        return self._under_way[operation]

    def expose(self, mirror: Mirror) -> bytes:
        """Return everything in Prometheus's text format, with the gauges as ``mirror`` has them."""
        self._mirror.mirror = mirror
        return generate_latest(self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        made = Histogram if _ARE_SHARED else _QuickHistogram
        return made(f"sidecar_{name}", text, registry=self.registry, buckets=buckets)


class _MirrorCollector(Collector):
    """Turns the latest mirror into gauges; before the first one there are none."""

    mirror: Mirror | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield one family each."""
        if (mirror := self.mirror) is None:
            return
        yield _plain("backlog_files", "Files that are complete and still owed.", mirror.backlog_files)
        yield _plain("backlog_bytes", "Bytes that are complete and still owed.", mirror.backlog_bytes)
        yield _plain("backlog_oldest_seconds", "Age of the oldest owed file.", mirror.backlog_oldest_seconds)
        yield _plain("dead_letters", "Transfers that were given up.", mirror.dead_letters)
        yield _by("state", "removals", "Files that are gone, and Convex still shows.", mirror.removals)
        yield _plain("journal_bytes", "Size of the journal on disk.", mirror.journal_bytes)
        dropped = CounterMetricFamily("sidecar_log_lines_dropped", "Log lines that nobody read in time.")
        dropped.add_metric([], mirror.log_lines_dropped)
        yield dropped
        breakers = {remote: BREAKER_LEVELS[state] for remote, state in mirror.breakers.items()}
        yield _by("remote", "breaker_state", "Circuit breaker: 0 closed, 1 half-open, 2 open.", breakers)
        files = GaugeMetricFamily(
            "sidecar_files", "Every file below a root, by class.", labels=["root", "class"]
        )
        for root, classes in sorted(mirror.files.items()):
            for name, number in classes.items():
                files.add_metric([root, name], number)
        yield files
        yield _by(
            "root",
            "unmatched_files",
            "Files that no rule takes, nor their extension.",
            mirror.unmatched_files,
        )
        yield _by("root", "last_scan_age_seconds", "Time since the last scan.", mirror.last_scan_age_seconds)
        yield _by("root", "root_trouble", "1: not watched as meant; /status says why.", mirror.troubled_roots)
        yield _by("path", "disk_free_bytes", "Free bytes of the volume under a path.", mirror.disk_free_bytes)
        yield _by("remote", "clock_skew_seconds", "Our clock minus the remote's.", mirror.clock_skew_seconds)
        build = GaugeMetricFamily("sidecar_build_info", "The running build.", labels=["version", "python"])
        build.add_metric([mirror.version, platform.python_version()], 1)
        yield build


def _plain(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sidecar_{name}", text, value=value)


def _by(label: str, name: str, text: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"sidecar_{name}", text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
