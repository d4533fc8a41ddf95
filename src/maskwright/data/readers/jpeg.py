"""Where a JPEG ends: the markers of a file, followed to the first end of image. Decodes nothing.

Phones write a video or more pictures behind the image, and cameras padding. None of it is part of the image, and none
of it may hide that the image itself was cut off.
"""

from __future__ import annotations

import re

_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_SCAN, _END = 0xDA, 0xD9
# Inside the coded pixels 0xFF is followed by 0x00 or is a restart marker, but for the marker that ends them.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# What may follow a scan: tables, another scan, the number of lines, a comment, application data, the end.
_AFTER_SCAN = frozenset({0xC4, *range(0xD9, 0xDE), 0xFE, *range(0xE0, 0xF0)})


def end_of_image(data: bytes) -> int | None:
    """Return the position behind the first end marker that belongs to the image itself; None if there is none."""
    place, scanned = 2, False
    while True:
        found = _NEXT_MARKER.search(data, place)
        if found is None:
            return None
        marker, place = data[found.end() - 1], found.end()
        if marker == _END:
            return place
        if scanned and marker not in _AFTER_SCAN:
            return None
        if marker in _STANDALONE:
            continue
        if place + 2 > len(data):
            return None
        place += int.from_bytes(data[place : place + 2])
        scanned |= marker == _SCAN
