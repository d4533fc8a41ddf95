"""What an exported file says about itself: the card, and how to use the file without Python. Knows no runtime."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from maskwright.core.channels import total
from maskwright.models.objects.reading import LEAST_SCORE, READING_KEY
from maskwright.models.weights import CARD_KEY
from maskwright.tasks.by_objects import least_part, least_score, most_alike

if TYPE_CHECKING:
    from maskwright.models.bundle import Card
    from maskwright.models.objects.reading import Reading

INPUT, OUTPUT = "image", "maps"
USAGE_KEY = "maskwright.usage"
_CARD = (
    f"The card is the JSON text under the key {CARD_KEY!r}: 'data' says how pixels were scaled before, 'predict' the "
    "size and overlap of tiles for large images, 'decoding' what was fitted on validation images."
)
_BOXES = """\
Outputs, of the n objects in all images, by image and then from the highest score to the lowest:
image_index: int64 (n), which image of the batch.
boxes: float32 (n, 4), left, top, right, bottom in pixels.
classes: int64 (n), row of the class: 0 is no object and does not occur; the others are the classes of the card in
order, without the background.
scores: float32 (n), 0 to 1.
masks: float32 (n, M, M), the probability that a point of the box belongs to the object: enlarge it to the box, and take
what is 0.5 or more."""
_ALIGNED = {
    True: "The points of a mask are the centres of M x M equal parts of its box.",
    False: "The points of a mask lie where torchvision puts them: enlarge it as its paste_masks_in_image does.",
}
_QUERIES = """\
Outputs, of Q queries for each image:
class_logits: float32 (N, Q, K + 1): apply a softmax. Row 0 is the background and the last row no object, which mean the
same; the others are the classes of the card in order, without the background.
mask_logits: float32 (N, Q, h, w), a point is {stride} x {stride} pixels, the first one at the corner of the image: what
is above 0 after enlarging belongs to the query. h and w can reach beyond the image.
The score of a query is the probability of its likeliest class times the mean of the probabilities of its mask (after a
sigmoid) inside the mask; leave out those below {least}."""


def metadata(card: Card, reading: Reading | None) -> dict[str, str]:
    """Return the entries of a file's metadata.

    Args:
        card: of the network.
        reading: how its tensors become objects; None for maps.
    """
    found = {CARD_KEY: card.model_dump_json(), USAGE_KEY: usage(card, reading)}
    return found if reading is None else {**found, READING_KEY: reading.model_dump_json()}


def usage(card: Card, reading: Reading | None = None) -> str:
    """Say what a program needs to know to use the file without Python; see `metadata`."""
    first = (
        f"Input {INPUT}: uint8 (N, H, W, {card.data.channels}), any N, H and W; normalisation is part of the network."
    )
    return "\n".join([first, *(_of_maps(card) if reading is None else _of_objects(card, reading))])


def _of_maps(card: Card) -> list[str]:
    groups = "; ".join(f"{group.name} ({group.count}, {group.activation})" for group in card.channels)
    lines = [
        f"Output {OUTPUT}: float32 (N, {total(card.channels)}, H, W), raw values in these groups of channels: "
        f"{groups}.",
        "Apply each group's activation. In the group 'classes', the index of the largest value is the class of a "
        "pixel; names and colours are in the card, under 'classes'.",
        _CARD,
    ]
    if card.decoding:
        lines.append(
            f"Decoding: {json.dumps(card.decoding)}. Add 'offsets' to the raw values of the classes before the largest "
            "is taken; divide the sums by 'temperature' before the activation to get calibrated probabilities."
        )
    if card.predict.views:
        views = " and ".join(_view(*view) for view in card.predict.views)
        lines.append(
            f"Without Python this is enough. maskwright also averages the activated maps of images of at most "
            f"{card.predict.flip_pixels} pixels with those of {views}, before the decoding: it then adds 'offsets' to "
            "the logarithms of the averages."
        )
    return lines


def _view(scale: float, mirrored: bool) -> str:
    size = f" at {scale:g} times its size" if scale != 1 else ""
    return f"the mirrored image{size} (mirrored back)" if mirrored else f"the image{size}"


def _of_objects(card: Card, reading: Reading) -> list[str]:
    if reading.stride is None:
        outputs = f"{_BOXES}\n{_ALIGNED[bool(reading.aligned)]}"
    else:
        outputs = _QUERIES.format(stride=reading.stride, least=LEAST_SCORE)
    least, part = least_score(card.decoding), least_part(card.decoding)
    lines = [outputs, _CARD, f"Objects with a score below {least:g} do not count ('score' of 'decoding')."]
    if part:
        which = "only the largest counts" if part == 1 else f"those below {part:.0%} of the largest one do not count"
        lines.append(f"Of the connected parts of a mask (8 neighbours), {which} ('part' of 'decoding').")
    if (most := most_alike(card.decoding)) < 1:
        lines.append(
            f"Of two objects of a class whose masks have an IoU above {most:g}, the less certain does not count "
            "('double' of 'decoding')."
        )
    return lines
