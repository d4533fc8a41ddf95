"""What goes wrong with a request: a status, and value, rule and cure as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.data.readers.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MEDIA = "application/problem+json"


class Problem(Exception):  # noqa: N818 (the name of the format)
    """A request that is not answered as asked.

    Attributes:
        status: of HTTP.
        value: what was given.
        rule: what it breaks.
        cure: what to do, in the imperative.
        headers: of the answer.
    """

    def __init__(self, status: int, value: str, rule: str, cure: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{value}: {rule}: {cure}")
        self.status, self.value, self.rule, self.cure = status, value, rule, cure
        self.headers = dict(headers or {})

    def to_json(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": f"{self.value}, but {self.rule}: {self.cure}",
            "value": self.value,
            "rule": self.rule,
            "cure": self.cure,
        }


def too_large(what: str, most: str) -> Problem:
    """Say that an upload or an image is over its limit, such as `64 MB`."""
    return Problem(413, f"the image has {what}", f"at most {most} are taken", "send a smaller image, or parts of it")


def busy(seconds: float, why: str) -> Problem:
    """Say that a request must come again after some seconds."""
    wait = max(1, min(60, round(seconds + 0.5)))
    return Problem(
        429, why, "no more requests are taken at once", f"send it again after {wait} s", {"Retry-After": str(wait)}
    )


def unusable(error: Exception, path: Path) -> Problem:
    """Say why an upload, which is stored at `path`, cannot be read or does not fit the model."""
    if isinstance(error, DecodeError):
        status = 413 if error.kind == "bomb" else 422
        cure = error.cure.removesuffix(", or remove it")  # the sender has no folder to remove it from
        return Problem(status, f"the upload {error.message}", "only whole images can be segmented", cure)
    if isinstance(error, MaskwrightError):
        said, _, cure = str(error).replace(str(path), "the image").rpartition(": ")
        value, _, rule = said.partition(", but ")
        return Problem(422, value, rule, cure) if rule else Problem(422, "the image does not fit", said or cure, cure)
    if isinstance(error, MemoryError):
        return Problem(413, "the image", "this machine has too little memory for it", "send a smaller image")
    return Problem(
        422,
        f"the image cannot be decoded ({type(error).__name__})",
        "only whole images can be segmented",
        "open it in an image editor and save it again",
    )
