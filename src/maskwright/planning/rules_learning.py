"""Rules about learning: network, starting weights, discriminator, optimiser, learning rate.

Each rule takes the facts and the plan so far and returns decisions. Knows no clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from maskwright.core.text import plural
from maskwright.models import MODELS, options_of
from maskwright.models.backbones import TIMM, find_backbone
from maskwright.models.backbones.packages import PACKAGES
from maskwright.models.catalog import find_model
from maskwright.planning.facts import Decision

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Facts

RATES = {"adam": 2e-3, "adamw": 2e-3, "muon": 0.02, "rmsprop": 1e-3, "sgd": 0.05}
"""Highest learning rate of each optimiser, from scratch, at `RATED_BATCH` crops a step."""
RATED_BATCH = 8
THICK = 12.0
"""Thickness in pixels above which stride 4 draws an object as well as stride 2."""
FINE_PIXELS = 1e6
"""Largest number of pixels of an image, at the working resolution, at which stride 2 is affordable."""
FINE_TUNED = 6
"""By what the rate of an optimiser other than Muon is divided for pretrained weights."""
BACKBONE_RATE = 0.1
"""Learning rate of a pretrained EfficientNet-Lite, as a share of the decoder's, when Muon trains both."""
PACKAGE_GAIN = (
    "with the same CPU time the default model reached a mean IoU of 81.5 on pedestrians, against 62.3 from scratch, "
    "and 41.0 against 35.1 on an unseen CamVid drive (docs/benchmarks.md)"
)
FEW_IMAGES = 5
"""Most training images with which a forest is worth a try: it was measured with five labelled ones."""
FOREST = (
    "a forest (`model.name=forest`) is grown in about a minute, so try it too: with five labelled images it was better "
    "on nuclei, and worse on cracks and pedestrians (docs/benchmarks.md)"
)
WIDE = [64, 128, 256, 512]
NARROW = [24, 48, 96, 160]


def architecture(facts: Facts, plan: Plan) -> list[Decision]:
    """Choose a network that suits the machine; use published weights if they are available."""
    machine, pretrained = facts.machine, facts.pretrained
    installed = pretrained.backbone.removeprefix(TIMM) in PACKAGES
    if pretrained.available and machine.device == "cuda" and not installed:
        name, why = "deeplabv3plus", f"{machine.name} has the memory for wide context on a pretrained backbone"
    elif machine.device == "cuda":
        why = "measured with the installed weights" if installed else "designed for training from scratch"
        name = "swiftnet"
    else:
        name, why = "swiftnet", f"small enough to make many steps on {plural(machine.cores, 'core')}"
    if plan.task == "semantic" and facts.train_images <= FEW_IMAGES:
        why += f"; {FOREST}"
    decisions = [Decision("model.name", name, why)]
    usual = find_model(plan.model.name).default_backbone
    published = find_backbone(usual).timm is not None
    if pretrained.available:
        gain = f"; {PACKAGE_GAIN}" if installed and machine.device == "cpu" else ""
        decisions.append(Decision("model.backbone", pretrained.backbone, pretrained.reason + gain))
    elif machine.device == "cpu" and plan.model.backbone is None and published and not plan.model.weights:
        why = f"from scratch on {plural(machine.cores, 'core')}, {usual} would make too few steps"
        decisions.append(Decision("model.backbone", "compact", why))
    elif plan.model.backbone is None:
        decisions.append(Decision("model.backbone", usual, f"the default backbone of {plan.model.name}"))
    if not pretrained.available and machine.device == "cuda" and widths_are_open(plan):
        decisions.append(Decision("model.options.widths", WIDE, f"twice the usual widths: {machine.name} is fast"))
    return decisions


def compact(plan: Plan) -> bool:
    """Whether the network uses the `compact` backbone."""
    entry = MODELS.get(plan.model.name)
    return (plan.model.backbone or (entry.default_backbone if entry else None)) == "compact"


def lite(plan: Plan) -> bool:
    """Whether the backbone is a pretrained EfficientNet-Lite, the family whose training was measured."""
    return plan.model.pretrained and (plan.model.backbone or "").removeprefix(TIMM) in PACKAGES


def widths_are_open(plan: Plan) -> bool:
    """Whether the widths may be changed: a compact backbone with the usual stages, and no weights to load."""
    if plan.model.weights or not compact(plan):
        return False
    depths = {**options_of(plan.model.name, "compact"), **plan.model.options}["depths"]
    return isinstance(depths, Sequence) and len(depths) == len(WIDE)


