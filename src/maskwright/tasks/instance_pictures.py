"""Examples of objects as pictures for the report, and their errors in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.classes import IGNORE
from maskwright.core.text import agree, count, plural
from maskwright.metrics.object_errors import object_errors
from maskwright.ops import draw, draw_objects
from maskwright.tasks.base import Legend, Painted, Panel

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instances
    from maskwright.core.targets import Target
    from maskwright.metrics.object_errors import ObjectErrors

# With the colours of `draw`, five of Okabe and Ito's palette (2008), distinct under every kind of colour blindness.
MERGE = (204, 121, 167)
SPLIT = (0, 158, 115)
_LINE = (255, 255, 255)


def paint(image: NDArray[np.uint8], target: Target, result: Instances, classes: Classes) -> Painted:
    """Draw an example at full size; a found object has the same colour in truth and prediction.

    Args:
        image: RGB (H, W, 3).
        target: its truth; `instances` is given.
        result: predicted objects.
        classes: names and colours.
    """
    truth = target.instances
    assert truth is not None
    errors = object_errors(truth, result, target.labels == IGNORE)
    own, guessed = draw_objects.colors_of(truth, classes), draw_objects.colors_of(result, classes)
    for number, guess in errors.found.items():
        guessed[guess] = own[number]
    panels = (
        Panel("image", "photo", image),
        Panel("truth", "photo", draw_objects.overlay(image, truth, own)),
        Panel("prediction", "photo", draw_objects.overlay(image, result, guessed)),
        Panel("errors", "photo", _errors(image, truth, result, errors)),
    )
    return Painted(panels, in_words(errors, truth))


def legend(targets: Iterable[Target], results: Iterable[Instances], classes: Classes) -> Legend:
    """Return the colours of the classes, where there are several, and of the kinds of errors."""
    truths = [target.instances for target in targets if target.instances is not None]
    several = draw_objects.several(classes)
    seen = {entry.index for objects in (*truths, *results) for entry in objects.objects} if several else set()
    errors = [
        ("missed", draw.FALSE_NEGATIVE),
        ("other false positive", draw.FALSE_POSITIVE),
        ("several objects predicted as one", MERGE),
        ("one object predicted as several", SPLIT),
        *([("wrong class", draw.WRONG_CLASS)] if several else []),
        ("found", draw.CORRECT),
    ]
    return Legend(tuple((classes.names[index], classes.colors[index]) for index in sorted(seen)), tuple(errors))


def in_words(errors: ObjectErrors, truth: Instances) -> str:
    """Count each annotated object once, by what became of it, then the predictions that none of this explains."""
    objects, others = sum(not entry.crowd for entry in truth.objects), len(errors.false)
    if not objects:
        return f"The image has no object; {plural(others, 'false positive') if others else 'none is predicted'}."
    # Predictions that merge or split objects, or name another class, are false positives too.
    false = f"{plural(others, 'other prediction')} {agree(others, 'is', 'are')} wrong" if others else ""
    found, merged = set(errors.found), {number for covered in errors.merges.values() for number in covered}
    also = len(found & (merged | set(errors.splits)))
    if len(found) == objects and not also and not false:
        return f"{agree(objects, 'The only object is', f'All {count(objects)} objects are')} found, and nothing else."
    parts = [f"{count(len(found))} of {plural(objects, 'object')} found"]
    parts[0] += f" ({count(also)} of them also merged or split)" if also else ""
    counted = found
    for words, numbers in (
        ("given another class", errors.confused),
        ("merged with others", merged),
        ("split", errors.splits),
        ("missed", errors.missed),
    ):
        fresh = set(numbers) - counted
        parts += [f"{count(len(fresh))} {words}"] if fresh else []
        counted |= fresh
    return "; ".join([", ".join(parts), *([false] if false else [])]) + "."


def _errors(
    image: NDArray[np.uint8], truth: Instances, prediction: Instances, errors: ObjectErrors
) -> NDArray[np.uint8]:
    """Fill the wrong objects on a dimmed image, and outline the found ones, and those inside merges and splits."""
    picture = draw.dimmed(image)
    true, predicted = truth.objects, prediction.objects
    filled = (
        *((true[number], draw.FALSE_NEGATIVE) for number in errors.missed),
        *((predicted[guess], draw.FALSE_POSITIVE) for guess in errors.false),
        *((predicted[guess], draw.WRONG_CLASS) for guess in errors.confused.values()),
        *((true[number], SPLIT) for number in errors.splits),
        *((predicted[guess], MERGE) for guess in errors.merges),
    )
    for entry, color in filled:
        draw_objects.tint(picture, entry, color, draw_objects.FULL)
    for number in errors.found:
        if number not in errors.splits:
            draw_objects.outline(picture, true[number], draw.CORRECT)
    for number in (number for covered in errors.merges.values() for number in covered):
        draw_objects.outline(picture, true[number], _LINE)
    for guess in (guess for parts in errors.splits.values() for guess in parts):
        draw_objects.outline(picture, predicted[guess], _LINE)
    return picture
