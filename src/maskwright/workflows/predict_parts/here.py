"""Images predicted on this machine: small ones side by side, if that pays, and each larger one alone.

While one image is in the network, the next is read, and the one before is decoded and written.
"""

from __future__ import annotations

import copy
import math
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from maskwright.core.overlap import side_by_side
from maskwright.data.readers import DecodeError, image_size
from maskwright.inference import Predictor
from maskwright.inference.engine import TakenInTurns, TorchEngine
from maskwright.inference.predictor import LARGE_PIXELS
from maskwright.ops.images import working_size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from maskwright.inference.engine import Engine
    from maskwright.workflows.predict_parts.destinations import Folder
    from maskwright.workflows.predict_parts.pictures import Picture
    from maskwright.workflows.predict_parts.spread import Outcome
    from maskwright.workflows.predict_parts.writing import Writing

WORKERS = 3
"""Images that are worked on at a time: enough that a GPU need not wait for what becomes of its maps."""


def predicted_here(
    pictures: Sequence[Picture], writing: Writing, place: Folder, on_share: Callable[[float], None]
) -> Generator[Outcome]:
    """Yield each image, in order, with its results or the reason why it has none.

    Args:
        pictures: the images.
        writing: what is done with each.
        place: where the results go.
        on_share: gets the share of a larger image that is done.

    Raises:
        MaskwrightError: results cannot be written.
    """

    def share(done: float) -> None:
        place.keep()
        on_share(done)

    together = _sharing_the_network(writing)
    apart = len(pictures) > 1 and _waits_idly(writing.predictor.engine)
    for beside, group in groupby(pictures, lambda picture: apart and _is_small(picture, writing)):
        if beside:
            yield from side_by_side((partial(_outcome, picture, together) for picture in group), WORKERS)
            continue
        for picture in group:
            place.begin(writing.parts(picture))
            yield _outcome(picture, writing, share)


def _outcome(picture: Picture, writing: Writing, *on_share: Callable[[float], None]) -> Outcome:
    return picture, writing.run(picture, *on_share)


def _waits_idly(engine: Engine) -> bool:
    """Tell whether an engine leaves the processor to other threads while its own wait for each other.

    PyTorch's threads wait in loops, which they give up where there are more threads than cores: 367 photographs of
    480x360 took up to 20 % longer side by side, on two cores. With OpenVINO in int8, which keeps both busy, they took
    between 8 % less and 17 % more; with a network that computes elsewhere for 6 ms a photograph, 10 instead of 20 ms.
    """
    return not (isinstance(engine, TorchEngine) and engine.device.type == "cpu")


def _is_small(picture: Picture, writing: Writing) -> bool:
    """Tell whether several such images may be in memory at a time, from the header.

    None of these is predicted by rows, which needs the engine itself.
    """
    if writing.is_scan(picture) or isinstance(picture.given, bytes):
        return False
    try:
        size = image_size(picture.image) if picture.given is None else (picture.given.shape[0], picture.given.shape[1])
    except DecodeError:
        return True  # it is refused when it is read
    return max(math.prod(size), math.prod(working_size_of(size, writing.predictor.card.data))) <= LARGE_PIXELS


def _sharing_the_network(writing: Writing) -> Writing:
    """Return the same for several threads."""
    alone, shared = writing.predictor, copy.copy(writing)
    shared.predictor = Predictor(
        TakenInTurns(alone.engine), alone.card, alone.postprocessor, tiles_only=alone.tiles_only
    )
    return shared
