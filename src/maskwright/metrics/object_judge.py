"""Scores objects. Keeps a few numbers of every object and of every pair that overlaps, and no mask."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.instances import Instances
from maskwright.metrics.object_overlap import compare
from maskwright.metrics.object_summary import ComparedImage, mean_f1, object_scores
from maskwright.ops.instance_maps import cropped, from_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.instances import Instance
    from maskwright.metrics.scores import Scores

    Objects = Instances | NDArray[np.integer[Any]]


class ObjectJudge:
    """Scores objects, whoever found them. What takes time is in `compute`, so `update` is always quick.

    Args:
        classes: names by class index. A class with a name of the background (`core.classes.BACKGROUND_NAMES`) has no
            objects; there must be another one.
        task: name of the task, for the scores.
        least: least score of an object that users see; COCO's average precision counts all.
        tried: least scores of which `score` takes the best, where none is fitted yet.
        outlines: compute the boundary IoU, which takes longer than all the rest.

    Raises:
        MaskwrightError: no class has objects.
    """

    def __init__(
        self,
        classes: Classes | Sequence[str] = ("background", "object"),
        task: str = "instance",
        least: float = 0.0,
        tried: Sequence[float] = (),
        *,
        outlines: bool = False,
    ) -> None:
        self._classes = classes if isinstance(classes, Classes) else Classes.named(tuple(classes))
        every = range(len(self._classes))
        self._shown = [index for index in every if index != self._classes.background]
        if not self._shown:
            raise MaskwrightError(
                f"the only class is {self._classes.names[0]}, which has no objects: name the class of the objects too"
            )
        self._task, self._least, self._tried, self._outlines = task, least, tried or (least,), outlines
        self._images: list[ComparedImage] = []
        self._names: set[str] = set()

    def update(
        self,
        id: str,  # noqa: A002 - what records call it
        found: Objects,
        truth: Objects,
        ignored: NDArray[np.bool_] | None = None,
        group: str | None = None,
    ) -> None:
        """Compare the objects found in one image with the annotated ones.

        Args:
            id: of the image.
            found: predicted objects, as `Instances`, or as an instance map (H, W) of integers, 0 for background, each
                other value an object of the last class but the background, with a score of 1. A mask may be larger
                than its object, such as one of the whole image at (0, 0).
            truth: annotated objects, likewise.
            ignored: (H, W), pixels that no score sees, but for those of annotated objects; None for none.
            group: the group of the image, if any: the intervals are then over groups.

        Raises:
            MaskwrightError: an instance map is no array (H, W) of integers from 0, the sizes differ, a class index
                is beyond the classes or that of the background, a mask is empty or reaches beyond the image, a score
                is no number, or an image was judged before.
        """
        if id in self._names:
            raise MaskwrightError(f"{id} was judged before: give each image a name of its own")
        predicted, annotated = self._objects(id, found), self._objects(id, truth)
        sizes = {predicted.size, annotated.size} | ({ignored.shape} if ignored is not None else set())
        if len(sizes) > 1:
            raise MaskwrightError(
                f"{id}: the objects found are in an image of {predicted.size} (height, width), and the annotated ones "
                f"in one of {annotated.size}: both, and the pixels to ignore, must have the same size"
            )
        compared = compare(annotated, predicted, ignored, outlines=self._outlines)
        self._names.add(id)
        self._images.append(ComparedImage(id, group, compared))

    def score(self) -> float | None:
        """Return the F1 at IoU 0.5; None where nothing was annotated and nothing predicted."""
        values = [mean_f1(self._classes, self._images, least) for least in self._tried]
        return max((value for value in values if value is not None), default=None)

    def compute(self) -> Scores:
        """Return all scores.

        Raises:
            MaskwrightError: nothing was scored.
        """
        if not self._images:
            raise MaskwrightError("there is nothing to score: no image with a truth was judged")
        return object_scores(self._task, self._classes, self._images, self._least, outlines=self._outlines)

    def _objects(self, name: str, given: Objects) -> Instances:
        """Return objects whose classes are known; those of a map are of the last class."""
        if not isinstance(given, Instances):
            return self._of_map(name, np.asarray(given))
        beyond = {entry.index for entry in given.objects} - set(self._shown)
        if beyond:
            names = self._classes.names
            raise MaskwrightError(
                f"{name}: an object has the class index {min(beyond)}, but there are {len(names)} classes "
                f"({', '.join(names)}), and their objects have an index among {', '.join(map(str, self._shown))}: "
                "number the classes of objects in this order"
            )
        return replace(given, objects=tuple(_in_its_box(name, entry, given.size) for entry in given.objects))

    def _of_map(self, name: str, given: NDArray[Any]) -> Instances:
        if given.ndim != 2 or not given.size or given.dtype.kind not in "ui" or given.min() < 0:
            raise MaskwrightError(
                f"{name}: the instance map is an array of {given.dtype} of shape {given.shape}, but it must be "
                "integers (height, width), 0 for background and one id from 1 for each object"
            )
        nothing = given.dtype.type(0)  # of the same type, or NumPy makes floats of 64 bits
        ids, places = np.unique(np.append(nothing, given), return_inverse=True)  # ids may be sparse, and large
        numbers = places[1:].reshape(given.shape).astype(np.int32)
        return from_map(numbers, self._shown[-1:] * (len(ids) - 1))


def _in_its_box(name: str, entry: Instance, size: tuple[int, int]) -> Instance:
    """Return an object whose mask is its bounding box; other programs may give masks of whole images."""
    mask = entry.mask
    inside = min(entry.top, entry.left) >= 0 and entry.rows.stop <= size[0] and entry.columns.stop <= size[1]
    if mask.size and inside and math.isfinite(entry.score):
        if mask[0].any() and mask[-1].any() and mask[:, 0].any() and mask[:, -1].any():
            return entry
        found = cropped(mask)
        if found is not None:
            return replace(entry, top=entry.top + found[0], left=entry.left + found[1], mask=found[2], shares=None)
    raise MaskwrightError(
        f"{name}: an object with a mask of {mask.shape} (height, width) at row {entry.top}, column {entry.left} has "
        f"{np.count_nonzero(mask)} pixels and a score of {entry.score:g}: it must have a pixel, lie within the image "
        f"of {size}, and have a finite score"
    )
