"""Who may ask, and what browsers may do with the answer: an ASGI layer around the whole application.

The checks come before a byte of the body is read. A request with the name of another host (DNS rebinding), or from a
page of another site, is refused, since a browser on this machine would send those for a stranger.
"""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from maskwright.serve.problems import MEDIA, Problem
from maskwright.serve.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
OPEN = ("/", "/healthz", "/readyz")
"""Paths that need no token, besides those of the page's files: they tell nothing about the models."""
PAGE = "/page/"


class Guard:
    """The layer.

    Args:
        app: what it guards.
        host: that the service listens on.
        token: that requests must bring; None for none.
        on_answer: gets path of the route, and status.
    """

    def __init__(
        self, app: ASGIApp, host: str, token: str | None, on_answer: Callable[[str, int], None] = lambda *_: None
    ) -> None:
        self._app, self._host, self._token, self._on_answer = app, host, token, on_answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # answered like GET; the server leaves the body out
            scope = {**scope, "method": "GET"}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_headers(message.get("headers", []))
                route = scope.get("route")
                self._on_answer(getattr(route, "path", "other"), message["status"])
            await send(message)

        try:
            self._check(scope)
        except Problem as problem:
            await send_problem(problem, guarded)
        else:
            await self._app(scope, receive, guarded)

    def _check(self, scope: Scope) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get("host", ""), headers.get("origin")
        if is_loopback(self._host) and not is_loopback(_name(host)) and _name(host) != self._host.lower():
            raise Problem(
                421,
                f"the host {host!r}",
                "this service answers to its own machine only",
                f"use {self._host} in the address, or serve with a host and a token",
            )
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise Problem(403, f"the origin {origin!r}", "only the service's own page may use it", "open its page")
        path = scope["path"]
        if self._token is None or path in OPEN or path.startswith(PAGE):
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(), self._token.encode())
        if scheme.lower() != "bearer" or not same:
            what = "a wrong token" if given else "no token"
            raise Problem(
                401,
                f"the request has {what}",
                "this service needs one",
                "send the header Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )


async def send_problem(problem: Problem, send: Send) -> None:
    """Answer with a problem."""
    body = json.dumps(problem.to_json()).encode()
    headers = {**problem.headers, "Content-Type": MEDIA, "Content-Length": str(len(body)), "Cache-Control": "no-store"}
    start: MutableMapping[str, Any] = {
        "type": "http.response.start",
        "status": problem.status,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _with_headers(given: Any) -> list[tuple[bytes, bytes]]:
    names = {name.lower() for name, _ in given}
    more = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    if b"cache-control" not in names:
        more.append((b"cache-control", b"no-store"))
    return [*given, *more]


def _name(host: str) -> str:
    """Return the host of `host:port`; IPv6 addresses stand in brackets."""
    return host.lower().partition("]")[0].lstrip("[") if host.startswith("[") else host.lower().partition(":")[0]
