"""A client of the service in Python, with nothing but the standard library and NumPy. Knows no network of neurons.

`mw.Client(url).predict(image)` sends an image and returns what the model found. A service that is busy is asked again
after the time that it names.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import cv2
import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.serve.settings import is_loopback

if TYPE_CHECKING:
    from email.message import Message

    from numpy.typing import NDArray

_LONGEST_WAIT = 60.0
_BUSY = 429


class ServiceError(MaskwrightError):
    """The service refused a request, or cannot be reached.

    Attributes:
        status: of HTTP; None if there was no answer.
        problem: what the service says, as JSON values.
    """

    def __init__(self, message: str, status: int | None = None, problem: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.problem = status, problem or {}


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a model found in one image.

    Attributes:
        document: as docs/serve.md describes it: `classes`, `objects`, `width`, `height`, `milliseconds`.
        labels: uint8 (H, W), class indices, 255 for none.
        confidence: uint8 (H, W), 255 for a probability of 1.
        ids: int32 (H, W), ids of objects, 0 for none; None for tasks without objects.
    """

    document: dict[str, Any]
    labels: NDArray[np.uint8] = field(repr=False)
    confidence: NDArray[np.uint8] = field(repr=False)
    ids: NDArray[np.int32] | None = field(default=None, repr=False)

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The objects, empty for tasks without."""
        return list(self.document.get("objects", ()))


class Client:
    """A client.

    Args:
        url: of the service, `http://127.0.0.1:8000`.
        token: that it wants, if it wants one.
        timeout: seconds to wait for an answer.
        retries: times that a busy service is asked again.

    Raises:
        MaskwrightError: the URL is none of HTTP.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 120.0, retries: int = 5) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise MaskwrightError(f"the URL is {url!r}, and it must begin with http:// or https://: give the service's")
        self._url, self._timeout, self._retries = url.rstrip("/"), timeout, retries
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        # A proxy has no business between two programs of one machine, and a token must not follow a redirection.
        proxies = [ProxyHandler({})] if is_loopback(parts.hostname) else []
        self._opener = build_opener(*proxies, _NoRedirects())

    def models(self) -> list[dict[str, Any]]:
        """Return the models that the service has, the default first.

        Raises:
            ServiceError: no answer, or a refusal.
        """
        found: list[dict[str, Any]] = json.loads(self._ask("/v1/model")[0])["models"]
        return found

    def predict(self, image: NDArray[Any] | bytes | str | Path, model: str | None = None) -> Segmentation:
        """Segment one image.

        Args:
            image: an array (H, W) or (H, W, C), the path of a file, or the bytes of one.
            model: its name; None for the default.

        Raises:
            ServiceError: no answer, or a refusal.
        """
        body, media = self._ask(_path("bundle", model), _content(image))
        parts = _form(body, media)
        ids = parts.get("ids")
        return Segmentation(
            json.loads(parts["document"]),
            _pixels(parts["labels"]),
            _pixels(parts["confidence"]),
            None if ids is None else _pixels(ids).astype(np.int32) @ np.array([65536, 256, 1], np.int32),
        )

    def answer(self, image: NDArray[Any] | bytes | str | Path, output: str, model: str | None = None) -> bytes:
        """Segment one image, and return an output of docs/serve.md as it comes, such as `overlay` or `geojson`.

        Raises:
            ServiceError: no answer, or a refusal.
        """
        return self._ask(_path(output, model), _content(image))[0]

    def _ask(self, path: str, body: bytes | None = None) -> tuple[bytes, str]:
        """Return body and media type of an answer."""
        for again in range(self._retries, -1, -1):
            request = Request(self._url + path, data=body, headers=self._headers)  # noqa: S310 (checked in __init__)
            if body is not None:
                request.add_header("Content-Type", "application/octet-stream")
            try:
                with self._opener.open(request, timeout=self._timeout) as answer:
                    return answer.read(), answer.headers["Content-Type"]
            except HTTPError as error:
                said = error.read()
                if error.code != _BUSY or not again:
                    raise _refused(error.code, said, self._url) from None
                time.sleep(_wait(error.headers))
            except (URLError, HTTPException, OSError) as error:
                reason = getattr(error, "reason", None) or error
                raise ServiceError(
                    f"{self._url} does not answer ({reason}): check that the service runs, and the URL"
                ) from error
        raise AssertionError("the last try returns or raises")


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any, **_options: Any) -> None:
        """Follow none: the answer becomes an error."""


def _path(output: str, model: str | None) -> str:
    query = {"output": output, **({} if model is None else {"model": model})}
    return f"/v1/predict?{urlencode(query, quote_via=quote)}"


def _content(image: NDArray[Any] | bytes | str | Path) -> bytes:
    """Return an image as the content of a file; arrays of any type as NPY, which loses nothing."""
    if isinstance(image, np.ndarray):
        file = BytesIO()
        np.save(file, image, allow_pickle=False)
        return file.getvalue()
    if isinstance(image, str | Path):
        try:
            return Path(image).read_bytes()
        except OSError as error:
            raise MaskwrightError(f"{image} cannot be read ({error.strerror or error}): check the path") from None
    return bytes(image)


def _form(body: bytes, media: str) -> dict[str, bytes]:
    """Return the parts of a bundle by name."""
    mark = b"--" + media.partition("boundary=")[2].encode()
    parts = {}
    for piece in body.split(mark)[1:-1]:
        head, _, content = piece.partition(b"\r\n\r\n")
        parts[head.partition(b'name="')[2].partition(b'"')[0].decode()] = content[:-2]
    return parts


def _pixels(png: bytes) -> NDArray[np.uint8]:
    """Decode a PNG to (H, W), or (H, W, 3) with blue first."""
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


def _wait(headers: Message) -> float:
    """Return the seconds of `Retry-After`, which may be a number or a date; 1 without one."""
    text = headers.get("Retry-After", "1")
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            seconds = 1.0
    return min(max(seconds, 0.1), _LONGEST_WAIT)


def _refused(status: int, body: bytes, url: str) -> ServiceError:
    try:
        problem = json.loads(body)
        said = str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return ServiceError(f"{url} answered with status {status}, and not as this service does: check the URL", status)
    return ServiceError(said, status, problem)
