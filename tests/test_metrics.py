"""What Prometheus reads."""

from __future__ import annotations

import re
from contextlib import suppress

from prometheus_client import CollectorRegistry, Histogram

from sidecar.core.breaker import BreakerState
from sidecar.metrics import Metrics, Mirror

NAMES = {
    "upload_duration_seconds",
    "sync_duration_seconds",
    "close_to_synced_seconds",
    "asset_size_bytes",
    "errors_total",
    "concurrent_operations",
    "backlog_files",
    "backlog_bytes",
    "backlog_oldest_seconds",
    "dead_letters",
    "removals",
    "breaker_state",
    "unmatched_files",
    "disk_free_bytes",
    "journal_bytes",
    "clock_skew_seconds",
    "last_scan_age_seconds",
    "root_trouble",
    "build_info",
}


def mirror() -> Mirror:
    """State with a value for every gauge."""
    return Mirror(
        version="1.2.3",
        backlog_files=4,
        dead_letters=2,
        removals={"asked": 3},
        breakers={"s3": BreakerState.OPEN, "convex": BreakerState.HALF_OPEN},
        unmatched_files={"/renders": 7},
        last_scan_age_seconds={"/renders": 1.5},
        troubled_roots={"/renders": True},
        disk_free_bytes={"/renders": 1024},
        clock_skew_seconds={"s3": -0.25},
        journal_bytes=4096,
    )


def test_every_name_of_the_contract_is_exposed() -> None:
    """The names of the contract are there, with the prefix, and nothing without it."""
    metrics = Metrics()
    metrics.errors_total.labels("network", "upload").inc()
    metrics.concurrent_operations.labels("upload").set(1)
    text = metrics.expose(mirror()).decode()
    samples = set(re.findall(r"^(\w+)[{ ]", text, flags=re.MULTILINE))
    plain = {re.sub("_(bucket|sum|count|created)$", "", name.removeprefix("sidecar_")) for name in samples}
    assert plain >= NAMES
    assert all(name.startswith("sidecar_") for name in samples)


def test_gauges_show_the_state_at_the_scrape() -> None:
    """Gauges mirror what they are given, breakers as numbers that an alert can compare."""
    text = Metrics().expose(mirror()).decode()
    assert 'sidecar_breaker_state{remote="s3"} 2.0' in text
    assert 'sidecar_breaker_state{remote="convex"} 1.0' in text
    assert 'sidecar_unmatched_files{root="/renders"} 7.0' in text
    assert 'sidecar_root_trouble{root="/renders"} 1.0' in text
    assert 'sidecar_clock_skew_seconds{remote="s3"} -0.25' in text
    assert 'version="1.2.3"' in text


def test_two_daemons_in_one_process_do_not_share_metrics() -> None:
    """Every object has a registry of its own."""
    first, second = Metrics(), Metrics()
    first.asset_size_bytes.observe(10)
    assert "sidecar_asset_size_bytes_count 1.0" in first.expose(mirror()).decode()
    assert "sidecar_asset_size_bytes_count 0.0" in second.expose(mirror()).decode()


def test_histograms_count_as_prometheus_does() -> None:
    """Bounds belong to their bucket; what a scrape finds is what its own histogram would have told."""
    metrics, amounts = Metrics(), [0.0, 0.005, 0.0051, 0.3, 9.99, 10.0, 10.01, 4e3]
    plain = Histogram(
        "sidecar_sync_duration_seconds",
        "One applyAssets call to Convex.",
        registry=CollectorRegistry(),
        buckets=metrics.sync_duration_seconds._upper_bounds[:-1],
    )
    for amount in amounts:
        metrics.sync_duration_seconds.observe(amount)
        plain.observe(amount)
    told, wanted = (
        [(s.name, s.labels, s.value) for m in one.collect() for s in m.samples if "created" not in s.name]
        for one in (metrics.sync_duration_seconds, plain)
    )
    assert told == wanted


def test_operations_under_way_are_those_within_their_block() -> None:
    """Many at once, also where two lives share one set of metrics, and after an error."""
    metrics = Metrics()
    first, second = metrics.under_way("upload"), metrics.under_way("upload")

    def shown() -> float | None:
        return metrics.registry.get_sample_value("sidecar_concurrent_operations", {"operation": "upload"})

    with first, second:
        assert shown() == 2
    with suppress(ValueError), first:
        raise ValueError("it failed")
    assert shown() == 0
