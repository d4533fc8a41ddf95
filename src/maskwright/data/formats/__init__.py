"""Layouts on disk to data sets: the table of formats, and how one is recognised and read. Decodes no image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.paths import existing
from maskwright.core.read_options import ReadOptions
from maskwright.core.text import plural
from maskwright.data.formats import (
    alpha,
    cityscapes,
    coco,
    cvat,
    folder,
    geojson,
    labelme,
    labelstudio,
    layers,
    nnunet,
    panoptic,
    supervisely,
    supervisely_masks,
    voc,
    yolo,
)
from maskwright.data.formats.options import Format
from maskwright.data.formats.pairing.pairs import find_pairs, not_masks
from maskwright.data.formats.reading import with_reading
from maskwright.data.formats.walk import is_image, walk, walking_once

if TYPE_CHECKING:
    from maskwright.core.records import Dataset

__all__ = ["FORMATS", "Format", "ReadOptions", "images_of", "read_dataset"]

# In the order in which they are tried: the more specific first.
FORMATS: dict[str, Format] = {
    "cityscapes": Format(
        "leftImg8bit/ with gtFine/ or gtCoarse/, whose images end in _labelIds", cityscapes.detect, cityscapes.read
    ),
    "voc": Format("JPEGImages/ with SegmentationClass/ and ImageSets/Segmentation/", voc.detect, voc.read),
    "nnunet": Format("imagesTr/CASE_0000.png with labelsTr/CASE.png, and dataset.json", nnunet.detect, nnunet.read),
    "supervisely-masks": Format(
        "meta.json with DATASET/img/ and DATASET/masks_machine/", supervisely_masks.detect, supervisely_masks.read
    ),
    "coco": Format("a JSON file with images, categories and annotations with segmentation", coco.detect, coco.read),
    "panoptic": Format(
        "a JSON file with segments_info, and a PNG of segment ids for each image", panoptic.detect, panoptic.read
    ),
    "supervisely": Format("img/ with ann/*.json, and meta.json", supervisely.detect, supervisely.read),
    "labelme": Format("images with a JSON file each, as LabelMe writes", labelme.detect, labelme.read),
    "cvat": Format("an XML file of CVAT for images", cvat.detect, cvat.read),
    "labelstudio": Format("a JSON file of tasks, as Label Studio exports", labelstudio.detect, labelstudio.read),
    "geojson": Format("images with a GeoJSON file each, as QuPath or QGIS writes", geojson.detect, geojson.read),
    "yolo": Format("images/ with outlines in labels/*.txt, and a data.yaml with names", yolo.detect, yolo.read),
    "layers": Format(
        "images with several mask files each: one folder per class, or one file per object", layers.detect, layers.read
    ),
    "folder": Format("images and mask files in two folders, or side by side", folder.detect, folder.read),
    "alpha": Format("images whose alpha channel is the mask; only if you name this format", alpha.detect, alpha.read),
}


def read_dataset(root: Path | str, options: ReadOptions | None = None) -> Dataset:
    """Recognise how a data set is laid out, and read its records and classes; no image is decoded.

    Args:
        root: a folder, a COCO JSON file or a YOLO data.yaml.
        options: settings that override what is recognised; `ReadOptions()` if None.

    Returns:
        The data set: `format` and `layout` tell what was recognised, `faults` what is wrong with it.

    Raises:
        MaskwrightError: the path is missing or empty, no format fits, or the data of the format that fits is damaged.
    """
    root, options = existing(Path(root)), options or ReadOptions()
    if options.format is not None and options.format not in FORMATS:
        raise unknown_name("format", options.format, FORMATS)
    with walking_once():
        name = options.format or next((name for name, entry in FORMATS.items() if entry.detect(root) is not None), None)
        if name is None:
            raise _nothing_fits(root)
        return _read(name, root, options)


def _read(name: str, root: Path, options: ReadOptions) -> Dataset:
    """Read one format; refuse an option that means nothing in it."""
    if options.crowd != "ignore" and name != "coco":
        raise MaskwrightError(f"`read.crowd` is for COCO, but {root} is read as {name}: leave it out")
    return with_reading(FORMATS[name].read(root, options), options)


def images_of(root: Path, files: list[Path]) -> list[Path]:
    """Return the images without the masks if `root` is laid out as a data set, and all files otherwise.

    Args:
        root: a folder.
        files: the image files below it.
    """
    images = not_masks(root, files)
    if len(images) == len(files) or find_pairs(root, files).pairs:
        return images
    others = (entry for entry in FORMATS.values() if entry.detect is not folder.detect)
    return images if any(entry.detect(root) is not None for entry in others) else files


def _nothing_fits(root: Path) -> MaskwrightError:
    """Build the error that tells what was found, and what was looked for if images lie there and nothing else."""
    if root.is_file():
        return MaskwrightError(f"{root} is a file in no known format: give a folder, a COCO JSON file or a data.yaml")
    files = list(walk(root))
    if not files:
        return MaskwrightError(f"{root} is empty: give a folder with images and masks")
    images = [path for path in files if is_image(path)]
    if not images:
        suffixes = ", ".join(sorted({path.suffix.lower() or path.name for path in files})[:8])
        return MaskwrightError(
            f"{root} holds {plural(len(files), 'file')} but no images ({suffixes}): give a folder with images and masks"
        )
    damaged = next(iter(coco.cut_off(root)), None)
    if damaged is not None:
        return MaskwrightError(f"{damaged.path.parent}: {damaged.message}: {damaged.cure}")
    try:
        folder.read(root, ReadOptions())
    except MaskwrightError as error:
        if find_pairs(root, images).masks:
            return error
        looked = "; ".join(f"{name} ({entry.summary})" for name, entry in FORMATS.items())
        return MaskwrightError(f"{error}. Looked for: {looked}")
    raise AssertionError("folder.detect and folder.read disagree")
