"""The Python face: the verbs with keyword arguments, as `import maskwright as mw` offers them. Prints nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from maskwright.core.durations import parse_seconds
from maskwright.core.errors import unknown_name
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


class EvaluateOptions(TypedDict, total=False):
    """Further keywords of `evaluate`, which says what each means."""

    split: str
    crf: bool
    refit: bool
    read: ReadOptions | None
    device: str
    output_stride: int | None


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
        on_progress: told (images done, images in all).

    Raises:
        MaskwrightError: there is no such folder, or nothing in it that is known.
    """
    return inspecting.inspect(Path(data), read or ReadOptions(), SplitPlan(group_by=group_by), seed, on_progress)


def plan(data: StrPath, *, on_progress: OnProgress | None = None, **request: Any) -> Plan:
    """Decide everything about a training; `plan.reasons` says why.

    Args:
        data: folder (or file) of images and masks.
        on_progress: told (images done, images in all).
        **request: `budget` ("10m" or seconds), or any field of `workflows.request.PlanRequest`.

    Raises:
        MaskwrightError: the data cannot be trained on, or a setting is none.
    """
    return planning.make_plan(Path(data), _request(**request), on_progress).plan


def train(
    data: StrPath | None = None,
    *,
    out: StrPath | None = None,
    resume: StrPath | None = None,
    loggers: Sequence[str] = (),
    on_event: OnEvent | None = None,
    **request: Any,
) -> TrainResult:
    """Plan, train within the time given, and judge the result on held-out images.

    Args:
        data: folder (or file) of images and masks; not needed with `resume`.
        out: run folder to write; None for a new one below `runs/`.
        resume: go on with this run from its last checkpoint, by its own plan: of the rest only `device` may be given.
        loggers: `wandb`, beside CSV and TensorBoard.
        on_event: told how far the work is (`core.events`).
        **request: `budget` ("10m" or seconds), or any field of `workflows.request.PlanRequest`, e.g. `steps`,
            `model`, `from_run`, `settings=["optim.lr=3e-4"]`.

    Raises:
        MaskwrightError: the data cannot be trained on, a setting is none, or `out` cannot be written.
    """
    return training.train(
        None if data is None else Path(data),
        _request(**request),
        None if out is None else Path(out),
        resume=None if resume is None else Path(resume),
        loggers=tuple(loggers),
        on_event=on_event,
    )


def evaluate(
    run: StrPath,
    data: StrPath,
    *,
    out: StrPath | None = None,
    on_progress: OnProgress | None = None,
    **options: Unpack[EvaluateOptions],
) -> EvaluateResult:
    """Score a trained model on one part of a data set, and write a report.

    Args:
        run: run folder, or its `model.safetensors`.
        data: folder (or file) of images and masks.
        out: folder for `metrics-SPLIT.json` and `report-SPLIT.html`; None for the run folder.
        on_progress: told (images done, images in all).
        split: `train`, `val` or `test` (the default); `all` for every labelled image.
        crf: let a dense CRF follow the network, and compare. Where the model holds no parameters of it, they are
            fitted on validation images, and the model file is written anew to keep them.
        refit: with `crf`: fit them, also where the model holds some.
        read: how to read the data; as the training read its own, if left out.
        device: `auto` (the default), `cpu`, `cuda`, `cuda:N` or `mps`.
        output_stride: of the network, where that can be changed: 4, 8, 16 or 32.

    Raises:
        MaskwrightError: no model, no data, or classes that do not match.
    """
    _check_keywords(options, EvaluateRequest.__dataclass_fields__)
    request = EvaluateRequest(out=None if out is None else Path(out), **options)
    return evaluating.evaluate(Path(run), Path(data), request, on_progress)


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
        save: of `mask`, `overlay`, `probabilities`, `coco`, `coco-polygons`.
        device: `auto`, `cpu`, `cuda`, ...
        fast: bfloat16: about twice as fast where the processor has it; a few pixels differ.
        on_progress: told (images done, images in all); within a large image the first is a fraction, such as 2.25.

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


def load(run: StrPath, device: str = "auto", output_stride: int | None = None, *, crf: bool = False) -> Predictor:
    """Load a trained model: `mw.load(run).predict(array_or_path)`.

    Args:
        run: run folder, or its `model.safetensors`.
        device: `auto`, `cpu`, `cuda`, ...
        output_stride: of the network, where that can be changed (DeepLabV3: trained at 16, predicting at 8); None for
            the one that it was trained at.
        crf: let a dense CRF follow the network, with the parameters that the model holds, or else the usual ones.

    Raises:
        MaskwrightError: there is no model, or the file is cut, not ours or of a newer version.
    """
    return Predictor.load(run, device, output_stride=output_stride, crf=crf)


def _request(*, budget: str | float | None = None, settings: Sequence[str] = (), **fields: Any) -> PlanRequest:
    """Build the request from keyword arguments.

    Raises:
        MaskwrightError: a keyword that is no field of the request.
    """
    _check_keywords(fields, {"budget", *PlanRequest.__dataclass_fields__})
    if budget is not None:
        fields["budget_seconds"] = parse_seconds(budget)
    for name in ("plan_file", "from_run", "weights"):
        if isinstance(fields.get(name), str):
            fields[name] = Path(fields[name])
    return PlanRequest(settings=tuple(settings), **{"read": ReadOptions(), **fields})


def _check_keywords(names: Iterable[str], known: Collection[str]) -> None:
    """Refuse a keyword that is no field of the request.

    Raises:
        MaskwrightError: with the nearest known one.
    """
    for name in names:
        if name not in known:
            raise unknown_name("keyword here", name, known)
