"""What the service counts, in Prometheus' format. Knows no request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MEDIA = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TILES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """The counters of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = self._counter("requests", "Answers, by path and status.", "path", "status")
        self.predicted = self._counter("predictions", "Images that were predicted.", "model", "output")
        self.rejected = self._counter("rejected", "Requests that were refused, by status.", "status")
        self.abandoned = self._counter("abandoned", "Requests whose client left.")
        self.reloads = self._counter("reloads", "Changed model files, by whether they are in use.", "model", "taken")
        self.seconds = Histogram(
            "maskwright_request_seconds",
            "Time from the end of an upload to its answer.",
            ["model"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.batch = Histogram(
            "maskwright_batch_tiles", "Tiles in one run of a network.", buckets=_TILES, registry=self._registry
        )
        self._unlike = self._gauge(
            "drift_share", "Recent images that look unlike the training images: about 0.05 for images of the same kind."
        )
        self._compared = self._gauge("drift_images", "Recent images that were compared with the training images.")

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a number that is asked for when it is read."""
        Gauge(f"maskwright_{name}", text, registry=self._registry).set_function(value)

    def watch_drift(self, model: str, share: Callable[[], float], images: Callable[[], float]) -> None:
        """Add the drift of a model, which is asked for when it is read."""
        self._unlike.labels(model).set_function(share)
        self._compared.labels(model).set_function(images)

    def text(self) -> bytes:
        """Return everything."""
        return generate_latest(self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"maskwright_{name}", text, ["model"], registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"maskwright_{name}", text, labels, registry=self._registry)
