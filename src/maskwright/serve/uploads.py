"""The body of a request, within limits of bytes and time, and the image in it. Decodes nothing, and trusts no name."""

from __future__ import annotations

import asyncio
import re
import time
from email.message import Message
from typing import TYPE_CHECKING

from maskwright.serve.problems import Problem, busy, too_large

if TYPE_CHECKING:
    from starlette.requests import Request

IDLE, LONGEST = 10.0, 120.0
"""Seconds without a byte, and in all, that an upload may take."""
MOST_TOGETHER = 4
"""All uploads that are under way may hold this many times the largest one."""
_SLOW = "send it again over a faster connection"


class Uploads:
    """Receives bodies.

    Args:
        most: bytes of one.

    Attributes:
        held: bytes of those that were received and not given back.
    """

    def __init__(self, most: int, idle: float = IDLE, longest: float = LONGEST) -> None:
        self._most, self._idle, self._longest = most, idle, longest
        self.held = 0

    async def receive(self, request: Request) -> bytes:
        """Return the image of a request: its body, or the part `image` of a form.

        Raises:
            Problem: too many bytes, too slow, or no image.
            ClientDisconnect: the client has left.
        """
        kind = Message()
        kind["Content-Type"] = request.headers.get("content-type", "")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Problem(415, "the upload is compressed", "images are taken as they are", "leave out Content-Encoding")
        self._require_size(request)
        body = await self._body(request)
        if kind.get_content_type() == "multipart/form-data":
            body = image_part(body, str(kind.get_param("boundary", "")))
        if not body:
            raise Problem(422, "the upload has 0 bytes", "an image is needed", "send an image file as the body")
        return body

    def _require_size(self, request: Request) -> None:
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._most:
            raise too_large(f"{int(length):,} bytes", f"{self._most:,} bytes")

    async def _body(self, request: Request) -> bytes:
        body, stream, deadline = bytearray(), request.stream(), time.monotonic() + self._longest
        try:
            while True:
                patience = min(self._idle, deadline - time.monotonic())
                try:
                    part = await asyncio.wait_for(anext(stream, None), patience)
                except TimeoutError:
                    raise self._slow(len(body)) from None
                if part is None:
                    return bytes(body)
                body += part
                self.held += len(part)
                if len(body) > self._most:
                    raise too_large("more bytes", f"{self._most:,} bytes")
                if self.held > MOST_TOGETHER * self._most:
                    raise busy(1, f"{self.held:,} bytes are being received")
        finally:
            self.held -= len(body)

    def _slow(self, received: int) -> Problem:
        rule = f"an upload may take {self._longest:g} s, and {self._idle:g} s without a byte"
        return Problem(408, f"{received:,} bytes have arrived", rule, _SLOW, {"Connection": "close"})


def image_part(body: bytes, boundary: str) -> bytes:
    """Return the content of the part `image` of a form (RFC 7578).

    Raises:
        Problem: the form is damaged, or does not have exactly one such part.
    """
    mark = b"\r\n--" + boundary.encode("utf-8", "replace")
    pieces = (b"\r\n" + body).split(mark)
    if not boundary or len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise _damaged()
    images = []
    for piece in pieces[1:-1]:
        head, blank, content = piece.partition(b"\r\n\r\n")
        if not blank or head.lstrip(b" \t")[:2] != b"\r\n":
            raise _damaged()
        if re.search(rb'^content-disposition:\s*form-data\s*;[^\r\n]*\bname="?image"?\s*(;|$|\r)', head, re.I | re.M):
            images.append(content)
    if not images:
        cure = "call the part image: -F image=@FILE"
        raise Problem(422, "the form has no part called image", "an image is needed", cure)
    if len(images) > 1:
        value = f"the form has {len(images)} parts called image"
        raise Problem(422, value, "a request takes one image", "send the others in requests of their own")
    return images[0]


def _damaged() -> Problem:
    return Problem(
        400, "the form is cut or has no boundary", "multipart/form-data has parts between boundaries", "send it again"
    )
