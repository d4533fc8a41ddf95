"""Pairs of files to pairs of images: a stack (a TIFF of many pages) becomes one pair a page. Decodes no pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.records import Fault, ImageRef, MaskFile, MaskLayer, MaskLayers
from maskwright.core.text import plural
from maskwright.data.formats.walk import record_id
from maskwright.data.readers import DecodeError, Pages, count_pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from maskwright.core.records import Annotation, MaskKind, Split
    from maskwright.data.formats.pairing.pairs import Pair


class ImagePair(NamedTuple):
    """One image, its mask, and what the layout says about them.

    Attributes:
        id: of the record.
        image, mask: whole files, or the same page of two stacks.
        split: where the layout puts them.
        group: the stack that they are pages of, by its id; None for whole files.
        more: further mask files of the image.
    """

    id: str
    image: ImageRef
    mask: ImageRef
    split: Split | None
    group: str | None = None
    more: tuple[ImageRef, ...] = ()

    def annotation(
        self,
        kind: MaskKind,
        values: Mapping[Path, tuple[tuple[int, int], ...]],
        white: int | None,
    ) -> Annotation:
        """Return the mask file, or all mask files in layers.

        Args:
            kind: how to read them.
            values: what values mean, by folder, where that differs.
            white: what 255 means beside `values`.
        """
        masks = (self.mask, *self.more)
        first, *more = (MaskFile(mask, kind, values.get(mask.path.parent), white) for mask in masks)
        return MaskLayers(tuple(map(MaskLayer, (first, *more)))) if more else first


def image_pairs(root: Path, pairs: Iterable[Pair]) -> tuple[list[ImagePair], list[Fault]]:
    """Return the images with their masks, stacks page by page, in the order of the files and their pages.

    An image file of many pages and a mask file of as many are stacks. If the mask has one page, the pages of the image
    are its channels, unless the file calls them slices or times.

    Returns:
        The pairs, an error for each pair of files with different numbers of pages, and a note on the stacks.
    """
    found: list[ImagePair] = []
    faults: list[Fault] = []
    stacks: dict[str, int] = {}
    for pair in pairs:
        name = record_id(root, pair.image)
        images, masks = _pages(pair.image), _pages(pair.mask)
        if images.number == masks.number > 1 and not pair.more:
            stacks[name] = images.number
            found.extend(
                ImagePair(f"{name}#{page}", ImageRef(pair.image, page), ImageRef(pair.mask, page), pair.split, name)
                for page in range(images.number)
            )
        elif _is_one_image(images, masks):
            more = tuple(ImageRef(path) for path in pair.more)
            found.append(ImagePair(name, ImageRef(pair.image), ImageRef(pair.mask), pair.split, more=more))
        else:
            faults.append(_mismatch(pair, images.number, masks.number))
    return found, [*faults, *([_note(root, stacks)] if stacks else [])]


def _pages(path: Path) -> Pages:
    try:
        return count_pages(path)
    except DecodeError:  # reported when the pixels are asked for
        return Pages(1)


def _is_one_image(images: Pages, masks: Pages) -> bool:
    """Tell whether the pages of two files are the channels of one image and the colours of one mask."""
    one_image = images.number == 1 or images.may_be_channels
    one_mask = masks.number == 1 or (masks.may_be_channels and masks.number in {3, 4})
    return one_image and one_mask and 1 in {images.number, masks.number}


def _note(root: Path, stacks: dict[str, int]) -> Fault:
    first, number = next(iter(stacks.items()))
    if len(stacks) == 1:
        what = f"{first} is a stack of {number} pages"
    else:
        what = f"{len(stacks)} files are stacks with {sum(stacks.values())} pages, such as {first} with {number}"
    return Fault(
        "stack",
        "note",
        root,
        f"{what}: each page is one image, and the split keeps the pages of a stack together where it can",
        "nothing needs to be done; to split the pages of a stack too, use `split.group_by` '.+'",
    )


def _mismatch(pair: Pair, images: int, masks: int) -> Fault:
    name = pair.image.stem
    parts = (
        f"; if the pages of the mask are parts of one image, save them as files: {name}/images/{pair.image.name} and "
        f"{name}/masks/{name}_1.png, {name}_2.png, ... for objects, masks/CLASS/{name}.png for classes"
    )
    return Fault(
        "page-mismatch",
        "error",
        pair.image,
        f"{pair.image.name} has {plural(images, 'page')} and its mask {pair.mask.name} has {masks}: "
        "each page of an image needs its page of the mask",
        "save the mask with one page for each page of the image, or save each page as its own file"
        + (parts if images == 1 else ""),
    )
