"""nnU-Net's raw data: imagesTr/CASE_0000.png, one file a channel, labelsTr/CASE.png, and names in dataset.json."""

from __future__ import annotations

import glob
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from maskwright.core.documents import parsed_json
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Dataset, Fault, ImageRef
from maskwright.core.text import agree, listing, plural
from maskwright.data.formats.folder import Layout, dataset_of
from maskwright.data.formats.meaning.tables import Entry, table_of
from maskwright.data.formats.pairing.naming import channel_of
from maskwright.data.formats.pairing.stacks import ImagePair
from maskwright.data.formats.walk import images_below, record_id
from maskwright.data.readers import DecodeError, read_image

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Split
    from maskwright.data.formats.meaning.tables import ClassTable

_PARTS: dict[str, Split] = {"Tr": "train", "Ts": "test"}


def detect(root: Path) -> str | None:
    """Find imagesTr/ and labelsTr/ in the root, or in a folder in it, such as Dataset004_Plates/."""
    bases = _bases(root)
    return ", ".join(f"{record_id(root, base)}: imagesTr/ + labelsTr/" for base in bases) if bases else None


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read nnU-Net's raw data; the channels of an image lie in files of their own, and are stacked in their order.

    Raises:
        MaskwrightError: a folder is missing, no image has a label, or dataset.json is damaged or names regions.
    """
    bases = _bases(root)
    if not bases:
        raise MaskwrightError(f"{root} is not laid out as raw data of nnU-Net: it needs imagesTr/ and labelsTr/")
    if len(bases) > 1:
        names = listing([base.name for base in bases])
        raise MaskwrightError(f"{root} holds several data sets of nnU-Net ({names}): give the folder of one of them")
    root = bases[0]
    about = _about(root / "dataset.json")
    pairs: list[ImagePair] = []
    faults: list[Fault] = []
    for part, split in _PARTS.items():
        found, more = _part(root, part, split)
        pairs, faults = [*pairs, *found], [*faults, *more]
    if not pairs:
        reason = faults[0].message if faults else f"the files are {about.get('file_ending', 'no images')}"
        raise MaskwrightError(
            f"{root}: no imagesTr/CASE_0000.png has a labelsTr/CASE.png ({reason}). Volumes are not read: save their "
            "slices as images"
        )
    faults += _contradictions(root, about, pairs)
    table = None if options.classes else _table(root / "dataset.json", about)
    return dataset_of(root, pairs, options, Layout("nnunet", "imagesTr/ + labelsTr/", faults, table))


def _bases(root: Path) -> list[Path]:
    return [
        folder
        for folder in ([root, *sorted(root.iterdir())] if root.is_dir() else [])
        if (folder / "imagesTr").is_dir() and (folder / "labelsTr").is_dir()
    ]


def _about(path: Path) -> dict[str, Any]:
    """Read dataset.json; without one, nothing is known."""
    if not path.is_file():
        return {}
    content = parsed_json(path)
    if not isinstance(content, dict):
        raise MaskwrightError(f"{path} does not hold a JSON object: write it as nnU-Net does, or remove it")
    return content


def _table(path: Path, about: dict[str, Any]) -> ClassTable | None:
    """Return the names of the labels: {"disc": 1}, or {"1": "disc"} in version 1."""
    labels = about.get("labels")
    if not isinstance(labels, dict) or not labels:
        return None
    entries = []
    for key, value in labels.items():
        number, name = (value, key) if isinstance(value, int) else (key, value)
        if isinstance(value, list) or not str(number).isdecimal() or not isinstance(name, str):
            raise MaskwrightError(
                f"{path} gives the label {key!r} the value {value!r}, and only one number for each name is read: list "
                "one name for each value of the label files in a table, and give it as `read.classes`"
            )
        entries.append(Entry(int(number), name))
    line = '"{name}": {id}' if isinstance(next(iter(labels.values())), int) else '"{id}": "{name}"'
    return table_of(path, entries, numbered=True, line=line)


def _part(root: Path, part: str, split: Split) -> tuple[list[ImagePair], list[Fault]]:
    """Pair the images and labels of imagesTr/ or imagesTs/; without labels, the images of the latter are left out."""
    images, labels = root / f"images{part}", root / f"labels{part}"
    if not images.is_dir():
        return [], []
    cases, faults = _cases(root, images)
    if not labels.is_dir():
        have = agree(len(cases), "has", "have")
        message = f"{plural(len(cases), 'image')} in {images.name}/ {have} no labels, and can only be predicted"
        cure = f"nothing needs to be done; if there are labels, put them into {labels.name}/"
        return [], [Fault("unlabelled", "note", images, message, cure)]
    masks: defaultdict[str, list[Path]] = defaultdict(list)
    for path in images_below(labels):
        masks[path.relative_to(labels).with_suffix("").as_posix()].append(path)
    pairs = []
    for case, files in cases.items():
        own = masks.pop(case, [])
        if len(own) == 1:
            image = ImageRef(files[0], more=tuple(files[1:]))
            pairs.append(ImagePair(record_id(root, files[0]), image, ImageRef(own[0]), split))
            continue
        what = f"{len(own)} files" if own else "no file"
        message = f"case {case} has {what} of labels in {labels.name}/"
        faults.append(
            Fault("unpaired", "error", files[0], message, f"keep one file {labels.name}/{case}{files[0].suffix}")
        )
    dropped = {fault.path for fault in faults}
    for case, (label, *_) in masks.items():
        if any(path in dropped for path in images.glob(f"{glob.escape(case)}_[0-9][0-9][0-9][0-9].*")):
            continue
        message = f"{record_id(root, label)} has no image {case}_0000 in {images.name}/"
        faults.append(Fault("unpaired", "warning", label, message, "add the image, or remove the label"))
    return pairs, faults


def _cases(root: Path, folder: Path) -> tuple[dict[str, list[Path]], list[Fault]]:
    """Return the files of each case in the order of their channels, without the cases that lack one."""
    found: defaultdict[str, dict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
    faults = []
    for path in images_below(folder):
        channel = channel_of(path.relative_to(folder).with_suffix("").as_posix())
        if channel is None:
            message = f"{record_id(root, path)} has no number of a channel at the end of its name, such as _0000"
            faults.append(Fault("unpaired", "error", path, message, f"name it {path.stem}_0000{path.suffix}"))
        else:
            found[channel[0]][channel[1]].append(path)
    wanted = sorted({channel for channels in found.values() for channel in channels})
    cases = {}
    for case, channels in found.items():
        files = [path for channel in sorted(channels) for path in channels[channel]]
        if sorted(channels) == wanted == list(range(len(wanted))) and len(files) == len(wanted):
            cases[case] = files
            continue
        names = ", ".join(path.name for path in files)
        message = f"case {case} has the files {names}, but each case needs one file for each of {_numbers(wanted)}"
        faults.append(Fault("channels", "error", files[0], message, "add the missing channels, or remove the case"))
    return cases, faults


def _numbers(channels: list[int]) -> str:
    return ", ".join(f"_{channel:04}" for channel in range(max(channels) + 1))


def _contradictions(root: Path, about: dict[str, Any], pairs: list[ImagePair]) -> list[Fault]:
    """Compare the numbers of images and channels with those in dataset.json."""
    path, faults = root / "dataset.json", []
    training = sum(pair.split == "train" for pair in pairs)
    declared = about.get("numTraining", training)
    if declared != training:
        message = f"dataset.json declares {declared} training images, but {training} have labels"
        faults.append(Fault("dataset-json", "warning", path, message, "add the missing files, or correct numTraining"))
    names = about.get("channel_names", about.get("modality"))
    if isinstance(names, dict):
        channels = _channels(pairs[0].image)
        if channels not in {None, len(names)}:
            message = f"dataset.json names {plural(len(names), 'channel')}, but {pairs[0].image.name} has {channels}"
            faults.append(
                Fault("dataset-json", "warning", path, message, "add the missing files, or correct channel_names")
            )
    return faults


def _channels(image: ImageRef) -> int | None:
    try:
        return int(read_image(image).shape[2])
    except DecodeError:  # reported when the pixels are asked for
        return None
