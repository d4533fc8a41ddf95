"""The paths of the service, as FastAPI documents and serves them. Knows no socket.

FastAPI can report to OpenTelemetry, and its own documentation pages load scripts from elsewhere: both are switched off.
"""

from __future__ import annotations

import asyncio
import contextlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from maskwright.serve import metrics
from maskwright.serve.answers import BY_MEDIA, OUTPUTS, asked_for
from maskwright.serve.guard import Guard
from maskwright.serve.line import GoneError
from maskwright.serve.openapi import EXAMPLES, PREDICT, PROBLEMS
from maskwright.serve.page_files import page_file
from maskwright.serve.problems import MEDIA, Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from maskwright.serve.service import Service

SILENT = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
CLIENT_LEFT = 499
"""nginx's status for a client that left; nobody receives it, and the counters show it."""

ModelName = Annotated[str | None, Query(alias="model", description="Name of the model; the first one if left out.")]
OutputName = Annotated[
    Literal["mask", "objects", "geojson", "coco", "overlay", "confidence", "bundle"] | None,
    Query(alias="output", description="What to answer, whatever the Accept header says."),
]
WithImage = Annotated[bool, Query(alias="image", description="Put the image into a bundle too, as JPEG.")]


def make_app(service: Service) -> Guard:
    """Return the application, with its guard."""

    @contextlib.asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await service.close()

    app = FastAPI(
        title="maskwright",
        version=version("maskwright"),
        description="Segments images with trained models.",
        docs_url=None,
        redoc_url=None,
        lifespan=life,
        telemetry=SILENT,
        responses=PROBLEMS,
    )
    for kind in (Problem, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _problem)
    _add_models(app, service)
    _add_state(app, service)
    _add_pages(app, service)

    def count(path: str, status: int) -> None:
        service.metrics.requests.labels(path, str(status)).inc()
        if status in {408, 413, 429}:
            service.metrics.rejected.labels(str(status)).inc()

    return Guard(app, service.request.host, service.request.token, count)


def _add_models(app: FastAPI, service: Service) -> None:
    @app.post("/v1/predict", openapi_extra=PREDICT, response_class=Response, tags=["models"])
    async def predict(
        request: Request, model: ModelName = None, output: OutputName = None, image: WithImage = False
    ) -> Response:
        """Segment an image: the body, or the part `image` of a form. The Accept header or `output` says what comes."""
        served = service.model(model)
        wanted = output or asked_for(request.headers.get("accept", "*/*"))
        if wanted is None:
            kinds = ", ".join(BY_MEDIA)
            given = f"the Accept header is {request.headers['accept']!r}"
            raise Problem(406, given, f"answers are {kinds}", "accept one of them, or leave it out")
        try:
            answer = await service.predict(request, served, wanted, picture=image)
        except GoneError:
            service.metrics.abandoned.inc()
            return Response(status_code=CLIENT_LEFT)
        timing = ", ".join(f"{name};dur={1000 * seconds:.1f}" for name, seconds in answer.seconds.items())
        headers = {"Server-Timing": timing, "Vary": "Accept"}
        return Response(answer.body, media_type=answer.media, headers=headers)

    @app.get("/v1/model", tags=["models"], openapi_extra=EXAMPLES["model"])
    async def models() -> dict[str, Any]:
        """List the models, the default first."""
        limits = service.request
        return {
            "models": [served.describe() for served in service.models.values()],
            "outputs": {name: output.media for name, output in OUTPUTS.items()},
            "limits": {"bytes": limits.max_bytes, "pixels": limits.max_pixels, "timeout": limits.timeout},
            "gallery": service.gallery is not None,
        }

    @app.get("/v1/gallery", tags=["gallery"], openapi_extra=EXAMPLES["gallery"])
    async def gallery() -> dict[str, Any]:
        """List the images of the gallery."""
        found = [] if service.gallery is None else await asyncio.to_thread(service.gallery.entries)
        return {"images": [entry.to_json() for entry in found]}

    @app.get("/v1/gallery/{id}", tags=["gallery"], response_class=Response)
    async def gallery_image(id: str) -> Response:  # noqa: A002
        """Return the bytes of an image of the gallery."""
        found = None if service.gallery is None else await asyncio.to_thread(service.gallery.find, id)
        if found is None:
            raise Problem(404, f"the id {id!r}", "the gallery has no such image", "list its images with /v1/gallery")
        content = await asyncio.to_thread(found.path.read_bytes)
        return Response(content, media_type=found.media)


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", tags=["state"])
    async def healthy() -> dict[str, str]:
        """Say that the process answers."""
        return {"status": "alive"}

    @app.get("/readyz", tags=["state"])
    async def ready() -> dict[str, str]:
        """Say whether images are taken."""
        if service.stopping:
            raise Problem(503, "the service", "it is stopping", "use another one")
        return {"status": "ready"}

    @app.get("/metrics", tags=["state"], response_class=Response)
    async def numbers() -> Response:
        """Return counters for Prometheus."""
        return Response(service.metrics.text(), media_type=metrics.MEDIA)


def _add_pages(app: FastAPI, _service: Service) -> None:
    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return page_file("index.html", request)

    @app.get("/page/{name:path}", include_in_schema=False)
    async def file(name: str, request: Request) -> Response:
        return page_file(name, request)


async def _problem(request: Request, error: Exception) -> Response:
    """Answer with value, rule and cure, whatever went wrong."""
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:])
        rule = str(first["msg"]).replace("Input should", "it must")
        error = Problem(422, f"{name} is {first.get('input')!r}", rule, "see /openapi.json")
    elif isinstance(error, HTTPException):
        headers = error.headers or {}
        value = f"the request is {request.method} {request.url.path}"
        rules = {404: "this service has no such path", 405: f"this path takes only {headers.get('Allow')}"}
        rule = rules.get(error.status_code, str(error.detail))
        error = Problem(error.status_code, value, rule, "see /openapi.json", headers)
    elif not isinstance(error, Problem):  # uvicorn logs it
        error = Problem(500, "the service", "it has a bug", "report it, with what its terminal says")
    return JSONResponse(error.to_json(), error.status, error.headers, media_type=MEDIA)
