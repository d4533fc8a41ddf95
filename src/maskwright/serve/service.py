"""One service: its models, line, batcher, gallery and counters, and how a request becomes an answer."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from maskwright.core.errors import MaskwrightError, out_of_memory
from maskwright.core.resources import CACHE_SHARE, Gate, cores, free_memory
from maskwright.data.readers import image_size
from maskwright.inference import Predictor
from maskwright.serve.answers import Answer, answered
from maskwright.serve.batcher import Batcher, SharedEngine
from maskwright.serve.gallery import Gallery
from maskwright.serve.line import GoneError, Line
from maskwright.serve.metrics import Metrics
from maskwright.serve.models import Watcher
from maskwright.serve.problems import Problem, too_large, unusable
from maskwright.serve.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from starlette.requests import Request

    from maskwright.serve.line import Ticket
    from maskwright.serve.models import Loaded, Served
    from maskwright.serve.settings import ServeRequest

LOG = logging.getLogger("maskwright.serve")
_BYTES_PER_PIXEL = 32
"""What an image, its result and the pictures of it take together, about."""


class Service:
    """Everything that requests share.

    Args:
        models: by name; the first is the default.
        request: limits and folders.
    """

    def __init__(self, models: dict[str, Served], request: ServeRequest) -> None:
        self.models, self.request = models, request
        self.metrics = Metrics()
        self.batcher = Batcher(self.metrics.batch.observe)
        slowest = max(model.current.seconds for model in models.values())
        self.line = Line(cores() + 1, request.queue, request.timeout, slowest)
        self.uploads = Uploads(request.max_bytes)
        self.gallery = None if request.gallery is None else Gallery(request.gallery)
        self.stopping = False
        self.memory = Gate(int(CACHE_SHARE * free_memory()))
        self._watcher = Watcher(tuple(models.values()), self._reloaded)
        self.metrics.watch("queue_requests", "Requests that wait.", lambda: self.line.waiting)
        self.metrics.watch("accepted_requests", "Requests that were let into the line.", lambda: self.line.accepted)
        self.metrics.watch("working_requests", "Requests that are worked on.", lambda: self.line.working)
        self.metrics.watch("upload_bytes", "Bytes of uploads that are under way.", lambda: self.uploads.held)
        for name, model in models.items():
            self.metrics.watch_drift(name, model.drift_share, model.drift_images)

    async def close(self) -> None:
        """Finish what was accepted, and end all threads."""
        self.stopping = True
        await self.line.close()
        self.batcher.close()
        self._watcher.close()

    def model(self, name: str | None) -> Served:
        """Return a model by name, or the default.

        Raises:
            Problem: there is none of this name.
        """
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            known = ", ".join(self.models)
            raise Problem(404, f"the model {name!r}", f"this service has only {known}", "choose one of them")
        return self.models[name]

    async def predict(self, request: Request, model: Served, output: str, *, picture: bool) -> Answer:
        """Receive an image, wait for its turn, and answer.

        Raises:
            Problem: what is wrong with the request, or with the time that it takes.
            GoneError: the client has left.
        """
        self.line.require_room()
        try:
            body = await self.uploads.receive(request)
        except ClientDisconnect:
            raise GoneError from None
        gone = asyncio.ensure_future(_left(request))
        try:
            with tempfile.TemporaryDirectory(prefix="maskwright-") as folder:
                path = Path(folder) / "image"
                pixels = await asyncio.to_thread(self._stored, body, path)
                del body
                started = time.monotonic()
                work = _Work(self, model.name, model.current, path, output, picture=picture)
                answer = await self.line.process(pixels, work, gone)
        finally:
            gone.cancel()
        self.metrics.seconds.labels(model.name).observe(time.monotonic() - started)
        self.metrics.predicted.labels(model.name, output).inc()
        return answer

    def _stored(self, body: bytes, path: Path) -> int:
        """Write an upload to a file, and return its pixels, from its header alone."""
        path.write_bytes(body)
        height, width = _read(path, image_size)
        if height * width > self.request.max_pixels:
            raise too_large(f"{width} x {height} pixels", f"{self.request.max_pixels:,} pixels")
        return height * width

    def _reloaded(self, name: str, taken: bool) -> None:
        self.metrics.reloads.labels(name, str(taken).lower()).inc()


class _Work:
    """What one request does in its thread."""

    def __init__(self, service: Service, name: str, model: Loaded, path: Path, output: str, *, picture: bool) -> None:
        self._service, self._name, self._model = service, name, model
        self._path, self._output, self._picture = path, output, picture

    def __call__(self, ticket: Ticket) -> Answer:
        loaded, limit = self._model.predictor, self._service.request.batch
        engine = SharedEngine(loaded.engine, self._service.batcher, limit or loaded.engine.batch, ticket.check)
        predictor = Predictor(engine, loaded.card, loaded.postprocessor)
        ticket.check()
        with self._service.memory.passing(int(ticket.work) * _BYTES_PER_PIXEL):
            began = time.monotonic()
            image = _read(self._path, predictor.read)
            spent = {"queue": ticket.started - ticket.entered, "decode": time.monotonic() - began}
            about = {
                "model": self._name,
                "sha256": self._model.sha256,
                "task": loaded.card.task,
                "width": image.shape[1],
                "height": image.shape[0],
                "milliseconds": {name: round(1000 * seconds, 1) for name, seconds in spent.items()},
            }
            try:
                answer = answered(predictor, image, self._output, about, picture=self._picture)
            except MaskwrightError as error:
                raise unusable(error, self._path) from error
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                raise unusable(MemoryError(), self._path) from error
            self._look(image)
        return Answer(answer.body, answer.media, {**spent, **answer.seconds})

    def _look(self, image: Any) -> None:
        """Compare the image with those of the training. The answer is there, so nothing of this may fail it."""
        loaded, drift = self._model.predictor, self._model.drift
        if drift is None:
            return
        own = SharedEngine(loaded.engine, self._service.batcher, 1, lambda: None)  # goes on though the client has left
        try:
            drift.look(Predictor(own, loaded.card), image)
        except Exception:
            LOG.exception("an image could not be compared with those of the training")


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    """Read an upload; whatever a decoder raises is the fault of the file.

    Raises:
        Problem: it cannot be read.
    """
    try:
        return reader(path)
    except Exception as error:
        if not isinstance(error, MaskwrightError):
            LOG.warning("an upload made a decoder fail", exc_info=error)
        raise unusable(error, path) from error


async def _left(request: Request) -> None:
    """Return when the client leaves."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
