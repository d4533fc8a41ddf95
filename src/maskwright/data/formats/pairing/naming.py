"""What the names of folders and files mean: image or mask, which split, which pair. Opens no file."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from maskwright.data.readers import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from maskwright.core.records import Split

Role = Literal["image", "mask", "instance"]

# Of several mask folders for the same images, take the one that pairs the most images, then the first of this list.
MASK_WORDS: tuple[str, ...] = (
    *("masks", "mask", "labels", "label", "annotations", "annotation", "annots", "annot", "anno", "gts", "gt"),
    *("groundtruth", "groundtruths", "segmentationclass", "segmentations", "segmentation", "segmaps", "segmap"),
    *("segs", "seg", "labelmaps", "labelmap", "targets", "target", "lbl", "lbls", "ann", "anns"),
    *("manual", "1stmanual", "2ndmanual", "manual1", "manual2", "masksmachine", "maskshuman", "labelstr", "labelsts"),
    *("1stho", "2ndho", "labelids", "labeltrainids", "maskimages", "labelimages", "imagemasks", "imagelabels"),
    *("gtimages", "gtmasks", "segmentationmasks", "segmasks", "semantic"),
    *("stuffthingmaps", "map", "colormaps"),
)
# At the end of a name: of masks of the same images, those of the first and of the second person, or the ids as labelled
# and those to train on. The first in `MASK_WORDS` is taken.
VERSIONS = ("1stho", "2ndho", "manual1", "manual2", "labelids", "labeltrainids")
INSTANCE_WORDS: tuple[str, ...] = (
    *("instances", "instance", "instancemasks", "instancemask", "instancelabels", "segmentationobject"),
)
CELLPOSE_END = "_cp_masks"
"""How the names end that Cellpose gives maps of ids."""
CELLPOSE_ASIDE = ("_cp_outlines", "_cp_flows", "_outlines", "_flows")
"""How the names end that Cellpose gives other pictures beside an image."""
LABELME_VIEW, LABELME_LABEL = "label_viz", "label"
"""The view of an image with its mask, and the mask, in a folder that LabelMe makes of a JSON file."""
_IMAGE_WORDS: tuple[str, ...] = (
    *("images", "image", "imgs", "img", "jpegimages", "pngimages", "photos", "photo", "pictures", "inputs", "input"),
    *("rgb", "raw", "originals", "original", "originalimages", "rawimages", "frames", "scans", "patches", "sat"),
    *("imagestr", "imagests", "image2"),
)
_OF_CLASSES = ("masks", "mask")
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
_CODING = r"(?:(?:semantic|binary|class|index|gr[ae]y|colou?r|fine|png|jpe?g|npy|tiff?|aug|raw|camera)*)"
_FOLDER = re.compile(
    rf"(?P<before>{_SPLIT})?(?:(?P<first>{_CODING})(?P<role>{_alternatives(_ROLES)})(?P<last>{_CODING}))?"
    rf"(?P<after>{_SPLIT})?"
    r"(?:set|dir|folder)?(?:19\d\d|20\d\d)?(?P<size>\d{3,4}(?:x\d{3,4})?(?:px)?)?"
)
_ROLE_BEFORE_NUMBER = re.compile(rf"^(?:{_alternatives(_ROLES)})(?=\d)", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s_\-.]+")
_NUMBERING = re.compile(r"^(?:\d+|[a-z])[.)]\s+")
# Each rule of pairing asks for the same names again: those of a large data set fit.
_NAMES_KEPT = 2**17


class Folder(NamedTuple):
    """What the name of a folder means: its role, the word for it, and a split; None where the name does not tell.

    `coding` is the words that tell how masks are coded: `color` of `masks_color`. `shown` is what masks show, another
    word beside that for masks: `disc` of `disc_masks`; or the size of images or masks: `512` of `images_512`.
    """

    role: Role | None
    word: str | None
    split: Split | None
    coding: str = ""
    shown: str = ""


class Place(NamedTuple):
    """What the path of a file below the root means.

    Attributes:
        role: of the nearest folder whose name tells one.
        word: the word for the role in that name.
        split: of the nearest folder whose name tells one.
        key: what an image and its mask have in common: split, remaining folders, and the stem. A folder `disc_masks`
            is one named `disc` in a folder of masks, and `masks_512` one named `512`.
        coding: the words beside `word` in that name that tell how masks are coded.
    """

    role: Role | None
    word: str | None
    split: Split | None
    key: tuple[str, ...]
    coding: str = ""

    @property
    def kind(self) -> str:
        """The word with its coding: masks of one kind belong together."""
        return "_".join(part for part in (self.word, self.coding) if part)


def folder_meaning(name: str) -> Folder:
    """Read `trainannot`, `images_val`, `masks_512x512`, `2. Groundtruths`, `gt`, ... ; other names mean nothing."""
    match = _FOLDER.fullmatch(_SEPARATORS.sub("", _NUMBERING.sub("", name.lower())))
    if match is None or not match.group(0):
        return _masks_of(name)
    word = match["role"]
    split = match["before"] or match["after"]
    coding = f"{match['first'] or ''}{match['last'] or ''}"
    if word in _IMAGE_WORDS and "semantic" in coding:  # KITTI's semantic_rgb: masks in colours
        return Folder("mask", "semantic", _SPLITS[split] if split else None, f"color{word}")
    return Folder(_ROLES[word] if word else None, word, _SPLITS[split] if split else None, coding, match["size"] or "")


def _masks_of(name: str) -> Folder:
    """Read `disc_masks`, `mask-disc`, `train_disc_masks`, ...: a word for masks, and what they show."""
    parts = _parts(name)
    for word, rest in ((parts[-1], parts[:-2]), (parts[0], parts[2:])) if parts else ():
        words = [part for part in rest[::2] if part.lower() not in _SPLITS]
        if word.lower() in _OF_CLASSES and words and not any(part.isdecimal() or _is_role_word(part) for part in words):
            split = next((_SPLITS[part.lower()] for part in rest if part.lower() in _SPLITS), None)
            shown = "_".join(words)
            return Folder("mask", word.lower(), split, shown.lower(), shown)
    return Folder(None, None, None)


def split_word(name: str) -> Split | None:
    """Find a split in the name of a file or folder: `instances_val2017`, `my-test-set`; the last one counts."""
    found = [_SPLITS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _SPLITS]
    return found[-1] if found else None


def place(parts: tuple[str, ...]) -> Place:
    """Read the path of a file below the root, given as the names of its folders and its own."""
    above, name = _folders(parts[:-1]), stem(parts[-1])
    if name.endswith(CELLPOSE_END):
        name = name.removesuffix(CELLPOSE_END)
        above = above._replace(role="instance", word=INSTANCE_WORDS[0], coding="")
    return above._replace(key=(*above.key, name))


@lru_cache(maxsize=4096)
def _folders(parts: tuple[str, ...]) -> Place:
    """Read the folders only, cached: a data set has few folders and many files."""
    role: Role | None = None
    word: str | None = None
    split: Split | None = None
    coding = ""
    rest: list[str] = []
    for part in parts:
        meaning = folder_meaning(part)
        if meaning.role is None and meaning.split is None:
            rest.append(part)
        elif meaning.shown:
            rest.append(meaning.shown)
        if meaning.role is not None:
            role, word, coding = meaning.role, meaning.word, meaning.coding
        split = meaning.split or split
    return Place(role, word, split, (split or "", *rest), coding)


def stem(name: str) -> str:
    """Return the name of a file without its suffix, and without a second image suffix (`a.jpg.png` -> `a`)."""
    name = name.rpartition(".")[0] or name
    inner = name.rpartition(".")
    return inner[0] if f".{inner[2].lower()}" in IMAGE_SUFFIXES and inner[0] else name


@lru_cache(maxsize=_NAMES_KEPT)
def bare_stem(name: str) -> str:
    """Remove the words for image or mask at either end of a stem: `img_07`, `mask_07`, `07_sat`, `07_label` -> `07`.

    The result is empty for `image` or `mask` alone.
    """
    parts = _parts(name)
    while parts and _is_role_word(parts[-1]):
        del parts[-2:]
    while parts and _is_role_word(parts[0]):
        del parts[:2]
    return _ROLE_BEFORE_NUMBER.sub("", "".join(parts))


def bare_number(name: str) -> str:
    """Remove the words for a split too: `21_training`, `21_manual1` -> `21`."""
    parts = _parts(bare_stem(name))
    while parts and parts[-1].lower() in _SPLITS:
        del parts[-2:]
    while parts and parts[0].lower() in _SPLITS:
        del parts[:2]
    return bare_stem("".join(parts))


@lru_cache(maxsize=_NAMES_KEPT)
def alike(name: str) -> str:
    """Return a name without what people do not see in it: case, and how Unicode composes its letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def mask_owner(name: str) -> str | None:
    """Return the stem of the image of a mask in the same folder: `a_mask`, `mask_a` -> `a`; None for an image."""
    parts = _parts(name)
    if parts and _is_mask_word(parts[-1]):
        return "".join(parts[:-2])
    return "".join(parts[2:]) if parts and _is_mask_word(parts[0]) else None


