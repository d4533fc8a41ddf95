"""Which trainings are compared: other starts (transfer), and other losses and crops (imbalance)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.answers import Answer, Cure
from maskwright.core.channels import CLASS_GROUP
from maskwright.models.catalog import find_model
from maskwright.planning.rules_learning import FINE_TUNED
from maskwright.workflows.diagnose_parts.learning import same_time
from maskwright.workflows.diagnose_parts.variants import Asked, Variant, compared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from maskwright.core.plan import Plan
    from maskwright.workflows.diagnose_parts.study import Study

RANK = 8
STARTS = "Does transfer help: which start, and how much is frozen?"
BALANCE = "What do class weights, resampling and other losses gain on this data?"


def starts(study: Study, deadline: float) -> Iterator[Answer]:
    """Train from random weights, with a frozen backbone, with low-rank updates, and all weights, in the same time."""
    plan = study.plan
    if plan is None:
        yield Answer("starts", STARTS, "Not measured: this model comes without the plan of its training.", "open")
        return
    if plan.model.weights is None and not plan.model.pretrained:
        words = "Not measured: the run started from random weights, and names no others to compare them with."
        why = "Trains from another run instead; this question of that run then compares the starts."
        cure = Cure(why, "train", (str(study.dataset.root),), {"from_run": "OTHER_RUN"})
        yield Answer("starts", STARTS, words, "open", cures=(cure,))
        return
    if find_model(plan.model.name).learns != "maps":
        yield Answer("starts", STARTS, "Not measured: this needs a network that emits maps.", "open")
        return
    yield compared(study, Asked("starts", STARTS, "as the run"), _starts(study, plan), deadline)


def _starts(study: Study, plan: Plan) -> list[Variant]:
    """Return the starts that the run did not have."""
    full = {"optim.freeze": "none", "lora.rank": 0}
    eased = plan.optim.name != "muon" and not plan.lora.rank
    faster = {"optim.lr": plan.optim.lr * (FINE_TUNED if eased else 1)}
    even = {"optim.backbone_lr": 1.0}
    begin = {} if plan.model.weights is None else {"settings": (f"model.weights={plan.model.weights}",)}
    data, same = (str(study.dataset.root),), same_time(study)
    found = [
        Variant(
            "random weights",
            {"model.pretrained": False, "model.weights": None, **full, **faster, **even},
            Cure("From random weights.", "train", data, {**same, "settings": ("model.pretrained=false",)}),
        )
    ]
    if plan.optim.freeze != "backbone":
        cure = Cure("The same start, with the backbone frozen.", "train", data, {**same, **begin, "freeze": "backbone"})
        found.append(Variant("backbone frozen", {**full, **even, "optim.freeze": "backbone"}, cure))
    if not plan.lora.rank:
        cure = Cure(
            "The same start, low-rank updates only (LoRA).", "train", data, {**same, **begin, "lora": str(RANK)}
        )
        found.append(Variant(f"low-rank updates (rank {RANK})", {**full, **faster, **even, "lora.rank": RANK}, cure))
    if plan.lora.rank or plan.optim.freeze != "none":
        cure = Cure("The same start, all weights.", "train", data, {**same, **begin, "freeze": "none"})
        found.append(Variant("all weights", full, cure))
    return found


def balance(study: Study, deadline: float) -> Iterator[Answer]:
    """Train with other class weights, crops and losses in the same time."""
    plan = study.plan
    groups = [group.name for group in study.predictor.card.channels]
    if plan is None or CLASS_GROUP not in groups or find_model(plan.model.name).learns != "maps":
        words = "Not measured: this needs the run of a network that emits maps of classes."
        yield Answer("balance", BALANCE, words, "open")
        return
    key = study.scores.headline
    found = {entry.name: entry.values[key].value for entry in study.scores.classes if key in entry.values}
    known = {name: value for name, value in found.items() if value is not None}
    weakest = min(known, key=lambda name: known[name]) if known else None
    yield compared(study, Asked("balance", BALANCE, "the plan", weakest), _balances(study, plan), deadline)


def _balances(study: Study, plan: Plan) -> list[Variant]:
    """Return the settings against imbalance that the plan does not have, and the plan without those that it has."""
    tried: list[tuple[str, dict[str, Any], str]] = []
    if plan.loss.class_weights is not None:
        tried.append(("no class weights", {"loss.class_weights": None}, "loss.class_weighting=none"))
    for share in (0.0, 0.75):
        if abs(plan.sampling.rare_share - share) > 0.2:
            name = f"{100 * share:.0f} % of the crops centred on rare classes" if share else "crops drawn at random"
            tried.append((name, {"sampling.rare_share": share}, f"sampling.rare_share={share:g}"))
    for name, terms in (
        ("focal and Dice loss", {"focal": 1.0, "dice": 1.0}),
        ("cross-entropy alone", {"cross_entropy": 1.0}),
        ("cross-entropy and Dice loss", {"cross_entropy": 1.0, "dice": 1.0}),
    ):
        if dict(plan.loss.terms) != terms and plan.task == "semantic":
            written = ", ".join(f"{key}: {value:g}" for key, value in terms.items())
            tried.append((name, {"loss.terms": terms}, f"loss.terms={{{written}}}"))
    data, same = (str(study.dataset.root),), same_time(study)
    return [
        Variant(name, changes, Cure(f"Trains with: {name}.", "train", data, {**same, "settings": (setting,)}))
        for name, changes, setting in tried
    ]
