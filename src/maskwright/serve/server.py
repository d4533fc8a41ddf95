"""The running service: a socket, uvicorn on it, and an orderly end. Knows no path and no model's content."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from typing import TYPE_CHECKING

import uvicorn

from maskwright.core.allocator import share_one_heap
from maskwright.core.errors import MaskwrightError
from maskwright.data.readers.video import quiet
from maskwright.serve.app import make_app
from maskwright.serve.models import load_all
from maskwright.serve.protocol import PatientProtocol
from maskwright.serve.service import Service
from maskwright.serve.uploads import LONGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from maskwright.serve.line import Line
    from maskwright.serve.settings import ServeRequest

_BACKLOG = 2048


def serve(runs: Sequence[str], request: ServeRequest, on_ready: Callable[[str, list[str]], None]) -> Line:
    """Serve models until a signal comes, and then finish what was accepted.

    Args:
        runs: `RUN` or `NAME=RUN`, the default first.
        request: how to serve them.
        on_ready: gets the URL and the names of the models when connections are accepted.

    Returns:
        How many requests were accepted and answered: all but those whose clients left.

    Raises:
        MaskwrightError: no usable model, or a port that is taken.
    """
    share_one_heap()  # before there are threads
    with listening(request) as listener, quiet():
        # The sender of a damaged upload is answered; whoever reads the terminal can do nothing about it.
        logging.getLogger("tifffile").setLevel(logging.CRITICAL)
        service = Service(load_all(runs, request), request)
        server = make_server(service)
        port = listener.getsockname()[1]
        host = f"[{request.host}]" if ":" in request.host else request.host
        listener.listen(_BACKLOG)
        on_ready(f"http://{host}:{port}/", list(service.models))
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again when all is done
            server.run([listener])
    return service.line


def make_server(service: Service) -> uvicorn.Server:
    """Return a server for sockets that are bound already."""
    config = uvicorn.Config(
        make_app(service),
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        # A client that does not take its answer must not keep the service from ending.
        timeout_graceful_shutdown=round(LONGEST + 2 * service.request.timeout),
    )
    return _Server(config, service)


class _Server(uvicorn.Server):
    """Uvicorn that tells the service at once when a signal comes."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop: not ready for more."""
        self._service.stopping = True
        super().handle_exit(sig, frame)


def listening(request: ServeRequest) -> socket.socket:
    """Bind the port, before a model is loaded.

    Raises:
        MaskwrightError: it is taken or not allowed, or there is no such host.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(request.host, request.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, number)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise _not_bound(request, error) from error
    return listener


def _not_bound(request: ServeRequest, error: OSError) -> MaskwrightError:
    place = f"port {request.port} of {request.host}"
    if isinstance(error, socket.gaierror):
        return MaskwrightError(f"`host` {request.host} is unknown ({error.strerror}): give an address of this machine")
    if error.errno == errno.EADDRINUSE:
        return MaskwrightError(f"{place} is in use by another program: stop it, or choose another `port`", "port")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return MaskwrightError(f"{place} needs the rights of an administrator: choose a `port` above 1023", "port")
    if error.errno == errno.EADDRNOTAVAIL:
        return MaskwrightError(f"{request.host} is no address of this machine: choose another `host`", "host")
    return MaskwrightError(f"{place} cannot be used ({error.strerror}): choose another `port`", "port")
