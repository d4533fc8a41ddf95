"""The Python face: the verbs with keyword arguments, as `import maskwright as mw` offers them. Prints nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.plan import SplitPlan
from maskwright.data.formats import ReadOptions
from maskwright.inference.predictor import Predictor
from maskwright.workflows import evaluate as evaluating
from maskwright.workflows import import_ as importing
from maskwright.workflows import inspect as inspecting
from maskwright.workflows import plan as planning
from maskwright.workflows import predict as predicting
from maskwright.workflows import train as training
from maskwright.workflows.request import EvaluateRequest, PlanRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from maskwright.core.events import OnEvent, OnProgress, OnShare
    from maskwright.core.fingerprint import Fingerprint
    from maskwright.core.plan import Plan
    from maskwright.workflows.evaluate_parts.evaluation import EvaluateResult
    from maskwright.workflows.import_ import ImportResult
    from maskwright.workflows.predict import PredictResult
    from maskwright.workflows.train import TrainResult

StrPath = str | Path


def inspect(
    data: StrPath,
    *,
    read: ReadOptions | None = None,
    group_by: str | None = None,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Fingerprint:
    """Measure a data set and find its faults.

    Args:
        data: folder (or file) of images and masks.
        read: how to read it, where recognising it by itself would be wrong.
        group_by: regular expression on the file name; what it captures is never split.
        seed: of the split.
        on_progress: called with (images done, images in all).

    Raises:
        MaskwrightError: there is no such folder, or nothing in it that is known.
    """
    return inspecting.inspect(Path(data), read or ReadOptions(), SplitPlan(group_by=group_by), seed, on_progress)


def plan(
    data: StrPath, request: PlanRequest | None = None, *, on_progress: OnProgress | None = None, **fields: Any
) -> Plan:
    """Decide everything about a training; `plan.reasons` says why.

    Args:
        data: folder (or file) of images and masks.
        request: what you want of the training; None for one made of `fields`.
        on_progress: called with (images done, images in all).
        **fields: of a `PlanRequest`, instead of `request`: `budget="10m"`, `model="unet"`.

    Raises:
        MaskwrightError: the data cannot be trained on, or a value breaks its rule.
    """
    return planning.make_plan(Path(data), _request(request, fields), on_progress).plan


def train(
    data: StrPath | None = None,
    request: PlanRequest | None = None,
    *,
    out: StrPath | None = None,
    resume: StrPath | None = None,
    log: Sequence[str] = (),
    on_event: OnEvent | None = None,
    **fields: Any,
) -> TrainResult:
    """Plan, train within the time given, and score the result on held-out images.

    Args:
        data: folder (or file) of images and masks; not needed with `resume`.
        request: what you want of the training; None for one made of `fields`.
        out: run folder to write; None for a new one below `runs/`.
        resume: continue this run from its last checkpoint, by its own plan: of the rest only `device` may be given.
        log: `wandb`, in addition to CSV and TensorBoard.
        on_event: called with progress and notes (`core.events`).
        **fields: of a `PlanRequest`, instead of `request`: `budget="10m"`, `steps=200`, `settings=["optim.lr=3e-4"]`.

    Raises:
        MaskwrightError: the data cannot be trained on, a value breaks its rule, or `out` cannot be written.
    """
    return training.train(
        None if data is None else Path(data),
        _request(request, fields),
        None if out is None else Path(out),
        resume=None if resume is None else Path(resume),
        log=tuple(log),
        on_event=on_event,
    )


def evaluate(
    run: StrPath,
    data: StrPath,
    request: EvaluateRequest | None = None,
    *,
    on_progress: OnProgress | None = None,
    **fields: Any,
) -> EvaluateResult:
    """Score a trained model on one split of a data set, and write a report.

    Args:
        run: run folder, or its `model.safetensors`.
        data: folder (or file) of images and masks.
        request: how to evaluate; None for one made of `fields`.
        on_progress: called with (images done, images in all).
        **fields: of an `EvaluateRequest`, instead of `request`: `split="all"`, `postprocess="crf"`.

    Raises:
        MaskwrightError: no model, no data, or classes that do not match.
    """
    _check_keywords(fields, EvaluateRequest.__dataclass_fields__)
    if isinstance(fields.get("out"), str):
        fields["out"] = Path(fields["out"])
    return evaluating.evaluate(Path(run), Path(data), request or EvaluateRequest(**fields), on_progress)


def predict(
    run: StrPath | Predictor,
    sources: StrPath | Sequence[StrPath],
    *,
    out: StrPath = "predictions",
    save: Sequence[str] = ("mask",),
    device: str = "auto",
    fast: bool = False,
    on_progress: OnShare | None = None,
) -> PredictResult:
    """Write masks for images; a file that cannot be read is listed in `failures`, and the rest go on.

    Args:
        run: run folder, or its `model.safetensors`, or what `load` returned.
        sources: images, folders or globs.
        out: folder for what is written.
        save: kinds of files; of label maps `mask`, `overlay`, `probabilities`, `coco`, `coco-polygons`.
        device: `auto`, `cpu`, `cuda`, ...
        fast: bfloat16: about twice as fast where the processor has it; a few pixels differ.
        on_progress: called with (images done, images in all); within a large image 2.25 is a quarter of the third.

    Raises:
        MaskwrightError: no model, no image, or `out` cannot be written.
    """
    several = [sources] if isinstance(sources, str | Path) else list(sources)
    return predicting.predict(
        run if isinstance(run, Predictor) else Path(run),
        [str(source) for source in several],
        Path(out),
        save=tuple(save),
        device=device,
        fast=fast,
        on_progress=on_progress,
    )


def import_model(
    source: str,
    out: StrPath = "model.safetensors",
    *,
    weights: StrPath | None = None,
    classes: Sequence[str] | str | None = None,
) -> ImportResult:
    """Turn another library's weights into a model file; `mw.load` and `mw.predict` take it.

    Args:
        source: `torchvision:NAME`, `smp:REPOSITORY` or `transformers:REPOSITORY`; a folder stands for a repository.
        out: file to write.
        weights: file of safetensors or `torch.save` in that library's names; None for the published ones.
        classes: names in the order of the weights, also as one text with commas; None for the source's own.

    Raises:
        MaskwrightError: an unknown source, one without a counterpart here, weights that are out of reach or do not
            fit, or a file that cannot be written.
    """
    if isinstance(classes, str):  # as the command line takes them
        classes = [name.strip() for name in classes.split(",")]
    return importing.import_model(
        source, Path(out), weights=None if weights is None else Path(weights), classes=classes
    )


def load(
    run: StrPath, device: str = "auto", output_stride: int | None = None, *, postprocess: str | None = None
) -> Predictor:
    """Load a trained model: `mw.load(run).predict(array_or_path)`.

    Args:
        run: run folder, or its `model.safetensors`.
        device: `auto`, `cpu`, `cuda`, ...
        output_stride: of the network, where that can be changed (DeepLabV3: trained at 16, predicting at 8); None for
            the one that it was trained at.
        postprocess: what shall follow the network, `crf` for the dense CRF, with the settings that the model holds or
            else the default ones.

    Raises:
        MaskwrightError: there is no model, or the file is cut off, not ours or of another version.
    """
    return Predictor.load(run, device, output_stride=output_stride, postprocess=postprocess)


def _request(request: PlanRequest | None, fields: dict[str, Any]) -> PlanRequest:
    """Return the request given, or build it from keyword arguments.

    Raises:
        MaskwrightError: both, or a keyword that is no field of the request.
    """
    _check_keywords(fields, PlanRequest.__dataclass_fields__)
    if request is not None and fields:
        raise MaskwrightError(f"both a request and {min(fields)} are given: put it into the request")
    return request or PlanRequest(**fields)


def _check_keywords(names: Iterable[str], known: Collection[str]) -> None:
    """Refuse a keyword that is no field of the request.

    Raises:
        MaskwrightError: with the nearest known one.
    """
    for name in names:
        if name not in known:
            raise unknown_name("keyword", name, known)
