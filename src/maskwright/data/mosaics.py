"""Demo data with real pixels and exact masks: photographed textures cut into mosaics. Knows no training.

The photographs are part of the scikit-image package; nothing is downloaded. All are converted to grey, slow changes of
light are removed, and every region gets its own mean and standard deviation, so that texture and not brightness tells
the classes apart. Each photograph is cut into three strips, for training, validation and test, so a model is never
evaluated on pixels that it was trained on.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import write_bytes, write_text
from maskwright.core.records import SPLITS
from maskwright.core.seeds import generator
from maskwright.data.readers import read_image
from maskwright.ops.images import resize_image, to_channels, working_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]


class Texture(NamedTuple):
    """A photograph, and the part of it that is texture.

    Attributes:
        name: of the class.
        file: in scikit-image's data folder.
        scale: makes the details of all textures about the same size.
        inset: share of each side to crop at each edge.
    """

    name: str
    file: str
    scale: float = 1.0
    inset: float = 0.0


TEXTURES = (
    Texture("brick", "brick.png", scale=0.8),
    Texture("coins", "coins.png", scale=0.8, inset=0.03),
    Texture("galaxies", "hubble_deep_field.jpg", scale=0.8),
    Texture("grass", "grass.png"),
    Texture("gravel", "gravel.png"),
    Texture("retina", "retina.jpg", scale=0.45, inset=0.19),
)

# Parts of the width of each photograph, with a gap between them.
STRIPS = {"train": (0.0, 0.46), "val": (0.48, 0.7), "test": (0.72, 1.0)}

MEAN, SPREAD = 120.0, 40.0

# Standard deviation in pixels of the blur whose result is light and not texture.
LIGHT = 32.0


def write_mosaics(
    folder: Path, seed: int = 0, *, train: int = 48, val: int = 12, test: int = 24, size: int = 256
) -> None:
    """Write a data set of mosaics: `images/SPLIT`, `masks/SPLIT` (index PNG) and `classes.txt`.

    The same arguments write the same files.

    Args:
        folder: new or empty.
        seed: of everything random.
        train: number of training images.
        val: number of validation images.
        test: number of test images.
        size: side of an image in pixels.

    Raises:
        MaskwrightError: scikit-image is not installed, or the folder is not empty or cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MaskwrightError(f"{folder} exists and is not empty: give a new folder for the demo data")
    photographs = [photograph(texture) for texture in TEXTURES]
    counts = {"train": train, "val": val, "test": test}
    for split in SPLITS:
        strips = [_strip(pixels, split) for pixels in photographs]
        for number in range(counts[split]):
            image, labels = mosaic(strips, size, generator(seed, "mosaic", split, number))
            name = f"{split}/mosaic_{number:03d}.png"
            write_bytes(folder / "images" / name, _png(image))
            write_bytes(folder / "masks" / name, _png(labels))
    write_text(folder / "classes.txt", "".join(f"{texture.name}\n" for texture in TEXTURES))


def photograph(texture: Texture) -> Pixels:
    """Read one texture as uint8 (H, W): grey, without slow changes of light, mean `MEAN`, standard deviation `SPREAD`.

    Raises:
        MaskwrightError: scikit-image is not installed, or lacks the file.
    """
    spec = find_spec("skimage")
    places = [Path(place) / "data" / texture.file for place in (spec.submodule_search_locations or [])] if spec else []
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        found = f"has no {texture.file}" if spec else "is not installed"
        raise MaskwrightError(
            f"the demo data uses photographs from scikit-image, which {found}: "
            "run pip install --force-reinstall scikit-image"
        )
    grey = to_channels(read_image(path), 1)
    rows, columns = (round(side * texture.inset) for side in grey.shape[:2])
    grey = np.ascontiguousarray(grey[rows : grey.shape[0] - rows, columns : grey.shape[1] - columns])
    pixels = resize_image(grey, working_size(grey.shape[0], grey.shape[1], texture.scale))[:, :, 0].astype(np.float64)
    return _toned(pixels - cv2.GaussianBlur(pixels, (0, 0), LIGHT), MEAN, SPREAD)


def mosaic(strips: list[Pixels], size: int, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Compose one mosaic: straight-edged or round regions, each filled from one strip.

    Args:
        strips: one texture a class, uint8 (H, W); at least five.
        size: side in pixels.
        rng: seeds the mosaic.

    Returns:
        image uint8 (size, size) and labels uint8 (size, size).
    """
    count = int(rng.integers(3, 6))
    regions = _cells(count, size, rng) if rng.random() < 0.5 else _blobs(count, size, rng)
    classes = rng.permutation(len(strips))[:count]
    image = np.zeros((size, size), np.uint8)
    for region, index in enumerate(classes):
        _, parts = cv2.connectedComponents(np.asarray(regions == region, np.uint8))
        for part in range(1, parts.max() + 1):
            inside = parts == part
            left, top, width, height = cv2.boundingRect(inside.astype(np.uint8))
            box = np.s_[top : top + height, left : left + width]
            image[box][inside[box]] = _patch(strips[index], (height, width), rng)[inside[box]]
    return image, np.asarray(classes[regions], np.uint8)


def _cells(count: int, size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return a Voronoi diagram (size, size) of `count` random points."""
    points = rng.random((count, 2)) * size
    rows, columns = np.mgrid[:size, :size] + 0.5
    squares = (rows[..., None] - points[:, 0]) ** 2 + (columns[..., None] - points[:, 1]) ** 2
    return np.argmin(squares, axis=-1)


def _blobs(count: int, size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return round regions (size, size): where each of `count` smooth random fields is the largest."""
    # Smoothed at a small size and enlarged: the same blobs in a fraction of the time.
    fields = cv2.GaussianBlur(rng.standard_normal((48, 48, count), np.float32), (0, 0), 7.0)
    return np.argmax(cv2.resize(fields, (size, size), interpolation=cv2.INTER_CUBIC), axis=2)


def _patch(strip: Pixels, shape: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """Cut a random piece of a given shape out of a strip, in one of eight orientations and with random brightness.

    A strip that is too narrow is extended by its mirror image.
    """
    turned, mirrored, upside_down = rng.random(3) < 0.5
    wanted = shape[::-1] if turned else shape
    large = np.pad(
        strip, [(0, max(0, need - side)) for need, side in zip(wanted, strip.shape, strict=True)], "symmetric"
    )
    row, column = (int(rng.integers(0, side - need + 1)) for side, need in zip(large.shape, wanted, strict=True))
    patch = large[row : row + wanted[0], column : column + wanted[1]]
    patch = patch[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
    return _toned(patch.T if turned else patch, MEAN + rng.uniform(-30, 30), SPREAD * rng.uniform(0.6, 1.1))


def _toned(pixels: NDArray[Any], mean: float, spread: float) -> Pixels:
    """Scale pixels to a mean and a standard deviation, clipped to 0..255."""
    values = pixels.astype(np.float64)
    scaled = (values - values.mean()) * (spread / max(values.std(), 1.0)) + mean
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)


def _strip(pixels: Pixels, split: str) -> Pixels:
    low, high = STRIPS[split]
    return pixels[:, round(low * pixels.shape[1]) : round(high * pixels.shape[1])]


def _png(pixels: Pixels) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()
