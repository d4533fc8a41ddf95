"""Examples and answers for the OpenAPI document. Serves nothing."""

from __future__ import annotations

from typing import Any

from maskwright.serve.answers import FORM, GEOJSON, JPEG, JSON, PNG
from maskwright.serve.problems import MEDIA

_PROBLEM = {
    "type": "about:blank",
    "title": "Too Many Requests",
    "status": 429,
    "detail": "64 requests are waiting, but no more requests are taken at once: send it again after 3 s",
    "value": "64 requests are waiting",
    "rule": "no more requests are taken at once",
    "cure": "send it again after 3 s",
}
_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "value", "rule", "cure"],
    "properties": {
        **{name: {"type": "string"} for name in ("type", "title", "detail", "value", "rule", "cure")},
        "status": {"type": "integer"},
    },
}
_SAID = {MEDIA: {"schema": _PROBLEM_SCHEMA}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request is at fault, or comes at a bad time (429, with Retry-After).", "content": _SAID}
}
"""What every path may answer."""
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_DOCUMENT = {
    "model": "cells",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "task": "instance",
    "width": 640,
    "height": 480,
    "milliseconds": {"queue": 0.2, "decode": 4.1, "predict": 87.3},
    "classes": [{"index": 0, "name": "background", "pixels": 306000, "share": 0.996094}],
    "objects": [
        {
            "id": 1,
            "class": "cell",
            "index": 1,
            "score": 0.93,
            "bbox": [10, 20, 30, 40],
            "area": 1200,
            "polygons": [[[[10, 20], [40, 20], [40, 60], [10, 60], [10, 20]]]],
        }
    ],
}
PREDICT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "An image file: PNG, JPEG, TIFF, BMP, WebP, GIF, PNM or NPY.",
        "content": {
            "application/octet-stream": _BINARY,
            "image/*": _BINARY,
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {"image": {"type": "string", "format": "binary"}},
                }
            },
        },
    },
    "responses": {
        "200": {
            "description": "The result.",
            "content": {
                PNG: _BINARY,
                JSON: {"schema": {"type": "object"}, "example": _DOCUMENT},
                GEOJSON: {"schema": {"type": "object"}},
                JPEG: _BINARY,
                FORM: {"schema": {"type": "object"}},
            },
        },
        "429": {
            "description": "Too much at once.",
            "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
            "content": {MEDIA: {"schema": _PROBLEM_SCHEMA, "example": _PROBLEM}},
        },
        "504": {"description": "The image takes longer than the timeout.", "content": _SAID},
    },
}
_MODEL = {
    "name": "cells",
    "task": "instance",
    "architecture": "unet",
    "classes": [{"index": 1, "name": "cell", "color": [230, 80, 30], "background": False, "thing": True}],
    "channels": 3,
    "tile": [512, 512],
    "upright": True,
    "version": "0.1.0",
    "sha256": _DOCUMENT["sha256"],
    "loaded": "2026-01-31T12:00:00+00:00",
}
EXAMPLES: dict[str, dict[str, Any]] = {
    name: {"responses": {"200": {"content": {JSON: {"example": example}}}}}
    for name, example in {
        "model": {"models": [_MODEL], "outputs": {"mask": PNG}, "limits": {"bytes": 64000000}, "gallery": False},
        "gallery": {"images": [{"id": "0a1b2c3d4e5f60718293a4b5", "name": "day1/a.png", "bytes": 123456}]},
    }.items()
}
