"""Rules about the machine and the clock: precision, batch, steps, averaging, validations, tiles.

The cost of a step is measured on this machine and handed in.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.planning.facts import Decision
from maskwright.planning.rules_data import MIRRORED

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Facts
    from maskwright.planning.measure import StepCost

BATCH = {"cpu": 8, "mps": 8, "cuda": 16}
MEMORY_SHARE = 0.5
"""Part of the free memory that activations may fill."""
LEAST_STEPS = 20
VALIDATION_SHARE = 0.03
FORWARD_SHARE = 0.4
"""Time of a forward pass as a share of a training step's, a pixel each."""
TILE_PIXELS = 1024 * 1024


def precision(facts: Facts, _plan: Plan) -> list[Decision]:
    """Multiply in bfloat16 wherever the hardware does: the same score in less than half the time."""
    machine = facts.machine
    if machine.bfloat16 and machine.device != "mps":
        reason = f"{machine.device} has bfloat16 units: more than twice the steps (docs/benchmarks.md)"
        return [Decision("train.precision", "bf16-mixed", reason)]
    value = "16-mixed" if machine.device == "cuda" else "32-true"
    return [Decision("train.precision", value, f"{machine.device} has no bfloat16 units")]


def batch(facts: Facts, plan: Plan, cost: StepCost) -> list[Decision]:
    """Keep the usual batch unless its activations would not fit in half of the free memory."""
    usual = plan.sampling.batch
    room = facts.machine.memory_bytes * MEMORY_SHARE
    fits = max(int(usual * min(1.0, room / max(cost.activation_bytes, 1))), 1)
    used, free = cost.activation_bytes / 2**20, facts.machine.memory_bytes / 2**20
    reason = f"{usual} crops keep {used:.0f} MiB of activations, of {free:.0f} MiB free (measured)"
    return [Decision("sampling.batch", fits, reason)]


def steps(facts: Facts, plan: Plan, cost: StepCost) -> list[Decision]:
    """Fill the time for training with steps of the measured length.

    Raises:
        MaskwrightError: the budget leaves no time for training.
    """
    if facts.train_seconds is None:
        return []
    seconds = cost.seconds * plan.optim.accumulate
    count = int(facts.train_seconds / seconds)
    if count < LEAST_STEPS:
        need = LEAST_STEPS * seconds - facts.train_seconds
        assert plan.train.budget_seconds is not None
        raise MaskwrightError(
            f"--budget {plan.train.budget_seconds:.0f}s leaves {max(facts.train_seconds, 0):.0f} s for training, "
            f"and a step takes {seconds:.2f} s here: give {_rounded(plan.train.budget_seconds + need)} or more"
        )
    seen = count * plan.sampling.batch / max(facts.train_images, 1)
    reason = f"{facts.train_seconds:.0f} s at {seconds:.3f} s a step (measured), about {seen:.0f} crops an image"
    return [Decision("train.steps", count, reason)]


def averaging(_facts: Facts, plan: Plan) -> list[Decision]:
    """Average the weights over about the last twentieth of the training, a few hundred steps at most."""
    window = min(max(plan.train.steps / 20, 1.0), 200.0)
    decay = round(1.0 - 1.0 / (window + 1.0), 4)
    return [Decision("optim.ema", decay, f"an average over about {window:.0f} of {plan.train.steps} steps")]


def validations(facts: Facts, plan: Plan, cost: StepCost) -> list[Decision]:
    """Score the model as often as 3% of the training time allows, ten times at most."""
    height, width = (
        spread.median * plan.data.scale for spread in (facts.fingerprint.heights, facts.fingerprint.widths)
    )
    crops = plan.sampling.batch * plan.sampling.crop[0] * plan.sampling.crop[1]
    each = cost.seconds * FORWARD_SHARE * height * width / crops
    there = max(facts.fingerprint.splits.get("val", 0), 1)
    room = VALIDATION_SHARE * plan.train.steps * cost.seconds
    images = int(min(there, max(room / (4 * each), 8), 64))
    count = int(min(max(room / (images * each), 1), 10, max(plan.train.steps // 5, 1)))
    reason = f"about {each:.2f} s an image: {VALIDATION_SHARE:.0%} of the training time"
    return [
        Decision("train.validation_images", images, reason),
        Decision("train.validations", count, reason),
    ]


def threads(facts: Facts, _plan: Plan) -> list[Decision]:
    """Let one thread make the batches beside a computing CPU, and all cores beside a GPU."""
    if facts.machine.device == "cpu":
        return [Decision("train.threads", 1, "making a batch takes a few percent of a step; the rest computes")]
    count = max(facts.machine.cores - 1, 1)
    return [
        Decision("train.threads", count, f"{facts.machine.cores} cores, one of which feeds the {facts.machine.device}")
    ]


def tiles(facts: Facts, plan: Plan) -> list[Decision]:
    """Predict whole images in one pass where they are of common size, and large ones in tiles of that size."""
    height = facts.fingerprint.heights.p90 * plan.data.scale
    width = facts.fingerprint.widths.p90 * plan.data.scale
    shrink = min(1.0, math.sqrt(TILE_PIXELS / (height * width)))
    tile = tuple(max(math.ceil(side * shrink / 32) * 32, 64) for side in (height, width))
    reason = f"nine of ten images are at most {height:.0f}x{width:.0f} at the working resolution"
    mirror = facts.fingerprint.flip_horizontal >= MIRRORED
    alike = f"mirrored masks are {facts.fingerprint.flip_horizontal:.0%} alike"
    gain = f"{alike}: the mean with the mirror image's prediction gains about 0.7 points of IoU for twice the time"
    return [
        Decision("predict.tile", tile, reason),
        Decision("predict.flip", mirror, gain if mirror else f"{alike}: their predictions should not be mixed"),
    ]


def _rounded(seconds: float) -> str:
    return f"{math.ceil(seconds / 10) * 10}s"
