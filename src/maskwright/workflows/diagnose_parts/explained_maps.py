"""Maps of what a region depends on, each with its tests."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.seeds import generator
from maskwright.diagnosis import cam, occlusion
from maskwright.diagnosis.heat import heat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.diagnosis.occlusion import Deletion, Patch
    from maskwright.diagnosis.region import Region
    from maskwright.workflows.diagnose_parts.study import Study

SIZES = ((2, True), (4, True), (6, False))
"""Patches along the shorter side, and whether they overlap by half: large causes and small ones."""
EFFORTS = {400: (SIZES, occlusion.SHARES), 170: (SIZES[:2], (0.1,)), 75: (((2, True), (4, False)), (0.1,))}
"""Predictions that there is time for -> sizes of patches, and shares of the image that the deletion test removes."""
MASKS = 200
RISE = "RISE"
FEWEST_MASKS = 80
SCRAMBLED = 5
"""Networks with scrambled weights that a map of gradients is compared with; others cost many predictions: one."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A map with its tests.

    Attributes:
        name: of the method.
        values: float32 (H, W).
        alike: rank correlation with the map of scrambled weights; None if the weights cannot be reached.
        test: of removing what it marks.
    """

    name: str
    values: NDArray[np.float32]
    alike: float | None
    test: Deletion

    @property
    def trusted(self) -> bool:
        """Whether it passed both tests; a map whose weights cannot be reached needs to pass only the other one."""
        return self.test.passed and (self.alike is None or self.alike < cam.SIMILAR)

    def drawn(self, region: Region, patch: Patch) -> NDArray[np.uint8]:
        """Draw it over the image, with the region's outline and the patch that matters most."""
        return heat(region.image, self.values, region.mask, (patch.rows, patch.columns))


def tested_maps(study: Study, region: Region, deadline: float) -> tuple[list[Shown], list[Patch]]:
    """Make the maps that there is time for, test them, and return the patches of the occlusion too.

    Returns:
        Nothing if there is no time for even the coarsest test.
    """
    rng = generator(study.request.seed, "explanation")
    report = study.progress("explain a region")
    each = seconds_each(region)
    spare = (deadline - time.monotonic()) / each
    effort = next((effort for least, effort in EFFORTS.items() if spare >= least), None)
    if effort is None:
        return [], []
    sizes, shares = effort
    patches = _patches(region, sizes)
    report(1, 4)
    random = occlusion.random_losses(region, rng, shares)
    report(2, 4)
    network = cam.open_network(region.predictor)
    other = None if network is None else region.with_predictor(cam.scrambled(region.predictor, study.request.seed))
    values = occlusion.occlusion_map(region.size, patches)
    alike = None
    if other is not None:
        alike = cam.similarity(values, occlusion.occlusion_map(region.size, _patches(other, sizes)))
    found = [Shown("occlusion", values, alike, occlusion.deletion(region, values, random, shares))]
    report(3, 4)
    if network is not None:
        found += _of_gradients(study, region, random, shares)
    masks = min(MASKS, int((deadline - time.monotonic()) / each / 1.6))
    if masks >= FEWEST_MASKS:
        map_of_masks = _of_masks(region, other, masks, rng, deadline)
        if map_of_masks is not None:
            found.append(Shown(RISE, *map_of_masks, occlusion.deletion(region, map_of_masks[0], random, shares)))
    report(4, 4)
    return found, patches


def _patches(region: Region, sizes: Sequence[tuple[int, bool]]) -> list[Patch]:
    return [patch for along, twice in sizes for patch in occlusion.patches(region, along, twice=twice)]


def seconds_each(region: Region) -> float:
    """Return how long one prediction takes, of two, the faster one."""
    taken = []
    for _ in range(2):
        started = time.monotonic()
        region.held(region.image)
        taken.append(time.monotonic() - started)
    return max(min(taken), 1e-4)


def _of_gradients(study: Study, region: Region, random: NDArray[np.float64], shares: tuple[float, ...]) -> list[Shown]:
    """Make and test the class activation maps."""
    network = cam.open_network(region.predictor)
    assert network is not None
    maps = cam.class_activation(region, network)
    alike: dict[str, list[float]] = {name: [] for name in maps}
    for number in range(SCRAMBLED):
        other = region.with_predictor(cam.scrambled(region.predictor, study.request.seed + number))
        network = cam.open_network(other.predictor)
        assert network is not None
        for name, values in cam.class_activation(other, network).items():
            alike[name].append(cam.similarity(maps[name], values))
    return [
        Shown(name, values, float(np.mean(alike[name])), occlusion.deletion(region, values, random, shares))
        for name, values in maps.items()
    ]


def _of_masks(
    region: Region, other: Region | None, masks: int, rng: np.random.Generator, deadline: float
) -> tuple[NDArray[np.float32], float | None] | None:
    """Return the map of RISE, and how like that of scrambled weights it is; None if the time was too short."""
    values = occlusion.rise(region, masks, rng, deadline)
    if values is None or other is None:
        return None if values is None else (values, None)
    scrambled = occlusion.rise(other, masks // 2, rng, deadline)
    return None if scrambled is None else (values, cam.similarity(values, scrambled))
