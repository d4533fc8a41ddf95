"""The dense CRF: pixels that are close or similar in colour share their labels, so label edges follow image edges.

Krähenbühl, Koltun 2011, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", algorithm 1;
applied after the network by Chen et al. 2015 and 2016 (DeepLab v1 and v2).

The energy of labels x over pixels with position p and colour I, the unary term being -log of the network's probability:

    E(x) = sum_i u_i(x_i) + sum_{i<j} [x_i != x_j] k(i, j)
    k(i, j) = w1 exp(-|p_i - p_j|^2 / 2 theta_alpha^2 - |I_i - I_j|^2 / 2 theta_beta^2)    appearance
              + w2 exp(-|p_i - p_j|^2 / 2 theta_gamma^2)                                   smoothness

Mean field: Q starts as the network's probabilities; in each iteration every class is filtered by both kernels (on the
permutohedral lattice, built once per image, for positions once per image size), added to the log-probabilities, and the
softmax is taken. Each kernel k is normalised symmetrically, D^-1/2 k D^-1/2 with D its row sums, the default of
pydensecrf.

Expected: on VOC 2012 val DeepLab 59.80 mIoU without and 63.74 with the CRF, DeepLab-LargeFOV 62.25 and 67.64, as the
authors report (Chen et al. 2015, table 1); docs/benchmarks.md lists ours on held-out images (boundary IoU 0.305 to
0.410 on pedestrians). benchmarks/crf_speed.py compares it with pydensecrf, which wraps the authors' C++ code: the
labels agree.

Where we differ: a pixel also counts itself, as in the authors' code and unlike the paper's i < j. Classes whose
probability reaches 1/1000 nowhere, and whose sum reaches 1/100 nowhere, are processed as one class, and divide its
result in the proportions they started with. Images may have any number of channels: above `MOST_CHANNELS` the
appearance kernel uses the first `COMPONENTS` principal components (of each image, in units of its values), because
otherwise the lattice points could not be numbered in 64 bits. A single class is treated against its complement.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from maskwright.core.errors import MaskwrightError
from maskwright.postprocess.lattice import Lattice

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from maskwright.core.plan import CrfPlan

FLOOR = 1e-5  # lower limit of the network's probabilities
NEGLIGIBLE = 1e-3  # classes that reach it nowhere are processed as one,
TOGETHER = 1e-2  # as long as their sum reaches this nowhere: otherwise the sum could win where none of them does
MOST_CHANNELS = 6  # theta_alpha 40 and theta_beta 5 leave room for this many, whatever the image
COMPONENTS = 3
STEEPEST = 80.0  # exp() of more overflows float32


class Kernels:
    """The sum of weighted Gaussian kernels between all points, each of them symmetrically normalised.

    All kernels splat together and slice together: the values at the points are large, and are read and written once.

    Attributes:
        reach: largest amount that it can add to a log-probability.
    """

    def __init__(self, lattices: list[Lattice], weights: list[float]) -> None:
        """Join the lattices of the kernels, all built on the same points."""
        self._lattices = lattices
        rows = np.cumsum([0, *(lattice.corners + 1 for lattice in lattices)])
        given = np.cumsum([0, *(len(lattice.order) for lattice in lattices)])
        self._order = torch.cat([lattice.order for lattice in lattices])
        self._begin = torch.cat([lattice.begin + int(first) for lattice, first in zip(lattices, given, strict=False)])
        self._give = torch.cat([lattice.order_weight * lattice.scale[lattice.order] for lattice in lattices])
        self._index = torch.cat([lattice.index + int(r) for lattice, r in zip(lattices, rows, strict=False)], dim=1)
        self._take = torch.cat(
            [one.weight * (one.scale * weight)[:, None] for one, weight in zip(lattices, weights, strict=True)], dim=1
        )
        self.reach = float(self.apply(torch.ones(lattices[0].points, 1)).max())

    def apply(self, values: Tensor) -> Tensor:
        """Filter values (N, K) by all kernels and return the sum (N, K)."""
        splat = F.embedding_bag(self._order, values, self._begin, mode="sum", per_sample_weights=self._give)
        parts = splat.split([lattice.corners + 1 for lattice in self._lattices])
        blurred = torch.cat([lattice.blur(part) for lattice, part in zip(self._lattices, parts, strict=True)])
        return F.embedding_bag(self._index, blurred, mode="sum", per_sample_weights=self._take)


def refine(probabilities: NDArray[np.float32], image: NDArray[np.uint8], settings: CrfPlan) -> NDArray[np.float32]:
    """Refine the probabilities of one image.

    Args:
        probabilities: (K, H, W) float32 that add up to 1; with K = 1, of the one class against the rest.
        image: uint8 (H, W, C); `theta_beta` is in units of its values.
        settings: weights, standard deviations and iterations.

    Returns:
        refined probabilities (K, H, W) float32.

    Raises:
        MaskwrightError: the sizes differ, or a kernel is too narrow for so many channels.
    """
    if probabilities.shape[1:] != image.shape[:2]:
        raise MaskwrightError(
            f"the dense CRF got probabilities of {probabilities.shape[1:]} pixels and an image of {image.shape[:2]}: "
            "give both at the same size"
        )
    count, height, width = probabilities.shape
    flat = torch.from_numpy(np.ascontiguousarray(probabilities, np.float32)).reshape(count, -1)
    lattices = [_smoothness(height, width, settings.theta_gamma), Lattice(_appearance(image, settings))]
    kernels = Kernels(lattices, [settings.w2, settings.w1])
    if count == 1:
        refined = mean_field(torch.cat([flat, 1 - flat]), kernels, settings.iterations)[:1]
    else:
        refined = _lumped(flat, kernels, settings.iterations)
    result: NDArray[np.float32] = refined.reshape(count, height, width).numpy()
    return result


def _lumped(flat: Tensor, kernels: Kernels, iterations: int) -> Tensor:
    """Run the mean field on probabilities (K, N), with the negligible classes merged into one."""
    rest, before = _negligible(flat)
    if int(rest.sum()) < 2:
        return mean_field(flat, kernels, iterations)
    refined = mean_field(torch.cat([flat[~rest], before]), kernels, iterations)
    result = torch.empty_like(flat)
    result[~rest] = refined[:-1]
    result[rest] = flat[rest] * (refined[-1:] / before.clamp(min=1e-30))
    return result.div_(result.sum(dim=0))


def _negligible(flat: Tensor) -> tuple[Tensor, Tensor]:
    """Return a mask (K,) of the negligible classes, and their sum (1, N): the rarest first, while the sum is small."""
    most = flat.amax(dim=1)
    rest = torch.zeros(len(flat), dtype=torch.bool)
    together = torch.zeros_like(flat[:1])
    for place in most.argsort().tolist():
        summed = together + flat[place]
        if most[place] >= NEGLIGIBLE or summed.max() >= TOGETHER:
            break
        rest[place], together = True, summed
    return rest, together


def mean_field(probabilities: Tensor, kernels: Kernels, iterations: int) -> Tensor:
    """Run algorithm 1 on probabilities (K, N) float32; return the final Q (K, N)."""
    logs = probabilities.T.clamp(min=FLOOR).log_().contiguous()
    ones = logs.new_ones(logs.shape[1], 1)
    beliefs = _normalised(logs.clone(), ones)
    for _ in range(iterations):
        energy = kernels.apply(beliefs).add_(logs)
        beliefs = _normalised(energy, ones) if kernels.reach < STEEPEST else energy.softmax(dim=1)
    return beliefs.T.contiguous()


def _normalised(energy: Tensor, ones: Tensor) -> Tensor:
    """Take the softmax of (N, K) in place, without subtracting maxima: they lie between -log K and STEEPEST.

    torch's own softmax takes 3 to 20 times as long on rows this short.
    """
    energy.exp_()
    return energy.div_(energy @ ones)


@lru_cache(maxsize=1)
def _smoothness(height: int, width: int, theta: float) -> Lattice:
    """Return the lattice of the positions alone, cached for the next image of this size: 100 MB for an HD frame."""
    return Lattice(_positions(height, width, theta))


def _positions(height: int, width: int, theta: float) -> NDArray[np.float32]:
    """Return x and y of every pixel (2, H W), in standard deviations."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.asarray(np.stack([columns.ravel(), rows.ravel()]) / theta, np.float32)


def _appearance(image: NDArray[np.uint8], settings: CrfPlan) -> NDArray[np.float32]:
    """Return position and colour of every pixel (2 + `axes_of`, H W), in standard deviations."""
    height, width, channels = image.shape
    seen = image if axes_of(channels) == channels else _principal(image)
    colors = np.asarray(seen.reshape(height * width, -1).T / settings.theta_beta, np.float32)
    return np.concatenate([_positions(height, width, settings.theta_alpha), colors])


def axes_of(channels: int) -> int:
    """Return the number of colour dimensions of a pixel in the appearance kernel."""
    return channels if channels <= MOST_CHANNELS else COMPONENTS


def _principal(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the first components (H, W, `COMPONENTS`) of uint8 (H, W, C); their signs do not affect distances."""
    mean = image.mean(axis=(0, 1))
    spread = np.zeros((image.shape[2], image.shape[2]))
    for row in image:  # one at a time: as floats, an image of 200 channels is large
        centred = row - mean
        spread += centred.T @ centred
    axes = np.linalg.eigh(spread).eigenvectors[:, -COMPONENTS:]
    return np.stack([(row - mean) @ axes for row in image]).astype(np.float32)
