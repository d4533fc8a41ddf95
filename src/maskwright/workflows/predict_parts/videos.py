"""One video to files: a mask a frame, one overlay video, one list of frames. Decoding, model and writing overlap.

Memory does not grow with the video: frames pass through two bounded queues, and what is said of each goes into a file.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.core.channels import CLASS_GROUP
from maskwright.core.errors import MaskwrightError
from maskwright.core.files import replacing
from maskwright.core.overlap import Behind, ahead
from maskwright.core.records import ImageRef
from maskwright.core.text import plural
from maskwright.data.readers import DecodeError
from maskwright.data.readers.video import VIDEO_SUFFIXES, Camera, Frame, Video, camera_number
from maskwright.data.result_video import video_file
from maskwright.data.results import MARK
from maskwright.inference.smoothing import Smoother
from maskwright.workflows.predict_parts.pictures import Picture
from maskwright.workflows.predict_parts.results import PredictedVideo, Unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import TextIO

    from numpy.typing import NDArray

    from maskwright.data.result_video import VideoWriter
    from maskwright.models.bundle import Card
    from maskwright.tasks import Writer
    from maskwright.workflows.predict_request import PredictRequest

DIGITS = 6
FASTEST = 240.0  # frames a second of an overlay video
LISTED = 20  # broken parts of a video that are reported one by one


class Clip(NamedTuple):
    """A video to predict.

    Attributes:
        path: of the file; `camera:0` for a camera.
        relative: its path below the source that it was found in.
        name: what its overlay is called: a path below the output folder, without suffix.
        camera: its number, None for a file.
        origin: address in an object store of which `path` is a copy; None for a file of the user's.
    """

    path: Path
    relative: PurePosixPath
    name: PurePosixPath
    camera: int | None = None
    origin: str | None = None

    @property
    def folder(self) -> PurePosixPath:
        """The folder for the results of its frames, `clip.mp4`, below that of their kind."""
        return self.name.with_name(self.path.name) if self.camera is None else self.name

    def files(self, out: Path, kinds: Mapping[str, Writer]) -> dict[str, Path]:
        """Return where each kind goes: a folder with a file a frame, but one `overlay`, and the list `frames`."""
        files = {
            kind: out / writer.folder / f"{self.name}.mp4" if kind == "overlay" else out / writer.folder / self.folder
            for kind, writer in kinds.items()
            if writer.collect is None
        }
        return {**files, "frames": out / "frames" / f"{self.name}.jsonl"}

    def picture(self, frame: Frame) -> Picture:
        """Return a frame as a picture."""
        name = self.folder / f"{frame.number:0{DIGITS}d}"
        return Picture(ImageRef(self.path), PurePosixPath(f"{self.relative}#{frame.number}"), name, frame.pixels)

    def open(self) -> Video | Camera:
        """Open it.

        Raises:
            MaskwrightError: it cannot be opened.
        """
        return Video(self.path) if self.camera is None else Camera(self.camera)


def apart(pictures: list[Picture]) -> tuple[list[Picture], list[Clip]]:
    """Tell images and videos apart: a video has a suffix of one, or is `camera:0`."""
    images, clips = [], []
    for picture in pictures:
        path = picture.image.path
        camera = None if picture.given is not None else camera_number(path)
        if camera is not None:
            clips.append(Clip(path, picture.relative, picture.name.with_name(f"camera-{camera}"), camera))
        elif picture.given is None and path.suffix.lower() in VIDEO_SUFFIXES:
            clips.append(Clip(path, picture.relative, picture.name, origin=picture.origin))
        else:
            images.append(picture)
    return images, clips


def check_options(request: PredictRequest, clips: Sequence[Clip], card: Card) -> None:
    """Refuse options of videos that have no effect.

    Raises:
        MaskwrightError: there is one.
    """
    usual = {"every": 1, "frames": None, "smooth_video": False}
    given = [name for name, value in usual.items() if getattr(request, name) != value]
    if given and not clips:
        raise MaskwrightError(f"`{given[0]}` is for videos, and no source is one: leave it out", given[0])
    if request.on is not None and clips:
        raise MaskwrightError("`on` spreads images, and a source is a video: predict videos without it", "on")
    if request.smooth_video and [group.name for group in card.channels] != [CLASS_GROUP]:
        raise MaskwrightError(
            f"`smooth_video` averages the probabilities of classes, and a model for {card.task} has others too: leave "
            "it out",
            "smooth_video",
        )


@dataclass(frozen=True)
class VideoJob:
    """What is done with each frame.

    Attributes:
        result: (picture, pixels, what smooths or None) -> the result and its risk; runs in the caller's thread.
        write: (picture, pixels, result) -> a summary as plain numbers; writes all but the overlay, in another thread.
        overlay: (pixels, result) -> RGB (H, W, 3).
        files: of `Clip.files`.
        request: which frames to take, and whether to smooth.
    """

    result: Callable[[Picture, NDArray[Any], Smoother | None], tuple[Any, float | None]]
    write: Callable[[Picture, NDArray[Any], Any], dict[str, int | float]]
    overlay: Callable[[NDArray[Any], Any], NDArray[Any]]
    files: dict[str, Path]
    request: PredictRequest


class _Done(NamedTuple):
    frame: Frame
    picture: Picture
    result: Any
    risk: float | None


@dataclass
class _Broken:
    """Numbers of frames that cannot be decoded, as (first, last, seconds of the first), and how many there are."""

    parts: list[tuple[int, int, float]] = field(default_factory=list)
    count: int = 0

    def add(self, frame: Frame) -> None:
        self.count += 1
        if self.parts and self.parts[-1][1] == frame.number - 1:
            first, _, seconds = self.parts[-1]
            self.parts[-1] = (first, frame.number, seconds)
        elif len(self.parts) < LISTED:
            self.parts.append((frame.number, frame.number, frame.seconds))

    def reasons(self, path: Path) -> Iterator[str]:
        told = 0
        for first, last, seconds in self.parts:
            told += last - first + 1
            which = f"frame {first}" if first == last else f"frames {first} to {last}"
            yield f"{path}: {which}, at {seconds:.2f} s, cannot be decoded: the file is damaged there"
        if told < self.count:
            yield f"{path}: {plural(self.count - told, 'more frame')} cannot be decoded"


def predict_video(
    clip: Clip, job: VideoJob, on_share: Callable[[float], None]
) -> tuple[PredictedVideo | None, list[str]]:
    """Predict the frames of a video, and write the results.

    A camera goes on until Ctrl-C, or for `job.request.frames` frames.

    Returns:
        What was written, and the reasons of frames without a result; None if the file cannot be read, or its frames do
        not fit the model.

    Raises:
        MaskwrightError: the camera cannot be opened, or the results cannot be written.
    """
    try:
        return _predicted(clip, job, on_share)
    except (Unusable, DecodeError) as error:
        return None, [str(error)]


def _predicted(clip: Clip, job: VideoJob, on_share: Callable[[float], None]) -> tuple[PredictedVideo, list[str]]:
    started, taken, broken = time.monotonic(), 0, _Broken()
    smoother = Smoother() if job.request.smooth_video else None
    risks: list[tuple[int, float | None]] = []
    with closing(clip.open()) as video, ExitStack() as stack:
        log = stack.enter_context(_frame_list(job.files["frames"], clip, video.rate))
        rate = round(min(video.rate / job.request.every, FASTEST), 2)
        overlay = stack.enter_context(video_file(job.files["overlay"], rate)) if "overlay" in job.files else None
        behind: Behind[_Done] = stack.enter_context(Behind(lambda done: _write(done, job, overlay, log)))
        frames = stack.enter_context(closing(ahead(_chosen(video, job, broken))))
        try:
            for frame in frames:
                assert frame.pixels is not None
                picture = clip.picture(frame)
                done = _Done(frame, picture, *job.result(picture, frame.pixels, smoother))
                behind.put(done)
                taken += 1
                if job.request.reject is not None:
                    risks.append((frame.number, done.risk))
                del done  # not held while the next frame is predicted
                on_share(min(1.0, frame.number / max(video.length, 1)))
        except KeyboardInterrupt:
            if clip.camera is None:
                raise
        if not taken:
            raise MaskwrightError(f"{clip.path}: no frame was predicted")
    seconds = time.monotonic() - started
    reasons = list(broken.reasons(clip.path))
    if (cut := video.cut()) is not None and job.request.frames is None:
        reasons.append(cut)
    flicker = smoother.flicker if smoother else None
    found = PredictedVideo(clip.path, job.files, taken, broken.count, taken / seconds, flicker, tuple(risks))
    return found, reasons


def _chosen(video: Video | Camera, job: VideoJob, broken: _Broken) -> Iterator[Frame]:
    """Yield the frames to predict; those that cannot be decoded are noted instead."""
    taken = 0
    for frame in video:
        if frame.pixels is None:
            broken.add(frame)
        elif frame.number % job.request.every == 0:
            yield frame
            taken += 1
            if taken == job.request.frames:
                return


def _write(done: _Done, job: VideoJob, overlay: VideoWriter | None, log: TextIO) -> None:
    frame, picture, result, risk = done
    assert frame.pixels is not None
    summary = job.write(picture, frame.pixels, result)
    if overlay is not None:
        overlay.put(job.overlay(frame.pixels, result), frame.seconds)
    entry = {"frame": frame.number, "seconds": round(frame.seconds, 6), "summary": summary}
    entry["risk"] = None if risk is None else round(risk, 4)
    log.write(json.dumps(entry, ensure_ascii=False) + "\n")


@contextmanager
def _frame_list(path: Path, clip: Clip, rate: float) -> Iterator[TextIO]:
    """Yield a file of one JSON document a line: first the video, then one line a frame."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(json.dumps({"software": MARK, "video": clip.origin or str(clip.path), "rate": rate}) + "\n")
        yield stream
