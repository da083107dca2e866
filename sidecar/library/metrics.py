"""The platform's metrics under the design's names: the daemon's own collectors, filled by the same code."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sidecar.metrics import Metrics


class AssetMetrics:
    """What stores and tells assets, measured. Each collector has the name that CONTRACT.md gives it."""

    def __init__(self, registry: CollectorRegistry | None = None, *, metrics: Metrics | None = None) -> None:
        """Register in ``registry``, None: one of its own; or show ``metrics`` that are counted already.

        Raises ValueError for both, and where the registry has metrics of these names.
        """
        if registry is not None and metrics is not None:
            raise ValueError("give a registry or metrics, not both: the metrics have a registry")
        self.metrics = Metrics(registry) if metrics is None else metrics

    @property
    def registry(self) -> CollectorRegistry:
        """What a scrape reads."""
        return self.metrics.registry

    @property
    def upload_duration(self) -> Histogram:
        """Seconds from the claim of a transfer to S3's confirmation."""
        return self.metrics.upload_duration_seconds

    @property
    def sync_duration(self) -> Histogram:
        """Seconds of one applyAssets call."""
        return self.metrics.sync_duration_seconds

    @property
    def error_rate(self) -> Counter:
        """Failures by kind and stage; a rate is ``rate(sidecar_errors_total[5m])``."""
        return self.metrics.errors_total

    @property
    def asset_size_distribution(self) -> Histogram:
        """Bytes of uploaded assets."""
        return self.metrics.asset_size_bytes

    @property
    def concurrent_operations(self) -> Gauge:
        """Operations under way, by operation."""
        return self.metrics.concurrent_operations
