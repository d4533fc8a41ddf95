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
    cell_tracking,
    cityscapes,
    coco,
    cvat,
    edges,
    folder,
    geojson,
    labelme,
    labelstudio,
    layers,
    nnunet,
    panoptic,
    runs,
    supervisely,
    supervisely_masks,
    voc,
    yolo,
)
from maskwright.data.formats.edges_of_masks import with_edges
from maskwright.data.formats.joined import joined, shares
from maskwright.data.formats.nothing_found import (
    boxes_only,
    found_and_near,
    no_annotations_inside,
    not_read,
    without_annotations,
    without_lists,
)
from maskwright.data.formats.options import Format
from maskwright.data.formats.pairing.pairs import find_pairs, not_masks
from maskwright.data.formats.pairing.twin_folders import with_twins
from maskwright.data.formats.reading import with_reading
from maskwright.data.formats.walk import is_image, walk, walking_once

if TYPE_CHECKING:
    from maskwright.core.records import Dataset, Fault

__all__ = ["FORMATS", "Format", "ReadOptions", "images_of", "read_dataset"]

# In the order in which they are tried: the more specific first.
FORMATS: dict[str, Format] = {
    "cityscapes": Format(
        "leftImg8bit/ with gtFine/ or gtCoarse/, whose images end in _labelIds", cityscapes.detect, cityscapes.read
    ),
    "voc": Format("JPEGImages/ with SegmentationClass/ and ImageSets/Segmentation/", voc.detect, voc.read),
    "nnunet": Format("imagesTr/CASE_0000.png with labelsTr/CASE.png, and dataset.json", nnunet.detect, nnunet.read),
    "cell-tracking": Format(
        "01/t000.tif with 01_GT/SEG/man_seg000.tif, or 01_ST/SEG/", cell_tracking.detect, cell_tracking.read
    ),
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
    "edges": Format(
        "images with drawn edges: truth/*.mat as in the Berkeley data set, or pictures in edges/",
        edges.detect,
        edges.read,
    ),
    "layers": Format(
        "images with several mask files each: one folder per class, or one file per object", layers.detect, layers.read
    ),
    "folder": Format("images and mask files in two folders, or side by side", folder.detect, folder.read),
    "runs": Format("a CSV file of run lengths, as Kaggle's ImageId,EncodedPixels", runs.detect, runs.read),
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
    dataset = None if options.format or name not in {"folder", "labelme"} else _of_both(root, options)
    return with_edges(with_reading(dataset or FORMATS[name].read(root, options), options), options)


def _of_both(root: Path, options: ReadOptions) -> Dataset | None:
    """Read masks of some images and LabelMe's outlines of others; None if one of the two annotates all."""
    found = shares(root, labelme.files_of(root)) if root.is_dir() else None
    return joined(folder.read(root, options), labelme.read(root, options), found) if found is not None else None


def images_of(root: Path, files: list[Path]) -> list[Path]:
    """Return the images without the masks if `root` is laid out as a data set, and all files otherwise.

    Args:
        root: a folder.
        files: the image files below it.
    """
    images = not_masks(root, files)
    if len(images) == len(files):
        masks = {pair.mask for pair in with_twins(root, files, find_pairs(root, files)).pairs}
        return [path for path in files if path not in masks]
    if find_pairs(root, files).pairs:
        return images
    others = (entry for entry in FORMATS.values() if entry.detect is not folder.detect)
    return images if any(entry.detect(root) is not None for entry in others) else files


def _nothing_fits(root: Path) -> MaskwrightError:
    """Build the error that tells what was found, and which layouts are near."""
    files = list(walk(root)) if root.is_dir() else [root]
    images = [path for path in files if is_image(path)]
    if not images or root.is_file():
        return _without_images(root, files)
    damaged = next(iter(coco.cut_off(root)), None)
    if damaged is None:
        checks = (not_read, boxes_only, without_annotations, without_lists, no_annotations_inside)
        special = next(filter(None, (check(root, files) for check in checks)), None)
    else:
        special = _as_error(damaged)
    if special is not None:
        return special
    try:
        folder.read(root, ReadOptions())
    except MaskwrightError as error:
        if find_pairs(root, images).masks:
            return error
        near = found_and_near(root, files, {name: entry.summary for name, entry in FORMATS.items()})
        return MaskwrightError(f"{error}. {near}")
    raise AssertionError("folder.detect and folder.read disagree")


def _without_images(root: Path, files: list[Path]) -> MaskwrightError:
    archive = next(filter(_is_archive, files), None)
    if archive == root:
        return MaskwrightError(f"{root} is an archive: unpack it, and give the folder")
    if root.is_file():
        return MaskwrightError(f"{root} is a file in no known format: give a folder, a COCO JSON file or a data.yaml")
    if not files:
        return MaskwrightError(f"{root} is empty: give a folder with images and masks")
    if archive is not None:
        return MaskwrightError(f"{root} holds no images, but an archive, {archive.name}: unpack it")
    suffixes = ", ".join(sorted({path.suffix.lower() or path.name for path in files})[:8])
    return MaskwrightError(
        f"{root} holds {plural(len(files), 'file')} but no images ({suffixes}): give a folder with images and masks"
    )


def _is_archive(path: Path) -> bool:
    return path.name.lower().endswith((".zip", ".7z", ".rar", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz"))


def _as_error(fault: Fault) -> MaskwrightError:
    return MaskwrightError(f"{fault.path.parent}: {fault.message}: {fault.cure}")
