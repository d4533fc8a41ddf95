"""Which trainings are compared: other starts (transfer), and other losses and crops (imbalance)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.answers import Answer, Cure
from maskwright.core.channels import CLASS_GROUP
from maskwright.core.plan_file import overridden
from maskwright.core.plan_schema import in_yaml
from maskwright.models.catalog import find_model
from maskwright.planning.planner import learnt_by_rule
from maskwright.workflows.diagnose_parts.learning import same_time
from maskwright.workflows.diagnose_parts.variants import Asked, Variant, compared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from maskwright.core.plan import Plan
    from maskwright.workflows.diagnose_parts.study import Study

RANK = 8
RANDOM = "random weights"
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
    asked = Asked("starts", STARTS, "as the run", helpful="those of the run", without=RANDOM)
    yield compared(study, asked, _starts(study, plan), deadline)


def _starts(study: Study, plan: Plan) -> list[Variant]:
    """Return the starts that the run did not have."""
    full = {"optim.freeze": "none", "lora.rank": 0}
    tried = {RANDOM: {"model.pretrained": False, "model.weights": None, **full}}
    if plan.optim.freeze != "backbone":
        tried["backbone frozen"] = {**full, "optim.freeze": "backbone"}
    if not plan.lora.rank:
        tried[f"low-rank updates (rank {RANK})"] = {**full, "lora.rank": RANK}
    if plan.lora.rank or plan.optim.freeze != "none":
        tried["all weights"] = full
    return [_variant(study, name, relearnt(plan, changes)) for name, changes in tried.items()]


def relearnt(plan: Plan, changes: dict[str, Any]) -> dict[str, Any]:
    """Return changes of a start together with the optimiser and learning rates that the planner would choose for it.

    An optimiser that the planner did not choose stays, and a learning rate that it did not choose is multiplied by as
    much as its own would be.
    """
    usual = learnt_by_rule(plan, frozenset())
    pins = frozenset({"optim.name"}) if plan.optim.name != usual.name else frozenset[str]()
    before = learnt_by_rule(plan, pins)
    start = overridden(plan, (), {**changes, "optim.backbone_lr": 1.0})
    after = learnt_by_rule(start, pins)
    trained = start.optim.freeze != "backbone" and (start.model.pretrained or start.model.weights is not None)
    kept = trained and plan.optim.backbone_lr != before.backbone_lr
    wanted = {
        "optim.name": after.name,
        "optim.lr": round(plan.optim.lr * after.lr / before.lr, 6),
        "optim.backbone_lr": plan.optim.backbone_lr if kept else after.backbone_lr,
    }
    now = plan.model_dump()
    every = {**changes, **wanted}
    return {key: value for key, value in every.items() if value != now[key.split(".")[0]][key.split(".")[1]]}


def _variant(study: Study, name: str, changes: dict[str, Any]) -> Variant:
    """Return a variant with the command that trains it: the plan of the run, and what differs."""
    settings = tuple(f"{key}={in_yaml(value)}" for key, value in changes.items())
    options: dict[str, str | tuple[str, ...]] = {"plan_file": str(study.home), **same_time(study), "settings": settings}
    return Variant(name, changes, Cure(f"Trains with: {name}.", "train", (str(study.dataset.root),), options))


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
    tried: dict[str, dict[str, Any]] = {}
    if plan.loss.class_weights is not None:
        tried["no class weights"] = {"loss.class_weights": None}
    for share in (0.0, 0.75):
        if abs(plan.sampling.rare_share - share) > 0.2:
            name = f"{100 * share:.0f} % of the crops centred on rare classes" if share else "crops drawn at random"
            tried[name] = {"sampling.rare_share": share}
    for name, terms in (
        ("focal and Dice loss", {"focal": 1.0, "dice": 1.0}),
        ("cross-entropy alone", {"cross_entropy": 1.0}),
        ("cross-entropy and Dice loss", {"cross_entropy": 1.0, "dice": 1.0}),
    ):
        if dict(plan.loss.terms) != terms and plan.task == "semantic":
            tried[name] = {"loss.terms": terms}
    return [_variant(study, name, changes) for name, changes in tried.items()]
