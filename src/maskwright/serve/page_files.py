"""The files of the page, as they are in the package. Knows nothing of what they hold."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Response

from maskwright.serve.problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

FOLDER = Path(__file__).parent / "page"
MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}


def page_file(name: str, request: Request) -> Response:
    """Return a file of the page, or 304 for what the browser has already.

    Raises:
        Problem: there is no such file.
    """
    path = {file.relative_to(FOLDER).as_posix(): file for file in FOLDER.rglob("*") if file.suffix in MEDIA}.get(name)
    if path is None:
        raise Problem(404, f"the page has no file {name!r}", "only its own files are sent", "open /")
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if tag in known:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=MEDIA[path.suffix], headers=headers)