def instance_word(name: str) -> str | None:
    """Return the word at the end of a stem that marks a map of object ids: `a_instances`."""
    last = _parts(name)[-1].lower() if name else ""
    return last if last in INSTANCE_WORDS else None


def version(name: str) -> str | None:
    """Return which version of a mask this is, by the last word of its stem: `a_1stHO`."""
    last = _parts(name)[-1].lower() if name else ""
    return last if last in VERSIONS else None


def numbered_owners(name: str) -> tuple[str, ...]:
    """Return the stems that the image of a numbered mask may have: `a_mask_1` -> `a_1`, or `a` of several masks."""
    parts = _parts(name)
    if len(parts) < 5 or not parts[-1].isdecimal() or not _is_mask_word(parts[-3]):
        return ()
    return "".join((*parts[:-4], parts[-2], parts[-1])), "".join(parts[:-4])


def first_number(name: str) -> tuple[str, int]:
    """Split a name into what comes before the number at its end, and that number; -1 without any."""
    match = re.fullmatch(r"(.*?)[\s_\-.]*\(?(\d+)\)?", name)
    return (match[1], int(match[2])) if match else (name, -1)


def channel_of(stem: str) -> tuple[str, int] | None:
    """Split the name of a file that holds one channel, as nnU-Net writes it, into its case and number: `a_0001`."""
    match = re.fullmatch(r"(.+)_(\d{4})", stem)
    return (match[1], int(match[2])) if match else None


def _parts(name: str) -> list[str]:
    """Split a stem into words and the separators between them."""
    return [part for part in re.split(r"([\s_\-.]+)", name) if part]


def _is_mask_word(part: str) -> bool:
    return _ROLES.get(part.lower()) in {"mask", "instance"}


def _is_role_word(part: str) -> bool:
    # The original CamVid marks its label images with "L".
    return part.lower() in _ROLES or part in {"L", "labelIds", "labelTrainIds", "leftImg8bit"}
