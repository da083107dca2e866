"""The design's names are the daemon's collectors, in whose registry the caller wants."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from sidecar.library.metrics import AssetMetrics
from sidecar.metrics import Metrics


def test_each_name_of_the_design_counts_under_the_daemons_name() -> None:
    """In the registry that is passed, beside what else is there."""
    registry = CollectorRegistry()
    ours = AssetMetrics(registry)
    ours.upload_duration.observe(0.2)
    ours.sync_duration.observe(0.1)
    ours.error_rate.labels(kind="network", stage="upload").inc()
    ours.asset_size_distribution.observe(1000)
    ours.concurrent_operations.labels(operation="upload").set(3)
    lines = generate_latest(registry).decode().splitlines()
    assert {
        "sidecar_upload_duration_seconds_count 1.0",
        "sidecar_sync_duration_seconds_count 1.0",
        'sidecar_errors_total{kind="network",stage="upload"} 1.0',
        "sidecar_asset_size_bytes_sum 1000.0",
        'sidecar_concurrent_operations{operation="upload"} 3.0',
    } <= set(lines)


def test_what_the_engine_counts_is_shown() -> None:
    """The same objects, so that nothing is counted twice."""
    metrics = Metrics()
    assert AssetMetrics(metrics=metrics).upload_duration is metrics.upload_duration_seconds
    assert AssetMetrics(metrics=metrics).registry is metrics.registry


def test_two_in_one_registry_are_refused() -> None:
    """Prometheus would mix them."""
    registry = CollectorRegistry()
    AssetMetrics(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        AssetMetrics(registry)
    with pytest.raises(ValueError, match="not both"):
        AssetMetrics(registry, metrics=Metrics())
