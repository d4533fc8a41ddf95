"""Where a result comes from: versions, machine, git revision, and a sum of the data. Writes nothing."""

from __future__ import annotations

import platform
import subprocess
import zlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from maskwright.core.records import EdgeFiles, MaskEdges, MaskFile, MaskLayers

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.records import Dataset

PACKAGES = ("maskwright", "torch", "torchvision", "timm", "numpy", "opencv-python-headless", "lightning-fabric")
HASHED_BYTES = 1 << 16
HASHED = "CRC-32 of the classes, the images' paths, and the size and first 64 KiB of every file"


def environment(dataset: Dataset) -> dict[str, str]:
    """Return versions, machine, git revision of the working folder, and the hash of the data with what it covers."""
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}",
        "git_revision": _git_revision(),
        "data": str(dataset.root.resolve()),
        "data_hash": data_hash(dataset),
        "data_hash_of": HASHED,
    }


def data_hash(dataset: Dataset) -> str:
    """Sum up the data in eight hex digits: the classes, and each image and annotation.

    The hash covers the id of each image, the size and the first 64 KiB of each file (of a stack once), and all objects
    read from tables. If the data are large, reading whole files would take longer than everything else before the first
    step of a short training. So a change after the first 64 KiB that keeps the size goes unnoticed.
    """
    table = dataset.masks or dataset
    classes = (table.classes.names, sorted(table.value_to_index.items()), sorted(table.color_to_index.items()))
    total = zlib.crc32(repr(classes).encode())
    summed: set[Path] = set()
    for record in dataset.records:
        total = zlib.crc32(record.id.encode(errors="surrogatepass"), total)
        paths = [record.image.path, *record.image.more]
        own: object
        annotation, objects = record.annotation, record.objects
        if isinstance(annotation, MaskEdges):
            total = zlib.crc32(annotation.between.encode(), total)
            objects, annotation = annotation.objects, annotation.masks
        if isinstance(annotation, MaskFile):
            paths.append(annotation.path)
            own = annotation.values and (annotation.values, annotation.white)
        elif isinstance(annotation, MaskLayers):
            paths += [layer.mask.path for layer in annotation.layers]
            own = [(layer.index, layer.mask.values) for layer in annotation.layers]
        elif isinstance(annotation, EdgeFiles):
            paths += [file.path for file in annotation.files]
            own = len(annotation.files)
        else:
            own = annotation and annotation.shapes
        total = zlib.crc32(repr(own).encode() if own is not None else b"", total)
        if objects is not None:
            paths.append(objects.path)
            total = zlib.crc32(repr((objects.values, objects.crowds)).encode(), total)
        for path in paths:
            if path in summed:
                continue
            summed.add(path)
            with path.open("rb") as file:
                total = zlib.crc32(file.read(HASHED_BYTES), zlib.crc32(str(path.stat().st_size).encode(), total))
    return f"{total:08x}"


def _version(name: str) -> str:
    """Return the version of a distribution; some systems ship the same module under another name."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _git_revision() -> str:
    """Ask git about the working folder: a training's own scripts and settings usually live there."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "none"
    return found.stdout.strip() or "none"
