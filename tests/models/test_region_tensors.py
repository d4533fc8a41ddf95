"""Mask R-CNN as tensors of a whole batch finds what its loop over images finds, and queries are read alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from maskwright import models
from maskwright.core.channels import object_channels
from maskwright.models.objects.reading import Reading

SMALL: dict[str, Any] = {"widths": (4, 6, 8, 10), "depths": (1, 1, 1, 1), "width": 8}


def maskrcnn(classes: int = 4, **options: Any) -> Any:
    torch.manual_seed(0)
    return models.create("maskrcnn", object_channels(classes), **{**SMALL, "most": 20, **options}).eval()


def both(network: Any, image: torch.Tensor) -> tuple[list[Any], list[Any]]:
    """Return the objects of both ways, each as a list of tensors."""
    with torch.no_grad():
        found, tensors = network(image), network.tensors(image)
    return found, network.reading.objects(tensors._asdict(), len(image))


def table(found: Any) -> np.ndarray:
    """Return a row for each object, in an order that does not depend on which of two equal scores comes first."""
    parts = (found.classes[:, None], found.boxes, found.scores[:, None], found.masks.flatten(1))
    rows = torch.cat([part.float() for part in parts], 1).numpy()
    ordered: np.ndarray = rows[np.lexsort(rows[:, :6].round(2).T)]
    return ordered


@pytest.mark.parametrize("size", [(1, 1), (64, 96), (33, 70), (200, 130)])
@pytest.mark.parametrize("aligned", [True, False])
def test_a_batch_has_the_objects_of_each_image(size: tuple[int, int], aligned: bool) -> None:
    image = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(1))
    wanted, found = both(maskrcnn(aligned=aligned, most=20 if aligned else 1000), image)
    assert len(found) == 3
    for ours, theirs in zip(wanted, found, strict=True):
        assert ours.aligned == theirs.aligned == aligned
        np.testing.assert_allclose(table(ours), table(theirs), atol=1e-4, rtol=1e-5)
    if size == (200, 130):
        classes = {int(index) for one in found for index in one.classes}
        assert max(len(one.classes) for one in found) == 20 if aligned else len(classes) > 1


def test_an_image_without_objects_is_empty_and_its_neighbour_is_not() -> None:
    network = maskrcnn()
    image = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    scores = [float(one.scores.max()) for one in both(network, image)[0]]
    network.head.regions.score_thresh = sum(scores) / 2
    found = both(network, image)[1]
    assert [len(one.scores) > 0 for one in found] == [score > sum(scores) / 2 for score in scores]
    network.head.regions.score_thresh = 1.0
    assert [one.masks.shape for one in both(network, image)[1]] == [(0, 28, 28)] * 2


def test_queries_are_read_as_the_network_reads_them() -> None:
    torch.manual_seed(0)
    network: Any = models.create("mask2former", object_channels(3), **{**SMALL, "width": 16, "layers": (1, 2)}).eval()
    wanted, found = both(network, torch.randn(2, 3, 64, 96))
    for ours, theirs in zip(wanted, found, strict=True):
        assert ours.stride == theirs.stride == 4
        assert all(torch.equal(first, second) for first, second in zip(ours[:3], theirs[:3], strict=True))


@pytest.mark.parametrize("fields", [{}, {"aligned": True, "stride": 4}])
def test_a_reading_is_of_boxes_or_of_queries(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="one of aligned"):
        Reading(**fields)
