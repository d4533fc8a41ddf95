"""What names of folders and files tell: image or mask, which split, which pair. Opens no file."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from maskwright.data.readers import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from maskwright.core.records import Split

Role = Literal["image", "mask", "instance"]

# Several folders of masks for the same images: the one named first here wins, of those that pair the most images.
MASK_WORDS: tuple[str, ...] = (
    *("masks", "mask", "labels", "label", "annotations", "annotation", "annots", "annot", "anno", "gts", "gt"),
    *("groundtruth", "groundtruths", "segmentationclass", "segmentations", "segmentation", "segmaps", "segmap"),
    *("segs", "seg", "labelmaps", "labelmap", "targets", "target", "lbl", "lbls", "ann", "anns", "manual"),
    *("maskimages", "labelimages", "imagemasks", "imagelabels", "gtimages", "gtmasks", "segmentationmasks", "segmasks"),
)
INSTANCE_WORDS: tuple[str, ...] = (
    *("instances", "instance", "instancemasks", "instancemask", "instancelabels", "segmentationobject"),
)
_IMAGE_WORDS: tuple[str, ...] = (
    *("images", "image", "imgs", "img", "jpegimages", "pngimages", "photos", "photo", "pictures", "inputs", "input"),
    *("rgb", "raw", "originals", "original", "originalimages", "rawimages", "frames", "scans", "patches", "sat"),
)
_ROLES: dict[str, Role] = {
    **dict.fromkeys(_IMAGE_WORDS, "image"),
    **dict.fromkeys(MASK_WORDS, "mask"),
    **dict.fromkeys(INSTANCE_WORDS, "instance"),
}
_SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}


def _alternatives(words: dict[str, Role] | dict[str, Split]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_SPLIT = _alternatives(_SPLITS)
_CODING = r"(?:(?:semantic|binary|class|index|gr[ae]y|colou?r|fine|png|jpe?g|npy|tiff?|aug|raw)*)"
_FOLDER = re.compile(
    rf"(?P<before>{_SPLIT})?(?:{_CODING}(?P<role>{_alternatives(_ROLES)}){_CODING})?(?P<after>{_SPLIT})?"
    r"(?:set)?(?:19\d\d|20\d\d)?"
)
_SEPARATORS = re.compile(r"[\s_\-.]+")


class Folder(NamedTuple):
    """What the name of a folder says: its role, the word that says so, and a split; None where it says nothing."""

    role: Role | None
    word: str | None
    split: Split | None


class Place(NamedTuple):
    """What the path of a file below the root says.

    Attributes:
        role: of the nearest folder that names one.
        word: the word of that folder that names it.
        split: of the nearest folder that names one.
        key: what an image and its mask share: split, remaining folders, and the stem.
    """

    role: Role | None
    word: str | None
    split: Split | None
    key: tuple[str, ...]


def folder_meaning(name: str) -> Folder:
    """Read `trainannot`, `images_val`, `Train-Masks`, `train2017`, `gt`, ... ; anything else means nothing."""
    match = _FOLDER.fullmatch(_SEPARATORS.sub("", name.lower()))
    if match is None or not match.group(0):
        return Folder(None, None, None)
    word = match["role"]
    split = match["before"] or match["after"]
    return Folder(_ROLES[word] if word else None, word, _SPLITS[split] if split else None)


def split_word(name: str) -> Split | None:
    """Find a split in a file's or folder's name: `instances_val2017`, `train`, `my-test-set`; the last one counts."""
    found = [_SPLITS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _SPLITS]
    return found[-1] if found else None


def place(parts: tuple[str, ...]) -> Place:
    """Read the path of a file below the root, given as the names of its folders and its own."""
    above = _folders(parts[:-1])
    return above._replace(key=(*above.key, stem(parts[-1])))


@lru_cache(maxsize=4096)
def _folders(parts: tuple[str, ...]) -> Place:
    """Read the folders alone: a data set has few of them and many files."""
    role: Role | None = None
    word: str | None = None
    split: Split | None = None
    rest: list[str] = []
    for part in parts:
        meaning = folder_meaning(part)
        if meaning.role is None and meaning.split is None:
            rest.append(part)
        if meaning.role is not None:
            role, word = meaning.role, meaning.word
        split = meaning.split or split
    return Place(role, word, split, (split or "", *rest))


def stem(name: str) -> str:
    """Return a file's name without its suffix, and without a second one of an image (`a.jpg.png` -> `a`)."""
    name = name.rpartition(".")[0] or name
    inner = name.rpartition(".")
    return inner[0] if f".{inner[2].lower()}" in IMAGE_SUFFIXES and inner[0] else name


def bare_stem(name: str) -> str:
    """Drop the words for image or mask at either end of a stem: `img_07`, `mask_07`, `07_sat` and `07_label` -> `07`.

    Nothing is left of `image` or `mask` alone.
    """
    parts = _parts(name)
    while parts and _is_role_word(parts[-1]):
        del parts[-2:]
    while parts and _is_role_word(parts[0]):
        del parts[:2]
    return re.sub(rf"^(?:{_alternatives(_ROLES)})(?=\d)", "", "".join(parts), flags=re.IGNORECASE)


def mask_owner(name: str) -> str | None:
    """Return the stem of the image that a mask beside it belongs to: `a_mask`, `mask_a` -> `a`; None if no mask's."""
    parts = _parts(name)
    if parts and _is_mask_word(parts[-1]):
        return "".join(parts[:-2])
    return "".join(parts[2:]) if parts and _is_mask_word(parts[0]) else None


def _parts(name: str) -> list[str]:
    """Split a stem into words and the separators between them."""
    return [part for part in re.split(r"([\s_\-.]+)", name) if part]


def _is_mask_word(part: str) -> bool:
    return _ROLES.get(part.lower()) in {"mask", "instance"}


def _is_role_word(part: str) -> bool:
    # "L" is how the original CamVid marks its label pictures.
    return part.lower() in _ROLES or part in {"L", "labelIds", "leftImg8bit"}