def slimmer(plan: Plan) -> Mapping[str, Any]:
    """Return the options that make the network smaller; empty if there are none, or if weights must fit it."""
    entry = find_model(plan.model.name)
    usual = plan.model.backbone in {None, entry.default_backbone} and not plan.model.weights
    return {**({"widths": NARROW} if widths_are_open(plan) else {}), **(entry.slim if usual else {})}


def fineness(facts: Facts, plan: Plan) -> list[Decision]:
    """Predict at stride 2, unless all objects are thick or the images are too large for it."""
    if plan.model.name != "swiftnet" or not (compact(plan) or lite(plan)):
        return []
    height, width = facts.working_size(plan)
    thin = facts.thinnest()
    if height * width > FINE_PIXELS:
        finest, why = 4, f"images of {width:.0f}x{height:.0f} are too large for stride 2"
    elif thin is None or thin.thickness is None:
        finest, why = 2, "too few objects to measure their thickness: stride 2 loses none"
    else:
        # The 10th percentile decides, not the median: stride 4 loses the thinnest objects, and that costs score.
        thickness = thin.thickness.p10 * plan.data.scale
        finest = 4 if thickness >= THICK else 2
        gain = (
            "stride 4 is enough and faster"
            if finest == 4
            else "stride 2 gained 2.9 points on CamVid (docs/benchmarks.md)"
        )
        why = f"10% of the objects of {thin.name}, the thinnest class, are below {thickness:.1f} px; {gain}"
    return [Decision("model.options.finest", finest, why)]


def starting_weights(facts: Facts, plan: Plan) -> list[Decision]:
    """Start from published weights if the backbone has them and they are available."""
    if plan.model.weights:
        return [Decision(key="model.pretrained", value=False, reason=f"starts from {plan.model.weights}")]
    usable = facts.pretrained.available and plan.model.backbone == facts.pretrained.backbone
    why = facts.pretrained.reason
    if facts.pretrained.available and not usable:
        why = f"{plan.model.backbone or 'the backbone'} has no published weights"
    return [Decision("model.pretrained", usable, why)]


def discriminator(facts: Facts, plan: Plan) -> list[Decision]:
    """Choose the width of the discriminator by the machine, if adversarial training is enabled."""
    if not plan.adversarial.weight:
        return []
    if facts.machine.device == "cuda":
        return [Decision("adversarial.width", 96, f"as in the paper: {facts.machine.name} is fast enough")]
    why = "a quarter of the paper's 96: at stride 4 it makes a step 1.4 times as long; 96 made it 6 times as long"
    return [Decision("adversarial.width", 24, why)]


def optimiser(_facts: object, plan: Plan) -> list[Decision]:
    """Choose Muon from scratch and with a pretrained EfficientNet-Lite, AdamW with other pretrained weights."""
    if lite(plan):
        name, why = "muon", "the new decoder learns faster with it than with AdamW, and thin classes are not lost"
    elif plan.model.pretrained or plan.model.weights:
        name, why = "adamw", "suited to fine-tuning pretrained weights with a small learning rate"
    else:
        name, why = "muon", "learns faster than AdamW from scratch: 63.2 against 52.9 on CamVid (docs/benchmarks.md)"
    return [
        Decision("optim.name", name, why),
        Decision("optim.schedule", "cosine", "the learning rate falls to zero when the budget ends"),
    ]


def backbone_rate(_facts: object, plan: Plan) -> list[Decision]:
    """Give a pretrained EfficientNet-Lite a smaller learning rate than the decoder, when Muon trains both."""
    if not lite(plan) or plan.optim.name != "muon" or plan.optim.freeze == "backbone":
        return []
    why = "pretrained weights need a smaller learning rate than the new decoder (docs/benchmarks.md)"
    return [Decision("optim.backbone_lr", BACKBONE_RATE, why)]


def learning_rate(_facts: object, plan: Plan) -> list[Decision]:
    """Choose the rate for the optimiser and the batch size; pretrained weights get a sixth of it.

    Except with Muon: at a sixth of its rate, LoRA reached 62.1 instead of 68.9 halfway through, on pedestrians.
    """
    name, size = plan.optim.name, plan.sampling.batch
    rate, start = RATES.get(name, 1e-3), "from scratch"
    if plan.lora.rank:
        start = "for LoRA updates, which start at zero,"
    elif (plan.model.pretrained or plan.model.weights) and name != "muon":
        rate, start = rate / FINE_TUNED, "for pretrained weights, which need a smaller learning rate,"
    elif plan.model.pretrained or plan.model.weights:
        start = "for a new decoder"
    why = f"suits {name} {start} with {RATED_BATCH} crops per step"
    if size != RATED_BATCH:
        why += f", times the square root of {size}/{RATED_BATCH}"
    return [Decision("optim.lr", round(rate * math.sqrt(size / RATED_BATCH), 6), why)]
