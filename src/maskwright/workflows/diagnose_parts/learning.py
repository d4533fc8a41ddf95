"""Gradients and transfer: what the plan of a run chose, why, and how to compare it with the alternatives."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from maskwright.core.answers import Answer, Cure, Figure, Grid, Plot
from maskwright.core.text import percent, plural
from maskwright.diagnosis import fitting
from maskwright.report.curves import clipped, column

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.workflows.diagnose_parts.study import Study

NO_RUN = "Not measured: this model comes without the plan of its training. Give the folder of the run."


def gradients(study: Study) -> Answer:
    """Say what the plan chose about gradients, how long they were, and whether the loss jumped."""
    question = "Are clipping, accumulation or checkpointing of gradients needed?"
    plan = study.plan
    if plan is None:
        return Answer("gradients", question, NO_RUN, "open")
    losses = [value for row in study.history if (value := row.get("loss")) is not None]
    jumps = fitting.jumps(losses)
    clip = f"clips the norm of the gradient at {plan.optim.clip:g}" if plan.optim.clip else "does not clip gradients"
    parts = plan.optim.accumulate
    steps = f"adds up {parts} batches for a step" if parts > 1 else "makes a step of each batch"
    kept = "computes activations twice to save memory" if plan.train.gradient_checkpointing else "keeps activations"
    keys = ("optim.clip", "optim.accumulate", "train.gradient_checkpointing", "sampling.batch")
    rows = tuple((key, _value(plan, key), plan.reasons.get(key, "default")) for key in keys)
    calm = f"the loss of {plural(len(losses), 'recorded step')} {_jumped(jumps)}" if losses else "no loss is recorded"
    share = clipped(study.history)
    norms, plots = _norms(study.history)
    verdict = f"The run {clip}, {steps} and {kept}; {calm}. {_need(plan, share, norms)}"
    options = same_time(study) | {"settings": ("optim.clip=0",)}
    why = "The same training without clipping: if its loss does not jump and its score is no lower, it was not needed."
    figures = (Figure("jumps of the loss", float(jumps), unit="count"),) if losses else ()
    return Answer(
        "gradients",
        question,
        verdict,
        "warning" if jumps else "good" if share == 0 else "note" if norms else "open",
        figures=(*figures, *norms, *(() if share is None else (Figure("steps that were clipped", share),))),
        grids=(Grid("What the plan chose", ("setting", "value", "reason"), rows),),
        plots=plots,
        cures=(Cure(why, "train", (str(study.dataset.root),), options),) if plan.optim.clip and share != 0 else (),
        method="A jump is a step after which the smoothed loss is higher by half, or not a number. The norm of the "
        "gradient is that before clipping.",
    )


def _norms(history: list[dict[str, float | None]]) -> tuple[tuple[Figure, ...], tuple[Plot, ...]]:
    """Return the usual and the largest norm of the gradient, and both over the steps; nothing where none is known."""
    means, largest = column(history, "gradient"), column(history, "gradient_max")
    if not means:
        return (), ()
    usual, most = median(norm for _, norm in means), max(norm for _, norm in largest)
    figures = (Figure("usual norm of the gradient", usual, unit=""), Figure("largest norm", most, unit=""))
    lines = {"mean": tuple(means), "largest": tuple(largest)}
    if means == largest:  # each point is a single step
        lines = {"norm": tuple(means)}
    return figures, (Plot("Norm of the gradient before clipping", "step", "norm", lines, percent=False),)


def _need(plan: Plan, share: float | None, norms: tuple[Figure, ...]) -> str:
    """Say whether clipping was needed, as far as the norms tell."""
    if not norms:
        return (
            "This history holds no norms of gradients (an earlier version wrote it), so only a training without "
            "clipping shows whether clipping was needed."
        )
    long = f"The norm of its gradient was {norms[0]} as a rule and {norms[1]} at most"
    if not plan.optim.clip:
        return f"{long}."
    if share == 0:
        return f"{long}: no step was clipped, so the training would have been the same without clipping."
    return (
        f"{long}; {percent(share or 0.0)} of the steps were clipped. Only a training without clipping shows whether "
        "that was needed."
    )


def transfer(study: Study) -> Answer:
    """Say what the run started from, and name the question that compares other starts."""
    question = "Does transfer help?"
    plan = study.plan
    if plan is None:
        return Answer("transfer", question, NO_RUN, "open")
    if plan.model.weights is not None:
        start = f"the weights {plan.model.weights}"
    elif plan.model.pretrained:
        start = f"published weights of {plan.model.backbone}"
    else:
        start = "random weights"
    reason = plan.reasons.get("model.weights") or plan.reasons.get("model.pretrained") or ""
    trained = f"low-rank updates (rank {plan.lora.rank})" if plan.lora.rank else "all weights"
    if plan.optim.freeze != "none":
        trained += f" but for freezing ({plan.optim.freeze})"
    verdict = (
        f"The run started from {start} and trained {trained}. How other starts would do on this data was "
        "not measured here; short trainings show it."
    )
    cure = Cure(
        "Trains from other starts in the same time, and compares them.",
        "diagnose",
        (str(study.run), str(study.dataset.root)),
        {"question": ("starts",), "budget": "30m"},
    )
    return Answer(
        "transfer",
        question,
        verdict,
        "open",
        cures=(cure,),
        method=f"Why the plan chose this: {reason}." if reason else "",
    )


def longer(study: Study) -> Cure:
    """Train on from this model for twice the time."""
    options: dict[str, str | tuple[str, ...]] = {"from_run": str(study.run)}
    given = same_time(study)
    if "budget" in given:
        options["budget"] = f"{2 * int(given['budget'].removesuffix('s'))}s"
    else:
        options["steps"] = str(2 * int(given.get("steps", "1000")))
    return Cure("Trains on from this model for twice as long.", "train", (str(study.dataset.root),), options)


def same_time(study: Study) -> dict[str, str]:
    """Return the length of the run's training as options of another one."""
    if study.plan is None:
        return {}
    seconds = study.plan.train.budget_seconds
    return {"steps": str(study.plan.train.steps)} if seconds is None else {"budget": f"{round(seconds)}s"}


def _value(plan: Plan, key: str) -> str:
    section, _, name = key.partition(".")
    value = getattr(getattr(plan, section), name)
    return {True: "yes", False: "no"}.get(value, f"{value:g}") if isinstance(value, bool) else f"{value:g}"


def _jumped(jumps: int) -> str:
    return "never jumped" if not jumps else f"jumped {plural(jumps, 'time')}"
