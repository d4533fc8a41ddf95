"""The Python API: the verbs as functions, exported by `import maskwright as mw`. Prints nothing.

Each imports what it does when it is called: a prediction need not load what trains, which takes seconds.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from maskwright.core.keywords import request_of
from maskwright.core.paths import path_of
from maskwright.core.plan import SplitPlan
from maskwright.inference.predictor import Predictor
from maskwright.workflows.compress_request import CompressRequest
from maskwright.workflows.export_request import ExportRequest
from maskwright.workflows.predict_parts.pictures import with_names
from maskwright.workflows.predict_request import PredictRequest
from maskwright.workflows.request import EvaluateRequest, PlanRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.events import OnEvent, OnProgress, OnShare
    from maskwright.core.fingerprint import Fingerprint
    from maskwright.core.plan import Plan
    from maskwright.core.read_options import ReadOptions
    from maskwright.workflows.compress import CompressResult
    from maskwright.workflows.evaluate_parts.evaluation import EvaluateResult
    from maskwright.workflows.export import ExportResult
    from maskwright.workflows.import_ import ImportResult
    from maskwright.workflows.predict_parts.results import PredictResult
    from maskwright.workflows.train import TrainResult

StrPath = str | Path
Image = StrPath | NDArray[Any]
IMAGES = "a folder (or file) of images and masks"
MODEL = "the folder of a run, or a model file"


def inspect(
    data: StrPath,
    *,
    read: ReadOptions | None = None,
    group_by: str | None = None,
    seed: int = 0,
    task: str | None = None,
    on_progress: OnProgress | None = None,
) -> Fingerprint:
    """Measure a data set and find its faults.

    Args:
        data: folder (or file) of images and masks.
        read: how to read it, if it would not be recognised correctly.
        group_by: regular expression on the file name; images with the same match stay in one split.
        seed: of the split.
        task: what the masks mean; None for classes.
        on_progress: called with (images done, images in all).

    Raises:
        MaskwrightError: there is no such folder, or no known layout in it.
    """
    from maskwright.workflows import inspect as inspecting

    return inspecting.inspect(
        path_of(data, "data", IMAGES), read, SplitPlan(group_by=group_by), seed, on_progress, task
    )


def plan(
    data: StrPath, request: PlanRequest | None = None, *, on_progress: OnProgress | None = None, **fields: Any
) -> Plan:
    """Decide everything about a training; `plan.reasons` has the reasons.

    Args:
        data: folder (or file) of images and masks.
        request: what you want of the training; None for one made of `fields`.
        on_progress: called with (images done, images in all).
        **fields: of a `PlanRequest`, instead of `request`: `budget="10m"`, `model="unet"`.

    Raises:
        MaskwrightError: the data cannot be trained on, or a value breaks its rule.
    """
    from maskwright.workflows import plan as planning

    return planning.make_plan(path_of(data, "data", IMAGES), request_of(PlanRequest, request, fields), on_progress).plan


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
        resume: continue this run from its last checkpoint, with its own plan; only `device` may be given too.
        log: `wandb`, in addition to CSV and TensorBoard.
        on_event: called with progress and notes (`core.events`).
        **fields: of a `PlanRequest`, instead of `request`: `budget="10m"`, `steps=200`, `settings=["optim.lr=3e-4"]`.

    Raises:
        MaskwrightError: the data cannot be trained on, a value breaks its rule, or `out` cannot be written.
    """
    wanted = request_of(PlanRequest, request, fields)
    if wanted.started is None:  # the import belongs to the budget
        wanted = replace(wanted, started=time.monotonic())
    from maskwright.workflows import train as training

    return training.train(
        None if data is None else path_of(data, "data", IMAGES),
        wanted,
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
    from maskwright.workflows import evaluate as evaluating

    model, images = path_of(run, "run", MODEL), path_of(data, "data", IMAGES)
    return evaluating.evaluate(model, images, request_of(EvaluateRequest, request, fields), on_progress)


def predict(
    run: StrPath | Predictor,
    sources: Image | Sequence[Image],
    request: PredictRequest | None = None,
    *,
    out: StrPath = "predictions",
    on_progress: OnShare | None = None,
    **fields: Any,
) -> PredictResult:
    """Write masks for images; a file that cannot be read is listed in `failures`, and the rest go on.

    Args:
        run: run folder, or its `model.safetensors`, or what `load` returned.
        sources: images, folders, globs or lists; or arrays (H, W) or (H, W, C), whose results follow those
            of files, and are called `array-1`, `array-2`, ... by their places among the sources.
        request: what to write and how; None for one made of `fields`.
        out: folder for what is written, also on S3.
        on_progress: called with (images done, images in all); 2.25 means a quarter of the third image is done.
        **fields: of a `PredictRequest`, instead of `request`: `save=["mask", "overlay"]`, `device="cpu"`.

    Raises:
        MaskwrightError: no model, no image, a value that breaks its rule, or `out` cannot be written.
    """
    from maskwright.workflows import predict as predicting

    return predicting.predict(
        run if isinstance(run, Predictor) else path_of(run, "run", MODEL),
        with_names(sources),
        out,
        request_of(PredictRequest, request, fields),
        on_progress,
    )


def export(
    run: StrPath, request: ExportRequest | None = None, *, on_event: OnEvent | None = None, **fields: Any
) -> ExportResult:
    """Write a trained model for another runtime, if it agrees with the model on held-out images.

    Args:
        run: run folder.
        request: what to write; None for one made of `fields`.
        on_event: called with progress.
        **fields: of an `ExportRequest`, instead of `request`: `to="openvino"`, `int8=True`.

    Raises:
        MaskwrightError: no model, no held-out images, a network that cannot be exported, a missing package, or an
            export that does not agree with the model. Nothing is written then.
    """
    from maskwright.workflows import export as exporting

    return exporting.export(path_of(run, "run", MODEL), request_of(ExportRequest, request, fields), on_event)


def compress(
    run: StrPath, request: CompressRequest | None = None, *, on_event: OnEvent | None = None, **fields: Any
) -> CompressResult:
    """Train a narrower model of the same architecture, taught by the maps of a trained one, and compare the two.

    Args:
        run: run folder of the trained model.
        request: how narrow, and how long to train; None for one made of `fields`.
        on_event: called with progress and notes.
        **fields: of a `CompressRequest`, instead of `request`: `target="0.5x"`, `budget="10m"`.

    Raises:
        MaskwrightError: no finished run, a model that cannot teach or be narrowed, or a training that is refused.
    """
    from maskwright.workflows import compress as compressing

    return compressing.compress(path_of(run, "run", MODEL), request_of(CompressRequest, request, fields), on_event)


def import_model(
    source: str,
    out: StrPath = "model.safetensors",
    *,
    weights: StrPath | None = None,
    classes: Sequence[str] | str | None = None,
    task: str | None = None,
    things: Sequence[str] | str | None = None,
) -> ImportResult:
    """Convert the weights of another library to a model file, for `mw.load` and `mw.predict`.

    Args:
        source: `torchvision:NAME`, `smp:REPOSITORY` or `transformers:REPOSITORY`; REPOSITORY may be a local folder.
        out: file to write.
        weights: file of that library, safetensors or `torch.save`; None for the published weights.
        classes: names in the order of the weights, also as one comma-separated text; None for those of the source.
        task: that the network shall serve, if it can serve several, such as `instance`; None for its usual one.
        things: names of the classes that have objects, as `classes`; for the task `panoptic`.

    Raises:
        MaskwrightError: an unknown source, a network that maskwright does not have, weights that are unavailable or do
            not fit, or a file that cannot be written.
    """
    from maskwright.workflows import import_ as importing

    # A text, as the command line takes them.
    names, objects = (
        [name.strip() for name in given.split(",")] if isinstance(given, str) else given for given in (classes, things)
    )
    file = None if weights is None else Path(weights)
    return importing.import_model(source, Path(out), weights=file, classes=names, task=task, things=objects)


def load(
    run: StrPath,
    device: str = "auto",
    output_stride: int | None = None,
    *,
    postprocess: str | None = None,
    engine: str | None = None,
) -> Predictor:
    """Load a trained model: `mw.load(run).predict(array_or_path)`.

    Args:
        run: run folder, or its `model.safetensors`, or an export.
        device: `auto`, `cpu`, `cuda`, ...
        output_stride: of the network, if it can be changed (DeepLabV3: trained at 16, predicting at 8); None for the
            stride that it was trained at.
        postprocess: name in `postprocess.POSTPROCESSORS` of what follows the network, with the settings in the model or
            else the defaults.
        engine: `torch`; `onnx` or `openvino`, for an export; `auto` for the fastest on this machine that the run has;
            None for that of the file.

    Raises:
        MaskwrightError: there is no model, or the file is truncated, from another program or from another version.
    """
    file = path_of(run, "run", MODEL)
    return Predictor.load(file, device, output_stride=output_stride, postprocess=postprocess, engine=engine)
