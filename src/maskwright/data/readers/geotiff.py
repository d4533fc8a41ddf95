"""Where on Earth the pixels of a GeoTIFF lie: its tags, and the transform that follows. Decodes no pixel.

The tags (OGC 19-008) are copied as they are, so that a result lies exactly where its image does, whatever its reference
system, and a transform that rotates stays one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

SCALE, TIEPOINTS, TRANSFORM, KEYS = 33550, 33922, 34264, 34735
DOUBLES, TEXTS = 34736, 34737
CODES = (SCALE, TIEPOINTS, TRANSFORM, KEYS, DOUBLES, TEXTS)
_RASTER_TYPE, _GEOGRAPHIC, _PROJECTED, _UNIT = 1025, 2048, 3072, 3076
_POINT, _USER_DEFINED, _METRE = 2, 32767, 9001
_UTM = frozenset(chain(range(32601, 32661), range(32701, 32761), range(25828, 25839), range(26901, 26924)))
"""The zones of WGS 84, north and south, of ETRS89 and of NAD83: their unit is the metre, stated or not."""
_WEB_MERCATOR = 3857

Affine = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): x = a column + b row + c, y = d column + e row + f."""


@dataclass(frozen=True)
class Georeference:
    """The tags of a GeoTIFF that say where it lies.

    Attributes:
        tags: code -> values; text for `TEXTS`.
    """

    tags: dict[int, Sequence[float] | str]

    @property
    def transform(self) -> Affine | None:
        """From the corners of pixels (column, row) to coordinates; None without one, or with scattered points only."""
        found = self._stored()
        if found is None or not self._of_centres:
            return found
        a, b, c, d, e, f = found  # the coordinates are those of the centres of pixels
        return (a, b, c - (a + b) / 2, d, e, f - (d + e) / 2)

    @property
    def _of_centres(self) -> bool:
        return self._keys().get(_RASTER_TYPE) == _POINT

    def _stored(self) -> Affine | None:
        matrix, scale, tie = (self.tags.get(code) for code in (TRANSFORM, SCALE, TIEPOINTS))
        if isinstance(matrix, tuple | list) and len(matrix) == 16:
            m = [float(value) for value in matrix]
            return (m[0], m[1], m[3], m[4], m[5], m[7])
        if isinstance(scale, tuple | list) and isinstance(tie, tuple | list) and len(tie) == 6 and scale[0]:
            column, row, _, x, y, _ = (float(value) for value in tie)
            across, down = float(scale[0]), float(scale[1])
            return (across, 0.0, x - column * across, 0.0, -down, y + row * down)
        return None

    @property
    def epsg(self) -> int | None:
        """The code of the reference system; None where the file names none, or defines one of its own."""
        keys = self._keys()
        code = keys.get(_PROJECTED, keys.get(_GEOGRAPHIC))
        return None if code in {None, 0, _USER_DEFINED} else code

    @property
    def is_rotated(self) -> bool:
        """Whether rows do not run along the axes of the coordinates."""
        found = self.transform
        return found is not None and (found[1] != 0 or found[3] != 0)

    @property
    def metres(self) -> tuple[float, float] | None:
        """Width and height of a pixel; None if the file does not say that its coordinates are metres on the ground.

        Those of Web Mercator are not: its unit grows towards the poles.
        """
        found, keys = self.transform, self._keys()
        code = keys.get(_PROJECTED)
        if found is None or code is None or code == _WEB_MERCATOR:
            return None
        if keys.get(_UNIT, _METRE if code in _UTM else None) != _METRE:
            return None
        a, b, _, d, e, _ = found
        return math.hypot(a, d), math.hypot(b, e)

    def _keys(self) -> dict[int, int]:
        """Return the keys that hold one number."""
        values = [int(value) for value in self.tags.get(KEYS, ()) if not isinstance(value, str)]
        entries = [values[place : place + 4] for place in range(4, len(values) - 3, 4)]
        return {key: value for key, where, count, value in entries if where == 0 and count == 1}

    def at_level(self, down: float, across: float) -> Georeference:
        """Return the same place for pixels that are as many times larger, as an overview has them."""
        tags = dict(self.tags)
        # Where coordinates are those of the centres of pixels, that of a larger first pixel lies further inside.
        right, below = (step / 2 if self._of_centres else 0.0 for step in (across - 1, down - 1))
        if TRANSFORM in tags:
            m = list(self._times(TRANSFORM, (across, down, 1.0, 1.0)))
            for place in range(3, len(m) - 4, 4):
                m[place] += right * m[place - 3] / across + below * m[place - 2] / down
            tags[TRANSFORM] = tuple(m)
        if SCALE in tags:
            scale = self._times(SCALE, (1.0, 1.0, 1.0))
            tags[SCALE] = self._times(SCALE, (across, down, 1.0))
            ties = list(self._times(TIEPOINTS, (1 / across, 1 / down, 1.0, 1.0, 1.0, 1.0)))
            ties[3::6] = [x + right * scale[0] for x in ties[3::6]]
            ties[4::6] = [y - below * scale[1] for y in ties[4::6]]
            tags[TIEPOINTS] = tuple(ties)
        return Georeference(tags)

    def _times(self, code: int, factors: Sequence[float]) -> tuple[float, ...]:
        """Return the numbers of a tag times factors that repeat."""
        values, count = self.tags.get(code, ()), len(factors)
        assert not isinstance(values, str)
        return tuple(value * factors[place % count] for place, value in enumerate(values))


def georeference(page: Any) -> Georeference | None:
    """Return where a page of a TIFF lies, as tifffile gives it; None if its tags do not say.

    A tag that has another type than the standard gives it counts as absent, as for GDAL.
    """
    found = {}
    for code in CODES:
        tag = page.tags.get(code)
        values = None if tag is None else _values(code, tag.value)
        if values is not None:
            found[code] = values
    return Georeference(found) if found.get(KEYS) or found.get(SCALE) or found.get(TRANSFORM) else None


def _values(code: int, value: Any) -> Sequence[float] | str | None:
    """Return the values of a tag; None for those that it cannot have."""
    if code == TEXTS:
        return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else None
    values = tuple(value) if isinstance(value, tuple | list) else (value,)
    if code == KEYS:
        return values if all(isinstance(one, int) and 0 <= one < 1 << 16 for one in values) else None
    return values if all(isinstance(one, int | float) for one in values) else None
