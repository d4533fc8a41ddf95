"""A request from the keyword arguments of a call. Knows no request."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from maskwright.core.errors import MaskwrightError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping

Request = TypeVar("Request")


def request_of(kind: type[Request], request: Request | None, keywords: Mapping[str, Any]) -> Request:
    """Return the given request, or build one of its type, a dataclass, from keyword arguments.

    Raises:
        MaskwrightError: both are given, or a keyword is not a field of the request; the message names the nearest one.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # a type variable is no dataclass to mypy
    for name in keywords:
        if name not in known:
            raise unknown_name("keyword", name, known)
    if request is not None and keywords:
        raise MaskwrightError(f"both a request and {min(keywords)} are given: put {min(keywords)} into the request")
    if request is not None and not isinstance(request, kind):
        raise MaskwrightError(f"request is {request!r}, and it must be a {kind.__name__}: or give keywords")
    return request or kind(**keywords)
