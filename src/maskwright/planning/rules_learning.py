"""Rules about learning: network, starting weights, loss, opponent, optimiser, learning rate.

Each rule takes the facts and the plan so far and returns decisions. Knows no clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from maskwright.models import MODELS, options_of
from maskwright.models.backbones import TIMM, find_backbone
from maskwright.models.backbones.packages import PACKAGES
from maskwright.models.catalog import find_model
from maskwright.planning.facts import Decision

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Facts

MANY_CLASSES = 50
FEW_CLASSES = 4
RATES = {"adam": 2e-3, "adamw": 2e-3, "muon": 0.02, "rmsprop": 1e-3, "sgd": 0.05}
"""Highest learning rate of each optimiser, from scratch, at `RATED_BATCH` crops a step."""
RATED_BATCH = 8
THICK = 12.0
"""Thickness in pixels from which on stride 4 draws an object as well as stride 2."""
FINE_PIXELS = 1e6
"""Pixels of an image, at the working resolution, up to which stride 2 is affordable."""
BACKBONE_RATE = 0.1
"""Learning rate of a pretrained EfficientNet-Lite, as a share of that of the fresh decoder, where Muon trains both."""
PACKAGE_GAIN = (
    "in the same processor time it reached a mean IoU of 81.5 against 62.3 from scratch on pedestrians, and 41.0 "
    "against 35.1 on an unseen drive of CamVid (docs/benchmarks.md)"
)
WIDE = [64, 128, 256, 512]
NARROW = [24, 48, 96, 160]


def architecture(facts: Facts, plan: Plan) -> list[Decision]:
    """Take a network that suits the machine; put it on published weights where they can be had."""
    machine, pretrained = facts.machine, facts.pretrained
    if pretrained.available and machine.device == "cuda":
        name, why = "deeplabv3plus", f"{machine.name} has room for wide context over published weights"
    elif machine.device == "cuda":
        name, why = "swiftnet", "the network made for training from scratch"
    else:
        name, why = "swiftnet", f"light enough for {machine.cores} cores to make many steps"
    decisions = [Decision("model.name", name, why)]
    usual = find_model(plan.model.name).default_backbone
    published = find_backbone(usual).timm is not None
    if pretrained.available:
        gain = f"; {PACKAGE_GAIN}" if pretrained.backbone.removeprefix(TIMM) in PACKAGES else ""
        decisions.append(Decision("model.backbone", pretrained.backbone, pretrained.reason + gain))
    elif machine.device == "cpu" and plan.model.backbone is None and published and not plan.model.weights:
        why = f"from scratch on {machine.cores} cores: {usual} would make too few steps"
        decisions.append(Decision("model.backbone", "compact", why))
    elif plan.model.backbone is None:
        decisions.append(Decision("model.backbone", usual, f"what {plan.model.name} stands on of its own"))
    if not pretrained.available and machine.device == "cuda" and widths_are_open(plan):
        decisions.append(Decision("model.options.widths", WIDE, f"twice the usual widths: {machine.name} affords them"))
    return decisions


def compact(plan: Plan) -> bool:
    """Whether the network stands on the backbone of our own."""
    entry = MODELS.get(plan.model.name)
    return (plan.model.backbone or (entry.default_backbone if entry else None)) == "compact"


def lite(plan: Plan) -> bool:
    """Whether the backbone is a pretrained EfficientNet-Lite: those whose training was measured."""
    return plan.model.pretrained and (plan.model.backbone or "").removeprefix(TIMM) in PACKAGES


def widths_are_open(plan: Plan) -> bool:
    """Whether the network may be made wider or narrower: a compact one of the usual stages, without weights for it."""
    if plan.model.weights or not compact(plan):
        return False
    depths = {**options_of(plan.model.name, "compact"), **plan.model.options}["depths"]
    return isinstance(depths, Sequence) and len(depths) == len(WIDE)


def slimmer(plan: Plan) -> Mapping[str, Any]:
    """Return the options that make the network slimmer; none where there are none, or weights must fit it."""
    entry = find_model(plan.model.name)
    usual = plan.model.backbone in {None, entry.default_backbone} and not plan.model.weights
    return {**({"widths": NARROW} if widths_are_open(plan) else {}), **(entry.slim if usual else {})}


def fineness(facts: Facts, plan: Plan) -> list[Decision]:
    """Predict at stride 2, unless all things are thick or the images too large for it."""
    if plan.model.name != "swiftnet" or not (compact(plan) or lite(plan)):
        return []
    height, width = facts.working_size(plan)
    thin = facts.thinnest()
    if height * width > FINE_PIXELS:
        finest, why = 4, f"images of {height:.0f}x{width:.0f} are too large for stride 2"
    elif thin is None or thin.thickness is None:
        finest, why = 2, "too few objects to measure: stride 2 loses none"
    else:
        # The thin tenth decides, not the median: it is what stride 4 loses, and losing it is what costs the score.
        thickness = thin.thickness.p10 * plan.data.scale
        finest = 4 if thickness >= THICK else 2
        gain = (
            "stride 4 is enough and faster"
            if finest == 4
            else "stride 2 gained 2.9 points on CamVid (docs/benchmarks.md)"
        )
        why = f"{thin.name}, the thinnest class: a tenth of its objects is below {thickness:.1f} px; {gain}"
    return [Decision("model.options.finest", finest, why)]


def starting_weights(facts: Facts, plan: Plan) -> list[Decision]:
    """Start from published weights where the backbone has them and they can be had."""
    if plan.model.weights:
        return [Decision(key="model.pretrained", value=False, reason=f"starts from {plan.model.weights}")]
    usable = facts.pretrained.available and plan.model.backbone == facts.pretrained.backbone
    why = facts.pretrained.reason
    if facts.pretrained.available and not usable:
        why = f"{plan.model.backbone or 'the backbone'} has none of its own"
    return [Decision("model.pretrained", usable, why)]


def loss(facts: Facts, _plan: Plan) -> list[Decision]:
    """Add Dice, which is close to the score, to cross-entropy; less where a batch lacks most classes."""
    present = [entry for entry in facts.fingerprint.class_stats if entry.share > 0]
    rarest = min(present, key=lambda entry: entry.share, default=None)
    many = len(present) > MANY_CLASSES
    if rarest is None or many:
        why = f"{len(present)} classes, most of them absent from any one batch: Dice counts half"
    else:
        fills = f"{rarest.name}, the rarest class, fills {rarest.share:.2%} of the pixels"
        why = f"{fills}; Dice counts each class alike, cross-entropy each pixel"
    return [Decision("loss.terms", {"cross_entropy": 1.0, "dice": 0.5 if many else 1.0}, why)]


def label_stride(facts: Facts, plan: Plan) -> list[Decision]:
    """Compare every label where that costs little: what is thinner than the stride is lost between the others."""
    count = len(facts.fingerprint.class_stats)
    if plan.adversarial.weight:
        return [Decision("loss.full_size", value=False, reason="the opponent judges maps at the decoder's own stride")]
    if count <= FEW_CLASSES:
        why = "logits at full size cost little, and cracks gained 3.8 points of IoU by them (docs/benchmarks.md)"
    else:
        why = "logits at full size take an eighth more time, and gained nothing on CamVid (docs/benchmarks.md)"
    return [Decision("loss.full_size", value=count <= FEW_CLASSES, reason=f"{count} classes: {why}")]


def opponent(facts: Facts, plan: Plan) -> list[Decision]:
    """Where adversarial training is asked for, make the opponent as narrow as the machine needs it."""
    if not plan.adversarial.weight:
        return []
    if facts.machine.device == "cuda":
        return [Decision("adversarial.width", 96, f"the paper's: {facts.machine.name} affords it")]
    why = "a quarter of the paper's 96: a step at stride 4 takes 1.4 times as long as without, with 96 it took 6 times"
    return [Decision("adversarial.width", 24, why)]


def optimiser(_facts: Facts, plan: Plan) -> list[Decision]:
    """Take Muon from scratch and over a pretrained EfficientNet-Lite, AdamW from other weights."""
    if lite(plan):
        name, why = "muon", "41.0 against 35.1 by AdamW on an unseen drive of CamVid, 300 steps (docs/benchmarks.md)"
    elif plan.model.pretrained or plan.model.weights:
        name, why = "adamw", "weights that know something are moved gently"
    else:
        name, why = "muon", "from scratch it learns faster than AdamW: 63.2 against 52.9 on CamVid (docs/benchmarks.md)"
    return [
        Decision("optim.name", name, why),
        Decision("optim.schedule", "cosine", "slow at the end, which is where the budget ends"),
    ]


def backbone_rate(_facts: Facts, plan: Plan) -> list[Decision]:
    """Let a pretrained EfficientNet-Lite learn slower than the fresh decoder, where Muon trains both."""
    if not lite(plan) or plan.optim.name != "muon":
        return []
    why = "pretrained weights need a smaller learning rate than the fresh decoder (docs/benchmarks.md)"
    return [Decision("optim.backbone_lr", BACKBONE_RATE, why)]


def learning_rate(_facts: Facts, plan: Plan) -> list[Decision]:
    """Take the rate that suits the optimiser and the batch, a sixth of it where weights that know something move.

    But for Muon: at a sixth of its rate LoRA stood at 62.1 instead of 68.9 halfway on pedestrians.
    """
    name, size = plan.optim.name, plan.sampling.batch
    rate, start = RATES.get(name, 1e-3), "scratch"
    if plan.lora.rank:
        start = "changes of low rank, which begin at nothing"
    elif (plan.model.pretrained or plan.model.weights) and name != "muon":
        rate, start = rate / 6, "weights that know something"
    why = f"what suits {name} from {start} at {RATED_BATCH} crops a step"
    if size != RATED_BATCH:
        why += f", times the square root of {size}/{RATED_BATCH}"
    return [Decision("optim.lr", round(rate * math.sqrt(size / RATED_BATCH), 6), why)]
