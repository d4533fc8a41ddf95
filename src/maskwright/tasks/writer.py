"""The files that a prediction can write of a result: one kind each, with what writes it. Knows no kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.core.pixel_size import PixelSize
    from maskwright.data.readers.geotiff import Georeference
    from maskwright.tasks.block import Block
    from maskwright.tasks.scan import Scan

    Locate = Callable[[Path, NDArray[Any], Any, Classes, Georeference | None], None]

Entry = dict[str, Any]
"""What a file about all images says about one of them, as JSON can hold it: it may be computed elsewhere or earlier."""


class Collector(Protocol):
    """One file about all images of a prediction."""

    def entry(self, name: str, result: Any, stem: str) -> Entry:
        """Return what the file says about the image called `name`, whose own files are called `stem` and a suffix."""

    def write(self, path: Path, entries: Iterable[Entry]) -> None:
        """Write the file from the entries of all images, in their order."""


@dataclass(frozen=True)
class Writer:
    """One kind of file that `predict --save` can write; exactly one of the first five functions is given.

    Attributes:
        folder: folder below the output folder; for a collector, the name of its file.
        suffix: of the files; empty for a collector.
        write: (path, image (H, W, C), result, classes) -> one file an image.
        measure: the same with the size of a pixel, None if nobody knows it.
        locate: the same with the place of the image on Earth, None if nobody knows it.
        stream: (path, (height, width), classes) -> a context that takes the image's blocks as they are finished.
        collect: classes -> the file about all images.
        confidence: this writer needs the confidence, so `Task.decode` must keep it.
        along: another kind that is always written along with this one.
        scan: (path, scan, classes) -> the file of an image that is too large for memory, for label maps.
        scan_suffix: of that file.
    """

    folder: str
    suffix: str = ""
    write: Callable[[Path, NDArray[Any], Any, Classes], None] | None = None
    measure: Callable[[Path, NDArray[Any], Any, Classes, PixelSize | None], None] | None = None
    locate: Locate | None = None
    stream: Callable[[Path, tuple[int, int], Classes], AbstractContextManager[Callable[[Block], None]]] | None = None
    collect: Callable[[Classes], Collector] | None = None
    confidence: bool = False
    along: str | None = None
    scan: Callable[[Path, Scan, Classes], None] | None = None
    scan_suffix: str = ""
