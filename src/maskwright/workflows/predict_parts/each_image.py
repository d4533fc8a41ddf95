"""Files from each of several images, by a function of one image. Knows no model, and loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from maskwright.core.errors import MaskwrightError, out_of_memory, unknown_name
from maskwright.data.readers.video import VIDEO_SUFFIXES, camera_number
from maskwright.workflows.predict_parts.pictures import with_names
from maskwright.workflows.predict_parts.results import (
    Failure,
    Predicted,
    PredictResult,
    Unusable,
    check_names,
    kind_names,
    make_room,
    unusable,
)
from maskwright.workflows.predict_parts.sources import find_images

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from maskwright.core.events import OnShare
    from maskwright.workflows.predict_parts.pictures import Picture
    from maskwright.workflows.predict_parts.sources import Found

    Source = str | Path | NDArray[Any] | Picture

T = TypeVar("T")


class Kind(NamedTuple, Generic[T]):
    """One kind of file: its folder and suffix, and what writes it from a path, the image as read, and the result."""

    folder: str
    suffix: str
    write: Callable[[Path, NDArray[Any], T], None]


class Job(NamedTuple, Generic[T]):
    """What is made of each image, and the kinds of files that are written of it."""

    run: Callable[[Picture, NDArray[Any]], T]
    summarise: Callable[[T], dict[str, int | float]]
    kinds: Mapping[str, Kind[T]]


def found_images(sources: Source | Sequence[Source]) -> Found:
    """Find image files, those in folders (searched recursively), of globs and of lists, and arrays; not videos.

    Raises:
        MaskwrightError: there is no image, or a source is neither a path nor an array.
    """
    found = find_images(with_names(sources))
    cure = "save frames of it as images, and name those"
    videos = [picture.image.path for picture in found.pictures if _is_video(picture)]
    refused = [(path, f"{path} is a video, and only images can be used: {cure}") for path in videos]
    images = [picture for picture in found.pictures if not _is_video(picture)]
    found = found._replace(pictures=images, failures=[*found.failures, *refused])
    if not found.pictures:
        reasons = "; ".join(reason for _, reason in found.failures)
        raise MaskwrightError(reasons or "no image was given: name files or folders")
    return found


def for_each_image(found: Found, out: str | Path, job: Job[T], on_progress: OnShare | None = None) -> PredictResult:
    """Write files for images; one that cannot be read is listed in `failures`, and the rest go on.

    Args:
        found: the images.
        out: folder for what is written. Results keep the paths of their images below the sources.
        job: what to make and write.
        on_progress: called with (images done, images in all).

    Raises:
        MaskwrightError: an existing file that maskwright did not write, or a folder that cannot be written.
    """
    out = Path(out)
    pictures, missing, notes = found
    make_room(out, [file for each in pictures for file in _files(each, out, job.kinds).values()])
    failures = [Failure(path, reason) for path, reason in missing]
    images = []
    report = on_progress or (lambda _done, _total: None)
    for done, picture in enumerate(pictures):
        report(done, len(pictures))
        try:
            images.append(_done(picture, out, job))
        except Unusable as error:
            failures.append(Failure(picture.image.path, str(error)))
        except Exception as error:
            if not out_of_memory(error):
                raise
            failures.append(Failure(picture.image.path, str(unusable(picture, error))))
    report(len(pictures), len(pictures))
    outputs = tuple(file for image in images for file in image.files.values())
    return PredictResult(outputs, failures, tuple(images), notes)


def chosen(save: str | Sequence[str], kinds: Mapping[str, Kind[T]]) -> dict[str, Kind[T]]:
    """Return the kinds of files that are named: in a list, or in one text with commas between them.

    Raises:
        MaskwrightError: there is none, or an unknown one.
    """
    names = kind_names(save)
    if not names:
        raise MaskwrightError(f"`save` is empty, so nothing would be written: give {' or '.join(kinds)}")
    for name in names:
        if name not in kinds:
            raise unknown_name("kind of file", name, kinds, "save")
    return {name: kinds[name] for name in names}


def _is_video(picture: Picture) -> bool:
    """Tell whether a source is a video or a camera."""
    path = picture.image.path
    return picture.given is None and (camera_number(path) is not None or path.suffix.lower() in VIDEO_SUFFIXES)


def _files(picture: Picture, out: Path, kinds: Mapping[str, Kind[T]]) -> dict[str, Path]:
    """Return where each kind of result of one image goes."""
    return {name: out / kind.folder / f"{picture.name}{kind.suffix}" for name, kind in kinds.items()}


def _done(picture: Picture, out: Path, job: Job[T]) -> Predicted:
    """Make and write the results of one image.

    Raises:
        Unusable: it cannot be read or used, or has too long a name for its results.
        MaskwrightError: the results cannot be written.
    """
    files = _files(picture, out, job.kinds)
    check_names(picture, out, files)
    try:
        image = picture.read()
        result = job.run(picture, image)
    except MaskwrightError as error:
        raise unusable(picture, error) from error
    for name, file in files.items():
        job.kinds[name].write(file, image, result)
    return Predicted(picture.image.path, files, job.summarise(result), picture.image.page)
