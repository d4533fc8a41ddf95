"""Twelve corruptions of an image at three severities, to see what a model bears (after Hendrycks and Dietterich 2019).

Images may have any number of channels and any real dtype; strengths are shares of the image's range of values. What has
no data stays so. Three of the corruptions move pixels, and move the truth with them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.instances import Instance, Instances
from maskwright.ops.images import resize_labels
from maskwright.ops.instance_maps import cropped

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from maskwright.core.targets import Target

    Pixels = NDArray[np.float32]
    Draw = np.random.Generator

SEVERITIES = ("mild", "medium", "strong")
Severity = Literal[0, 1, 2]


@dataclass(frozen=True)
class Corruption:
    """One way to spoil an image.

    Attributes:
        words: what it is, for people.
        strengths: by severity.
        change: (values float32 (H, W, C) of 0..1, strength, generator) to the same shape; None for those that move.
        move: (image or plane (H, W[, C]), strength, beyond) to one of another size or place: nearest pixel for
            integers of labels; None for those that do not move.
    """

    words: str
    strengths: tuple[float, float, float]
    change: Callable[[Pixels, float, Draw], Pixels] | None = None
    move: Callable[[NDArray[Any], float, float | None], NDArray[Any]] | None = None


def corrupt(
    image: NDArray[Any], target: Target, name: str, severity: int, rng: np.random.Generator
) -> tuple[NDArray[Any], Target]:
    """Corrupt an image (H, W, C), and move its truth with it.

    Args:
        image: any real dtype; NaN, or masked, where it has no data.
        target: at its full size.
        name: in `CORRUPTIONS`.
        severity: 0, 1 or 2.
        rng: of noise.
    """
    entry = CORRUPTIONS[name]
    strength = entry.strengths[severity]
    if entry.move is not None:
        return entry.move(image, strength, None), _moved(target, entry.move, strength)
    assert entry.change is not None
    low, high = _range(image)
    gone = np.ma.getmaskarray(image) | (np.isnan(image) if image.dtype.kind == "f" else False)
    plain = np.where(gone, low, np.ma.getdata(image)).astype(np.float32)
    changed = np.clip(entry.change((plain - low) / (high - low), strength, rng), 0, 1) * (high - low) + low
    if image.dtype.kind != "f":
        changed = np.rint(changed)
    values = np.where(gone, np.ma.getdata(image), changed.astype(image.dtype))
    return (
        np.ma.masked_array(values, np.ma.getmaskarray(image)) if isinstance(image, np.ma.MaskedArray) else values
    ), target


def uncropped(target: Target, name: str, severity: int) -> Target:
    """Return the truth of a whole image in the part that a crop keeps: what the crop is to be compared with.

    Args:
        target: of the whole image; without objects, whose score needs the whole ones.
        name: in `CORRUPTIONS`; one that is no crop changes nothing.
        severity: 0, 1 or 2.
    """
    if name != "crop" or target.instances is not None:
        return target
    rows, columns = (_middle(side, CORRUPTIONS[name].strengths[severity]) for side in target.size)
    labels = np.full_like(target.labels, IGNORE)
    labels[rows, columns] = target.labels[rows, columns]
    return replace(target, labels=labels)


def _range(image: NDArray[Any]) -> tuple[float, float]:
    """Return the range of values that strengths refer to: 0..255 for bytes, otherwise that of the image."""
    if image.dtype == np.uint8:
        return 0.0, 255.0
    low, high = (
        float(np.nanmin(np.ma.filled(image.astype(np.float64), np.nan))),
        float(np.nanmax(np.ma.filled(image.astype(np.float64), np.nan))),
    )
    return low, high if high > low else low + 1


def _moved(target: Target, move: Callable[..., NDArray[Any]], strength: float) -> Target:
    """Move labels and objects of a target; other planes are for training only."""
    labels = move(target.labels, strength, IGNORE)
    objects = None
    if target.instances is not None:
        parts = (_moved_object(entry, target.instances.size, move, strength) for entry in target.instances.objects)
        objects = Instances((labels.shape[0], labels.shape[1]), tuple(part for part in parts if part is not None))
    return replace(target, labels=labels, instances=objects, values=None, vectors=None)


def _moved_object(
    entry: Instance, size: tuple[int, int], move: Callable[..., NDArray[Any]], strength: float
) -> Instance | None:
    whole = np.zeros(size, np.uint8)
    whole[entry.rows, entry.columns] = entry.mask
    part = cropped(move(whole, strength, 0) == 1)
    return None if part is None else replace(entry, top=part[0], left=part[1], mask=part[2], shares=None)


def _noise(values: Pixels, strength: float, rng: Draw) -> Pixels:
    return np.asarray(values + rng.normal(0, strength, values.shape).astype(np.float32))


def _motion(values: Pixels, strength: float, _rng: Draw) -> Pixels:
    """Blur along a diagonal, as a moving camera does; the length is a share of the shorter side."""
    length = max(3, round(strength * min(values.shape[:2])) | 1)
    kernel = np.eye(length, dtype=np.float32) / length
    return _by_channel(values, lambda plane: cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REFLECT_101))


def _defocus(values: Pixels, strength: float, _rng: Draw) -> Pixels:
    """Average over a disc, as a lens out of focus does; the radius is a share of the shorter side."""
    radius = max(1.0, strength * min(values.shape[:2]))
    reach = int(np.ceil(radius))
    offsets = np.arange(-reach, reach + 1)
    disc = (np.hypot(offsets[:, None], offsets[None]) <= radius).astype(np.float32)
    return _by_channel(
        values, lambda plane: cv2.filter2D(plane, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT_101)
    )


def _jpeg(values: Pixels, strength: float, _rng: Draw) -> Pixels:
    """Compress as JPEG of a quality; three channels together, others one by one."""
    if values.shape[2] == 3:
        return _coded(values[..., ::-1], strength)[..., ::-1]
    return np.stack([_coded(values[..., place], strength) for place in range(values.shape[2])], -1)


def _coded(values: Pixels, quality: float) -> Pixels:
    pixels = np.ascontiguousarray(np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8))
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.float32) / np.float32(255)


def _brightness(values: Pixels, strength: float, _rng: Draw) -> Pixels:
    """Raise a gamma: the image becomes darker, and keeps black and white."""
    return np.asarray(np.clip(values, 0, 1) ** np.float32(strength))


def _contrast(values: Pixels, strength: float, _rng: Draw) -> Pixels:
    mean = values.mean((0, 1), keepdims=True)
    return np.asarray(mean + (values - mean) * strength)


def _saturation(values: Pixels, strength: float, _rng: Draw) -> Pixels:
    grey = values.mean(2, keepdims=True)
    return np.asarray(grey + (values - grey) * strength)


def _fog(values: Pixels, strength: float, rng: Draw) -> Pixels:
    """Mix with a bright cloud of several scales."""
    height, width = values.shape[:2]
    cloud = np.zeros((height, width), np.float32)
    for cells in (2, 4, 8, 16):
        small = rng.random((cells + 1, cells + 1), dtype=np.float32)
        cloud += cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC) / cells
    cloud = 0.5 + (cloud - cloud.min()) / max(float(np.ptp(cloud)), 1e-6) / 2
    return np.asarray(values * (1 - strength * cloud[..., None]) + strength * cloud[..., None])


def _pixelate(values: Pixels, strength: float, _rng: Draw) -> Pixels:
    height, width = values.shape[:2]
    size = max(1, round(width * strength)), max(1, round(height * strength))
    return _by_channel(
        values,
        lambda plane: cv2.resize(
            cv2.resize(plane, size, interpolation=cv2.INTER_AREA), (width, height), interpolation=cv2.INTER_NEAREST
        ),
    )


def _by_channel(values: Pixels, change: Callable[[Pixels], Any]) -> Pixels:
    planes = (np.ascontiguousarray(values[..., place]) for place in range(values.shape[2]))
    return np.stack([np.asarray(change(plane), np.float32) for plane in planes], -1)


def _resize(plane: NDArray[Any], strength: float, beyond: float | None) -> NDArray[Any]:
    """Give the image at a smaller size, as from a camera farther away."""
    size = tuple(max(1, round(side * strength)) for side in plane.shape[:2])
    if beyond is not None:
        return resize_labels(plane, (size[0], size[1]))
    return _channels(plane, lambda part: cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA))


def _rotate(plane: NDArray[Any], strength: float, beyond: float | None) -> NDArray[Any]:
    """Rotate about the centre by degrees; the image is mirrored beyond its frame, where nothing is judged."""
    height, width = plane.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), strength, 1.0)
    if beyond is not None:
        return np.asarray(
            cv2.warpAffine(
                plane,
                matrix,
                (width, height),
                flags=cv2.INTER_NEAREST,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=beyond,
            )
        )
    return _channels(
        plane,
        lambda part: cv2.warpAffine(
            part, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        ),
    )


def _crop(plane: NDArray[Any], strength: float, _beyond: float | None) -> NDArray[Any]:
    """Keep the middle: objects lose their surroundings."""
    rows, columns = (_middle(side, strength) for side in plane.shape[:2])
    return plane[rows, columns]


def _middle(side: int, share: float) -> slice:
    length = max(1, round(side * share))
    start = (side - length) // 2
    return slice(start, start + length)


def _channels(image: NDArray[Any], change: Callable[[Any], Any]) -> NDArray[Any]:
    """Apply an operation of OpenCV to each channel of an image (H, W, C) that may have holes."""
    planes = []
    for place in range(image.shape[2]):
        plane = np.ascontiguousarray(np.ma.getdata(image)[..., place])
        wide = plane.astype(np.float32) if plane.dtype not in (np.uint8, np.uint16, np.float32) else plane
        planes.append(np.asarray(change(wide)).astype(image.dtype))
    moved = np.stack(planes, -1)
    if not isinstance(image, np.ma.MaskedArray):
        return moved
    mask = np.asarray(change(np.ma.getmaskarray(image).any(2).astype(np.float32))) > 0.5
    return np.ma.masked_array(moved, np.repeat(mask[..., None], image.shape[2], 2))


CORRUPTIONS: dict[str, Corruption] = {
    "noise": Corruption("Gaussian noise", (0.04, 0.1, 0.2), _noise),
    "blur": Corruption("motion blur", (0.015, 0.03, 0.06), _motion),
    "defocus": Corruption("defocus", (0.005, 0.01, 0.02), _defocus),
    "jpeg": Corruption("JPEG compression", (40, 20, 8), _jpeg),
    "brightness": Corruption("darker images", (1.3, 1.7, 2.4), _brightness),
    "contrast": Corruption("lower contrast", (0.6, 0.4, 0.2), _contrast),
    "saturation": Corruption("paler colours", (0.5, 0.2, 0.0), _saturation),
    "fog": Corruption("fog", (0.25, 0.45, 0.65), _fog),
    "pixelation": Corruption("pixelation", (0.6, 0.4, 0.25), _pixelate),
    "resize": Corruption("smaller images", (0.8, 0.6, 0.4), move=_resize),
    "rotation": Corruption("rotation", (10, 25, 45), move=_rotate),
    "crop": Corruption("crops without surroundings", (0.75, 0.5, 0.3), move=_crop),
}
"""Name -> the corruption."""
