"""Prometheus metrics, one object that daemon.py builds and hands to the stages. (Being completed.)"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """All metrics of DESIGN.md section 6, in a registry of their own."""

    def __init__(self) -> None:
        """Register every metric."""
        self.registry = CollectorRegistry()
        self.upload_duration_seconds = Histogram("sidecar_upload_duration_seconds", "claim to S3's confirmation", registry=self.registry)
        self.sync_duration_seconds = Histogram("sidecar_sync_duration_seconds", "one applyAssets call", registry=self.registry)
        self.close_to_synced_seconds = Histogram("sidecar_close_to_synced_seconds", "complete on disk to acknowledged by Convex", registry=self.registry)
        self.asset_size_bytes = Histogram("sidecar_asset_size_bytes", "size of uploaded assets", registry=self.registry)
        self.errors_total = Counter("sidecar_errors", "failures", ["kind", "stage"], registry=self.registry)
        self.concurrent_operations = Gauge("sidecar_concurrent_operations", "operations under way", ["operation"], registry=self.registry)
