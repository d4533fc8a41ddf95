"""An image file and a model to an answer: read, predicted, encoded. Knows no connection."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.data.results import overlay_step, save_jpeg
from maskwright.ops.draw import to_rgb8
from maskwright.serve import results

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.inference import Predictor

JSON, PNG, JPEG, GEOJSON = "application/json", "image/png", "image/jpeg", "application/geo+json"
FORM = "multipart/form-data"


@dataclass(frozen=True)
class Answer:
    """What is sent.

    Attributes:
        body: bytes.
        media: its type.
        seconds: of each step, by its name.
    """

    body: bytes
    media: str
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """A predicted image.

    Attributes:
        image: (H, W, C), as read.
        result: of the model's task.
        classes: of the model.
        about: what the JSON document begins with.
        draw: result over image, RGB (H, W, 3).
        picture: whether a bundle holds the image too.
    """

    image: NDArray[Any]
    result: Any
    classes: Classes
    about: dict[str, Any]
    draw: Callable[[], NDArray[np.uint8]]
    picture: bool = False


class Output(NamedTuple):
    """One kind of answer: its media type, its function, and whether it needs the confidence."""

    media: str
    make: Callable[[Found], bytes]
    confidence: bool = False


def answered(
    predictor: Predictor, image: NDArray[Any], output: str, about: dict[str, Any], *, picture: bool = False
) -> Answer:
    """Predict an image and encode the result.

    Args:
        predictor: the model.
        image: (H, W, C), as read.
        output: name in `OUTPUTS`.
        about: what the JSON document begins with; its `milliseconds` are filled in.
        picture: put the image into a bundle.

    Raises:
        MaskwrightError: the image does not fit the model, or the result not the output.
    """
    started = time.perf_counter()
    kind = OUTPUTS[output]
    predictor.check(image)
    result = predictor.result(image, confidence=kind.confidence)
    predicted = time.perf_counter()
    about["milliseconds"]["predict"] = round(1000 * (predicted - started), 1)
    task, classes = predictor.task, predictor.classes
    found = Found(image, result, classes, about, lambda: task.overlay(image, result, classes), picture)
    body = kind.make(found)
    spent = {"predict": predicted - started, "encode": time.perf_counter() - predicted}
    media = f"{FORM}; boundary={_boundary(body)}" if kind.media == FORM else kind.media
    return Answer(body, media, spent)


def document(found: Found) -> dict[str, Any]:
    """Return the result as JSON values: classes with their pixels, and objects if the task has any."""
    return _document(found, results.layers(found.result, found.classes)["labels"])


def _document(found: Found, labels: NDArray[np.uint8]) -> dict[str, Any]:
    objects = results.objects_of(found.result, found.classes)
    content = {**found.about, "classes": results.class_shares(labels, found.classes)}
    return content if objects is None else {**content, "objects": objects}


def _mask(found: Found) -> bytes:
    return results.mask_png(found.result, found.classes)


def _objects(found: Found) -> bytes:
    return _json(document(found))


def _geojson(found: Found) -> bytes:
    return results.geojson(found.result, found.classes).encode()


def _coco(found: Found) -> bytes:
    return _json(results.coco(found.result, found.classes))


def _overlay(found: Found) -> bytes:
    return _jpeg(found.draw())


def _confidence(found: Found) -> bytes:
    return results.png(results.confidence(found.result, found.classes), smooth=True)


def _bundle(found: Found) -> bytes:
    """Return a form: `document` in JSON and PNGs of `labels`, `ids` and `confidence`, which browsers parse."""
    shown = results.layers(found.result, found.classes)
    parts = [("document", JSON, _json(_document(found, shown["labels"])))]
    parts += [(name, PNG, results.png(values)) for name, values in shown.items()]
    parts.append(("confidence", PNG, _confidence(found)))
    if found.picture:
        parts.append(("image", JPEG, _jpeg(to_rgb8(found.image))))
    boundary = secrets.token_hex(16).encode()
    form = bytearray()
    for name, media, content in parts:
        file = "" if media == JSON else f'; filename="{name}"'
        head = f'Content-Disposition: form-data; name="{name}"{file}\r\nContent-Type: {media}\r\n\r\n'
        form += b"--" + boundary + b"\r\n" + head.encode() + content + b"\r\n"
    return bytes(form + b"--" + boundary + b"--\r\n")


def _boundary(form: bytes) -> str:
    return form[2 : form.index(b"\r\n")].decode()


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, allow_nan=False).encode()


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    step, file = overlay_step(picture.shape[:2]), BytesIO()
    save_jpeg(file, picture[::step, ::step])
    return file.getvalue()


OUTPUTS = {
    "mask": Output(PNG, _mask),
    "objects": Output(JSON, _objects),
    "geojson": Output(GEOJSON, _geojson, confidence=True),
    "coco": Output(JSON, _coco, confidence=True),
    "overlay": Output(JPEG, _overlay),
    "confidence": Output(PNG, _confidence, confidence=True),
    "bundle": Output(FORM, _bundle, confidence=True),
}
"""Name -> kind of answer."""
BY_MEDIA = {PNG: "mask", JSON: "objects", GEOJSON: "geojson", JPEG: "overlay", FORM: "bundle"}
"""Media type -> the output that it asks for, the usual one first."""


def asked_for(accept: str) -> str | None:
    """Return the output that an Accept header prefers (RFC 9110, 12.5.1); None if none is accepted."""
    ranges = [_range(part) for part in accept.split(",") if part.strip()]
    best, most = None, 0.0
    for media, output in BY_MEDIA.items():
        fits = [(specific, quality) for name, quality in ranges if (specific := _fits(name, media))]
        quality = max(fits)[1] if fits else 0.0
        if quality > most:
            best, most = output, quality
    return best


def _range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    try:
        return name, min(1.0, max(0.0, float(quality)))
    except ValueError:
        return name, 0.0


def _fits(name: str, media: str) -> int:
    """Return how specific a range is that holds a media type; 0 if it does not."""
    if name == media:
        return 3
    return 2 if name == f"{media.partition('/')[0]}/*" else int(name == "*/*")
