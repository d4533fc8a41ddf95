"""Plan a training that starts from weights: which they are, and what is taken over along with them. Loads none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan_file import validated
from maskwright.models import bundle
from maskwright.models.transfer import check_channels
from maskwright.models.weights import is_whole_model
from maskwright.workflows.run import MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.plan import Plan


def start_from(run: Path, settings: Sequence[str], base: Plan, pins: set[str]) -> None:
    """Put into `base`, and into its pins, the model of another run as the starting weights.

    The path is written down in full, so that the training resumes from any folder.

    Raises:
        MaskwrightError: it is no model of ours, or other weights are asked for too.
    """
    rivals = {"model.weights", "model.pretrained"} & {setting.partition("=")[0].strip() for setting in settings}
    if rivals:
        raise MaskwrightError(f"--from {run} and --set {min(rivals)} each say what to start from: keep one of them")
    path = run / MODEL if run.is_dir() else run
    if not path.exists():
        raise MaskwrightError(
            f"--from {run}: there is no {path}. Name the folder of a training that has ended, or a {MODEL}"
        )
    card = bundle.read_card(path)
    base.model.weights = str(path.resolve())
    base.model.pretrained = False
    classes = ", ".join(card.classes.names[:3]) + (", ..." if len(card.classes.names) > 3 else "")
    base.reasons["model.weights"] = f"weights from {run}, which tells {len(card.classes.names)} classes ({classes})"
    pins |= {"model.weights", "model.pretrained"}


def like_its_weights(plan: Plan, pins: set[str]) -> tuple[Plan, frozenset[str]]:
    """Take over from the bundle that a training starts from what the user did not choose otherwise.

    That is the architecture and the normalisation, and the optimiser that such models are trained by: Muon, where
    published weights get AdamW. The range of values and the resolution belong to the new images,
    and are planned from them.

    Raises:
        MaskwrightError: the file of weights cannot be read, or is for images of other channels.
    """
    path = None if plan.model.weights is None else Path(plan.model.weights)
    if path is None or not is_whole_model(path):
        return plan, frozenset(pins)
    card = bundle.read_card(path)
    if "data.channels" in pins:
        check_channels(card, plan.data.channels, str(path))
    values = plan.model_dump(mode="json")
    taken = {
        **{f"model.{key}": getattr(card.model, key) for key in ("name", "backbone", "options")},
        **{f"data.{key}": getattr(card.data, key) for key in ("channels", "mean", "std")},
    }
    why = dict.fromkeys(taken, f"as in {path}")
    taken["optim.name"] = "muon"
    why["optim.name"] = "on from a model of ours it learns faster than AdamW: 70.9 against 58.7 (docs/benchmarks.md)"
    if plan.lora.rank and ("model.name" not in pins or plan.model.name == card.model.name):
        taken["lora.decoder"] = True
        why["lora.decoder"] = "the decoder starts from weights that know something too"
    for key, value in taken.items():
        if not any(f"{pin}.".startswith(f"{key}.") for pin in pins):
            section, name = key.split(".")
            values[section][name] = value
            values["reasons"][key] = why[key]
            pins.add(key)
    return validated(values, str(path)), frozenset(pins)


def check(plan: Plan) -> None:
    """Refuse to leave weights as they are that nobody has trained.

    Raises:
        MaskwrightError: a frozen backbone or LoRA, from scratch.
    """
    if plan.model.pretrained or plan.model.weights:
        return
    for key, asked in (("optim.freeze", plan.optim.freeze != "none"), ("lora.rank", plan.lora.rank > 0)):
        if asked:
            raise MaskwrightError(
                f"{key} leaves weights as they are, and here they would be random: start from a model with --from RUN, "
                "from a backbone's weights with --set model.weights=FILE, or leave it out"
            )
