"""Rules about the machine and the time: precision, batch, steps, EMA decay, validations, tiles.

The cost of a step is measured on this machine and passed in.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.resources import CACHE_SHARE
from maskwright.core.text import agree, plural
from maskwright.core.time_budget import EVALUATION_SHARE
from maskwright.models.catalog import find_model
from maskwright.planning.cost import pixels
from maskwright.planning.facts import Decision
from maskwright.planning.rules_data import MIRRORED, crop_size, detail
from maskwright.planning.rules_learning import slimmer

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.planning.cost import StepCost
    from maskwright.planning.facts import Facts

BATCH = {"cpu": 8, "mps": 8, "cuda": 16}
MEMORY_SHARE = 0.5
"""Share of the free memory that activations may fill."""
LEAST_STEPS = 20
ENOUGH_STEPS = 300
"""With fewer steps than this, each step is made cheaper."""
ENOUGH = {"queries": 1000}
"""Steps that images are shrunk for, where it is another number, by what a network learns: queries first have to share
the objects out. Measured for objects only."""
PASSES = 15
"""How often all training pixels should be seen; below half of this, images are shrunk."""
VALIDATION_SHARE = 0.03
FORWARD_SHARE = 0.4
"""Time of a forward pass as a share of the time of a training step, per pixel."""
TILE_PIXELS = 1024 * 1024


def precision(facts: Facts, _plan: Plan) -> list[Decision]:
    """Use bfloat16 if the hardware supports it: the same score in less than half the time."""
    machine = facts.machine
    if machine.bfloat16 and machine.device != "mps":
        reason = f"{machine.device} has bfloat16 units: more than twice as many steps (docs/benchmarks.md)"
        return [Decision("train.precision", "bf16-mixed", reason)]
    value = "16-mixed" if machine.device == "cuda" else "32-true"
    return [Decision("train.precision", value, f"{machine.device} has no bfloat16 units")]


def usual_batch(facts: Facts, _plan: Plan) -> list[Decision]:
    """Start from the batch that suits the device."""
    usual = BATCH[facts.machine.device]
    return [Decision("sampling.batch", usual, f"the default on {facts.machine.device}")]


def widths(facts: Facts, plan: Plan, cost: StepCost) -> list[Decision]:
    """Make the network narrower if too few steps with the usual widths fit into the time."""
    count = _steps(facts, plan, cost)
    if count is None or count >= ENOUGH_STEPS:
        return []
    reason = (
        f"only {plural(count, 'step')} with the usual widths {agree(count, 'fits', 'fit')}, {cost.seconds(plan):.2f} "
        "s each (measured): narrower is faster"
    )
    return [Decision(f"model.options.{key}", value, reason) for key, value in slimmer(plan).items()]


def resolution(facts: Facts, plan: Plan, cost: StepCost) -> list[Decision]:
    """Shrink further, to half at most, if the images would be seen too few times, or if too few steps fit.

    What must be seen limits it; see `rules_data.detail`.
    """
    count = _steps(facts, plan, cost)
    if facts.train_seconds is None or count is None or plan.data.sides is not None:
        return []
    height, width = facts.working_size(plan)
    passes = count * pixels(plan) / (max(facts.train_images, 1) * height * width)
    by_passes = math.sqrt(passes / PASSES) if passes < PASSES / 2 else 1.0
    by_steps = _shrinking(count / _enough_steps(plan), math.prod(plan.sampling.crop), height * width)
    (least, why), now = detail(facts), plan.data.scale
    scale = round(min(max(now * max(min(by_passes, by_steps), 0.5), least), now), 3)
    if scale == now:
        return []
    if by_passes <= by_steps:
        reason = f"at scale {now:g} each pixel would be seen {passes:.1f} times in {facts.train_seconds:.0f} s "
        reason += f"(measured), at this one about {passes * (now / scale) ** 2:.0f} times"
    else:
        reason = (
            f"at scale {now:g} only {plural(count, 'step')} {agree(count, 'fits', 'fit')} into "
            f"{facts.train_seconds:.0f} s (measured): smaller images "
        )
        reason += "allow smaller crops, and so more steps"
    if scale == round(least, 3):
        reason += f"; {why}"
    return [Decision("data.scale", scale, reason)]


def _enough_steps(plan: Plan) -> int:
    """Return the number of steps of which half should fit at least; otherwise images are shrunk."""
    return ENOUGH.get(find_model(plan.model.name).learns, ENOUGH_STEPS)


def _shrinking(share: float, crop: int, image: float) -> float:
    """Return the factor by which to shrink images so that enough steps fit; 1 if that does not help.

    Args:
        share: of those steps that fit now.
        crop: pixels of a crop.
        image: pixels of a usual image.

    A step becomes cheaper only if its crop, at most as large as the image, shrinks too. On the demo data `unet2015`
    with 8 channels in its first stage reached 44 with 150 steps at full size in 35 s, and 66 with 350 steps at half
    size in 46 s.
    """
    if share >= 1 / 2 or image / 4 >= crop:
        return 1.0
    return min(math.sqrt(share * crop / image), 1.0)


def smaller_crop(facts: Facts, plan: Plan, cost: StepCost) -> list[Decision]:
    """Halve the area of the crop if still too few steps fit into the time."""
    count = _steps(facts, plan, cost)
    if count is None or count >= ENOUGH_STEPS:
        return []
    height, width = plan.sampling.crop_size
    size = crop_size(height, width, height * width / 2)
    reason = (
        f"half of {width}x{height}: only {plural(count, 'step')} with that {agree(count, 'fits', 'fit')}, "
        f"{cost.seconds(plan):.2f} s each (measured)"
    )
    return [Decision("sampling.crop", size, reason)]


def batch(facts: Facts, plan: Plan, cost: StepCost) -> list[Decision]:
    """Keep the usual batch unless its activations would not fit in half of the free memory.

    If not even one crop fits, activations are recomputed instead of kept.
    """
    usual = plan.sampling.batch
    need = cost.activation_bytes(plan)
    room = facts.machine.memory_bytes * MEMORY_SHARE
    fits = max(int(usual * min(1.0, room / max(need, 1))), 1)
    used, free = need / 2**20, facts.machine.memory_bytes / 2**20
    reason = f"the activations of {usual} crops take {used:.0f} MiB; {free:.0f} MiB are free (measured)"
    decisions = [Decision("sampling.batch", fits, reason)]
    if need / usual > room:
        decisions.append(
            Decision("train.gradient_checkpointing", value=True, reason="one crop does not fit: " + reason)
        )
    return decisions


def steps(facts: Facts, plan: Plan, cost: StepCost) -> list[Decision]:
    """Fill the training time with steps of the measured length, or compute the steps from the number of epochs.

    Raises:
        MaskwrightError: the budget leaves no time for training.
    """
    if facts.epochs is not None:
        count = max(math.ceil(facts.epochs * facts.train_images / plan.sampling.batch), 1)
        reason = f"{facts.epochs:g} epochs, set by hand: {facts.train_images} images, {plan.sampling.batch} per step"
        return [Decision("train.steps", count, reason)]
    count_or_none = _steps(facts, plan, cost)
    if facts.train_seconds is None or count_or_none is None:
        return []
    count, seconds = count_or_none, cost.seconds(plan)
    if count < LEAST_STEPS:
        short = LEAST_STEPS * seconds - facts.train_seconds
        assert plan.train.budget_seconds is not None
        enough = plan.train.budget_seconds + short / (1 - EVALUATION_SHARE)
        raise MaskwrightError(
            f"the budget of {plan.train.budget_seconds:.0f} s leaves {max(facts.train_seconds, 0):.0f} s for training, "
            f"and a step takes {seconds:.2f} s on this machine: give {_rounded(enough)} or more",
            "train.budget_seconds",
        )
    seen = count * plan.sampling.batch / max(facts.train_images, 1)
    reason = f"{facts.train_seconds:.0f} s at {seconds:.3f} s per step (measured), about {seen:.0f} crops per image"
    reason += f"; evaluation gets {EVALUATION_SHARE:.0%} of the budget, and what it leaves goes to more steps"
    return [Decision("train.steps", count, reason)]


def _steps(facts: Facts, plan: Plan, cost: StepCost) -> int | None:
    """Return how many steps fit into the time, or None if there is no time limit."""
    return None if facts.train_seconds is None else max(int(facts.train_seconds / cost.seconds(plan)), 0)


def averaging(_facts: Facts, plan: Plan) -> list[Decision]:
    """Average the weights over about the last twentieth of the training, a few hundred steps at most."""
    window = min(max(plan.train.steps / 20, 1.0), 200.0)
    decay = round(1.0 - 1.0 / (window + 1.0), 4)
    return [Decision("optim.ema", decay, f"averages the weights over about {window:.0f} of {plan.train.steps} steps")]


def validations(facts: Facts, plan: Plan, cost: StepCost) -> list[Decision]:
    """Score the model as often as 3% of the training time allows, ten times at most."""
    height, width = facts.working_size(plan)
    each = cost.pixel_seconds * FORWARD_SHARE * height * width
    there = max(facts.fingerprint.splits.get("val", 0), 1)
    room = VALIDATION_SHARE * plan.train.steps * cost.seconds(plan)
    images = int(min(there, max(room / (4 * each), 8), 64))
    count = int(min(max(room / (images * each), 1), 10, max(plan.train.steps // 5, 1)))
    reason = f"about {each:.2g} s per image: validation gets {VALIDATION_SHARE:.0%} of the training time"
    return [
        Decision("train.validation_images", images, reason),
        Decision("train.validations", count, reason),
    ]


def threads(facts: Facts, plan: Plan, cost: StepCost) -> list[Decision]:
    """Use as many threads as reading the images needs when training on a CPU, and all cores but one with a GPU."""
    cores = facts.machine.cores
    if facts.machine.device != "cpu":
        count = max(cores - 1, 1)
        return [
            Decision("train.threads", count, f"{plural(cores, 'core')}, one of which drives the {facts.machine.device}")
        ]
    height, width = facts.working_size(plan)
    decoded = facts.train_images * height * width * (plan.data.channels + 1)
    room = facts.machine.memory_bytes * CACHE_SHARE
    if decoded <= room:
        why = f"the decoded images take {decoded / 2**20:.0f} MiB and stay in memory: one thread is enough"
        return [Decision("train.threads", 1, why)]
    again = 1 - room / decoded
    reading = again * plan.sampling.batch * facts.fingerprint.decode_seconds
    count = min(max(math.ceil(reading / cost.seconds(plan)), 1), cores)
    seconds = facts.fingerprint.decode_seconds
    why = f"{again:.0%} of the images do not fit in memory, and each takes {seconds:.3f} s to read"
    return [Decision("train.threads", count, why)]


def tiles(facts: Facts, plan: Plan) -> list[Decision]:
    """Predict images of the common size in one pass, and larger ones in tiles of that size."""
    height = facts.fingerprint.heights.p90 * plan.data.scale
    width = facts.fingerprint.widths.p90 * plan.data.scale
    shrink = min(1.0, math.sqrt(TILE_PIXELS / (height * width)))
    tile = tuple(max(math.ceil(side * shrink / 32) * 32, 64) for side in (height, width))
    reason = f"90% of the images are at most {width:.0f} wide and {height:.0f} high at the working resolution"
    mirror = facts.fingerprint.flip_horizontal >= MIRRORED
    maps = "masks" if facts.fingerprint.edges is None else "edges"
    alike = f"{maps} and their left-right mirror images are {facts.fingerprint.flip_horizontal:.0%} alike"
    gain = f"{alike}: the average with the prediction for the flipped image is more accurate, in up to twice the time"
    return [
        Decision("predict.tile", tile, reason),
        Decision("predict.flip", mirror, gain if mirror else f"{alike}: their predictions should not be averaged"),
    ]


def window(_facts: Facts, plan: Plan) -> list[Decision]:
    """Average over as much of an image as in training, so that neither its size nor tiles change what is seen."""
    if not find_model(plan.model.name).averages:
        return []
    why = "the size of the crops: the network averages over as much of a larger image as in training, and tiles agree"
    return [Decision("predict.window", plan.sampling.crop, why)]


def _rounded(seconds: float) -> str:
    return f"{math.ceil(seconds / 10) * 10}s"
