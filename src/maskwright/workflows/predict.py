"""Predict: a model and images in, masks out. Prints nothing; the result says what was written and what failed."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.allocator import share_one_heap
from maskwright.core.errors import MaskwrightError
from maskwright.core.files import remove_leftovers
from maskwright.core.paths import is_remote
from maskwright.core.records import ImageRef
from maskwright.core.text import plural
from maskwright.inference import Predictor
from maskwright.inference.opening import AUTO
from maskwright.workflows.predict_parts.destinations import destination
from maskwright.workflows.predict_parts.here import predicted_here
from maskwright.workflows.predict_parts.journal import Done, setup_of
from maskwright.workflows.predict_parts.kinds import checked_kinds
from maskwright.workflows.predict_parts.object_stores import Copies, local_copies
from maskwright.workflows.predict_parts.rejection import NAME as TABLE
from maskwright.workflows.predict_parts.rejection import frames_of, rejected, write_table
from maskwright.workflows.predict_parts.results import Failure, PredictResult
from maskwright.workflows.predict_parts.sources import find_images
from maskwright.workflows.predict_parts.spread import Work, spread
from maskwright.workflows.predict_parts.videos import apart, check_options, predict_video
from maskwright.workflows.predict_parts.writing import Writing
from maskwright.workflows.runs.finished import unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import PurePosixPath

    from maskwright.core.events import OnShare
    from maskwright.core.reject import Reject
    from maskwright.inference.opening import Loaded
    from maskwright.workflows.predict_parts.destinations import Folder
    from maskwright.workflows.predict_parts.journal import Journal
    from maskwright.workflows.predict_parts.pictures import Picture
    from maskwright.workflows.predict_parts.results import PredictedVideo
    from maskwright.workflows.predict_parts.spread import Outcome
    from maskwright.workflows.predict_parts.videos import Clip, VideoJob
    from maskwright.workflows.predict_request import PredictRequest


_STORED = "images are read and masks are written as pixels are stored, without EXIF orientation, as in the training"


def opened(
    run: str | Path,
    device: str = "auto",
    *,
    fast: bool = False,
    output_stride: int | None = None,
    postprocess: str | None = None,
    engine: str | None = None,
) -> tuple[Predictor, tuple[str, ...]]:
    """Load a model as `Predictor.load` does, with notes if its run is not finished or its postprocessor not fitted.

    Raises:
        MaskwrightError: no usable model, no such device, or a stride that the model cannot have.
    """
    predictor = Predictor.load(
        run, device, fast=fast, output_stride=output_stride, postprocess=postprocess, engine=engine
    )
    left = unfinished(Path(run))
    notes = () if left is None else (left,)
    follows = predictor.postprocessor
    if follows is None or postprocess is None or getattr(predictor.card.postprocess, postprocess) is not None:
        return predictor, notes
    return predictor, (
        *notes,
        f"the model has no settings of the {follows.label}, so the defaults are used ({follows.describe()}): "
        f"`maskwright evaluate RUN DATA --postprocess {postprocess}` fits them, or finds that none are better",
    )


def predict(
    run_or_bundle: str | Path | Predictor,
    sources: Sequence[str | Path | Picture],
    out: str | Path,
    request: PredictRequest,
    on_progress: OnShare | None = None,
    on_note: Callable[[str], None] | None = None,
) -> PredictResult:
    """Predict images and write the results below `out`.

    Args:
        run_or_bundle: folder of a run, or a model file; or a loaded model, which keeps its device and precision.
        sources: image files, folders (searched recursively) and globs, also on S3; lists, videos and pictures.
        out: folder for the results, also on S3: `masks/`, `overlays/`, `predictions.json`, ... Results keep the paths
            of their images below the sources.
        request: what to write, and how.
        on_progress: called with (images done, images in all); the first number may be a fraction: 2.25 means that a
            quarter of the third image is done.
        on_note: called before the first image, with what the user may want to stop for.

    Returns:
        What was written. An image that cannot be read or does not fit the model is reported there; the others are
        predicted.

    Raises:
        MaskwrightError: no usable model, no image, an unknown kind, an existing file that maskwright did not write, or
            a folder that cannot be written.
    """
    share_one_heap()  # before there are threads
    predictor, said = run_or_bundle, tuple[str, ...]()
    if not isinstance(predictor, Predictor):
        predictor, said = opened(predictor, request.device, fast=request.fast)
    predictor = predictor.with_flip(request.flip)
    checked_kinds(request, predictor.task.writers)
    with destination(out, request) as place:
        if any(is_remote(source) for source in sources):
            with local_copies(sources, request.level) as copies:
                result = _predict(predictor, copies, place, request, on_progress, on_note)
            result = copies.named(result)
        else:
            result = _predict(predictor, Copies(Path(), sources), place, request, on_progress, on_note)
        if request.rejection is not None:  # after images of a store have their names again: the table lists them
            result = _judged(result, request.rejection, place.folder)
        place.end(result.outputs)
        return place.named(replace(result, notes=(*said, *result.notes)))


def _predict(
    predictor: Predictor,
    copies: Copies,
    place: Folder,
    request: PredictRequest,
    on_progress: OnShare | None,
    on_note: Callable[[str], None] | None,
) -> PredictResult:
    """Predict images of this machine; see `predict`."""
    kinds = checked_kinds(request, predictor.task.writers)
    found, missing, notes = find_images(copies.sources, predictor.card.data.channels)
    if not found:
        raise MaskwrightError("; ".join(reason for _, reason in missing) or "no image was given to predict")
    pictures, clips = apart([copies.with_origin(picture) for picture in found])
    check_options(request, clips, predictor.card)
    judged = request.reject is not None
    writing = Writing(predictor, place.folder, kinds, request.scale, request.level, judged=judged)
    files = [file for clip in clips for path in clip.files(writing.out, kinds).values() for file in place.within(path)]
    others = files if request.reject is None else [*files, writing.out / TABLE]
    place.make_room(
        [*(file for each in pictures for file in writing.files(each).values()), *others, *writing.collectors]
    )
    kept = len(pictures) > 1 and all(picture.given is None for picture in pictures)
    journal = _journal(writing, place, request, on_note) if kept else None
    report = on_progress or (lambda _done, _total: None)
    steps = _Steps(writing, place, journal)
    outcomes = _outcomes(pictures, steps, request, lambda done, _: report(done, len(found)))
    failures = [*(Failure(*each) for each in missing), *(each for each in outcomes if isinstance(each, Failure))]
    finished = [outcome for outcome in outcomes if isinstance(outcome, Done)]
    entries = [done.entries for done in finished]
    jobs = [(clip, writing.video_job(clip, request, entries)) for clip in clips]
    videos, broken = _videos(jobs, place, lambda done: report(len(pictures) + done, len(found)))
    failures += broken
    outputs = [file for done in finished for file in done.predicted.files.values()]
    outputs += [*(file for video in videos for file in video.files.values()), *writing.finish(entries)]
    notes += (*_remarks(finished), *(() if predictor.card.upright else (_STORED,)))
    return PredictResult(tuple(outputs), failures, tuple(done.predicted for done in finished), notes, tuple(videos))


def _remarks(finished: Sequence[Done]) -> Iterator[str]:
    """Say how images were predicted, once what is said of several."""
    images = defaultdict[str, list[ImageRef]](list)
    for done in finished:
        for said in done.notes:
            images[said].append(ImageRef(done.predicted.source, done.predicted.page))
    for said, of in images.items():
        others = f" and {plural(len(of) - 1, 'other image')}" if len(of) > 1 else ""
        yield f"{of[0]}{others}: {said}"


def _judged(result: PredictResult, rule: Reject, out: Path) -> PredictResult:
    """Return the result with the images that a rule rejects, and the table of all."""
    judged = (*result.images, *(frame for video in result.videos for frame in frames_of(video)))
    marked = rejected(rule, judged)
    table = write_table(out, judged, marked)
    unknown = sum(image.risk is None for image in judged)
    notes = result.notes
    if unknown:
        notes += (
            f"{unknown} of {len(judged)} images and frames have no risk, so `reject` does not judge them: a network of "
            "objects found none in them, or they are scans that were predicted before without `reject`",
        )
    return replace(result, outputs=(*result.outputs, table), rejected=marked, notes=notes)


def _videos(
    jobs: Sequence[tuple[Clip, VideoJob]], place: Folder, on_done: Callable[[float], None]
) -> tuple[list[PredictedVideo], list[Failure]]:
    """Predict one video after the other; `on_done` gets how many are done, as a fraction within one."""
    found, failures = [], []
    for number, (clip, job) in enumerate(jobs):
        video, reasons = predict_video(clip, job, partial(_within, on_done, number))
        found += [] if video is None else [video]
        failures += [Failure(clip.path, reason) for reason in reasons]
        place.take()
        on_done(number + 1)
    return found, failures


def _within(on_done: Callable[[float], None], number: int, share: float) -> None:
    on_done(number + share)


class _Steps(NamedTuple):
    """What each image goes through: it is predicted, its results go to their place, and the journal says so."""

    writing: Writing
    place: Folder
    journal: Journal | None


def _outcomes(
    pictures: Sequence[Picture], steps: _Steps, request: PredictRequest, report: OnShare
) -> list[Done | Failure]:
    """Return what became of each image: of those in the journal, what it says."""
    writing, place, journal = steps
    known = {} if journal is None else {each.name: done for each in pictures if (done := journal.finished(each))}
    found: dict[PurePosixPath, Done | Failure] = dict(known)
    left = [picture for picture in pictures if picture.name not in known]
    if request.resume:
        remove_leftovers(file for picture in left for file in writing.files(picture).values())
    report(len(known), len(pictures))
    if request.on is None:
        outcomes = predicted_here(left, writing, place, lambda share: report(len(found) + share, len(pictures)))
    else:
        outcomes = _on_ray(left, writing)
    with closing(outcomes):  # nothing goes on behind an error
        for picture, outcome in outcomes:
            found[picture.name] = outcome
            place.take()
            if journal is not None and isinstance(outcome, Done):
                journal.add(picture, outcome)
            report(len(found), len(pictures))
    return [found[picture.name] for picture in pictures]


def _on_ray(pictures: Sequence[Picture], writing: Writing) -> Generator[Outcome]:
    """Predict images elsewhere, where only whole paths are known."""
    loaded, out = _loaded(writing.predictor, "on"), writing.out.absolute()
    work = Work(Writing.prepared, (loaded, out, tuple(writing.kinds), writing.scale, writing.level, writing.judged))
    there = {each.name: replace(each, image=each.image.absolute()) for each in pictures}
    here = {picture.name: picture for picture in pictures}
    for picture, outcome in spread(work, list(there.values()), gpu=loaded.device != "cpu"):
        own = here[picture.name]
        if isinstance(outcome, Failure):
            yield own, outcome._replace(path=own.image.path)
        else:
            predicted = replace(outcome.predicted, source=own.image.path, files=writing.files(own))
            yield own, outcome._replace(predicted=predicted)


def _journal(
    writing: Writing, place: Folder, request: PredictRequest, on_note: Callable[[str], None] | None
) -> Journal | None:
    """Open the journal; a model that only this process knows has none."""
    predictor = writing.predictor
    if predictor.loaded is None and not request.resume:
        return None
    setup = setup_of(_loaded(predictor, "resume"), request, writing.kinds)
    journal = place.journal(setup, resume=request.resume)
    if journal.repeated and on_note is not None:
        images = plural(journal.repeated, "image")
        on_note(
            f"an interrupted prediction with the same model and options finished {images} in this folder. All images "
            "are predicted again: to keep the finished ones, stop, and give the same command with `resume`"
        )
    return journal


def _loaded(predictor: Predictor, key: str) -> Loaded:
    """Return how another process loads the same model.

    Raises:
        MaskwrightError: it cannot.
    """
    if predictor.loaded is None:
        raise MaskwrightError(f"`{key}` needs a model from a file, and this one was changed in memory: save it", key)
    if predictor.loaded.engine == AUTO and key == "on":
        raise MaskwrightError("`on` needs one engine for all machines, and `engine` is auto: name the engine", "engine")
    return predictor.loaded
