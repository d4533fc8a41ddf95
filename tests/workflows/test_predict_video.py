"""Videos in; a mask a frame, an overlay video and a list of frames out. Broken frames are named, memory is constant."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.videos import damage, frames_of, picture, turned, with_times, write_clip

import maskwright
from maskwright import models
from maskwright.cli.main import run as terminal
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.data.readers.video import Frame
from maskwright.data.results import MARK
from maskwright.diagnosis.risk import promise_of
from maskwright.inference import Predictor
from maskwright.models import bundle
from maskwright.models.bundle import Card, CardClasses
from maskwright.workflows.predict_parts import videos

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = Classes(("dark", "bright"), ((10, 10, 200), (20, 200, 40)))
CARD = Card(model=ModelPlan(name="swiftnet"), classes=CardClasses.of(CLASSES), data=DataPlan(), predict=PredictPlan())


class ByRed:
    """An engine without a network: red above 100 is bright. With `noise`, so are other pixels in each frame."""

    device, batch, name = torch.device("cpu"), 1, "by red"

    def __init__(self, noise: float = 0.0) -> None:
        self._noise, self._rng = noise, np.random.default_rng(0)

    def forward(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        logit = (pixels[..., 0].astype(np.float32) - 100) / 25 + self._rng.normal(0, self._noise, pixels.shape[:3])
        return torch.from_numpy(np.stack([np.zeros_like(logit), logit], axis=1)).float()


@pytest.fixture(scope="module")
def by_red() -> Predictor:
    return Predictor(ByRed(), CARD)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained network."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("run")
    bundle.save(folder / "model.safetensors", models.create("swiftnet", classes=2), CARD)
    return folder


def read_list(path: Path) -> tuple[dict, list[dict]]:
    head, *entries = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return head, entries


def test_each_frame_is_predicted_as_an_image_would_be(run: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in" / "a.mp4", 5)
    out = tmp_path / "out"
    result = maskwright.predict(run, clip, out=out, device="cpu", save=["mask", "overlay", "probabilities", "coco"])
    assert (result.failures, result.images, result.notes) == ([], (), ())
    (video,) = result.videos
    assert (video.source, video.frames, video.broken, video.flicker) == (clip, 5, 0, None)
    assert video.frames_per_second > 0
    assert video.files == {
        "mask": out / "masks/a.mp4",
        "overlay": out / "overlays/a.mp4",
        "probabilities": out / "probabilities/a.mp4",
        "frames": out / "frames/a.jsonl",
    }
    assert result.outputs == (*video.files.values(), out / "predictions.json")
    head, entries = read_list(out / "frames/a.jsonl")
    assert head == {"software": MARK, "video": str(clip), "rate": 10.0}
    model = maskwright.load(run, "cpu")
    drawn = frames_of(out / "overlays/a.mp4")
    for frame in frames_of(clip):
        expected = model.predict(frame.pixels)
        name = f"{frame.number:06d}"
        np.testing.assert_array_equal(np.array(Image.open(out / "masks/a.mp4" / f"{name}.png")), expected.labels)
        with np.load(out / "probabilities/a.mp4" / f"{name}.npz") as archive:
            np.testing.assert_allclose(archive["probabilities"], expected.maps, atol=1e-3)
        assert np.abs(drawn[frame.number].pixels.astype(int) - expected.overlay()).mean() < 15
        counts = np.bincount(expected.labels.ravel(), minlength=2)
        summary = {name: int(count) for name, count in zip(CLASSES.names, counts, strict=True) if count}
        risk = promise_of(model, model.blocks(frame.pixels)).risk
        assert risk is not None
        assert entries[frame.number].pop("risk") == pytest.approx(risk, abs=1e-4)
        assert entries[frame.number] == {"frame": frame.number, "seconds": round(frame.seconds, 6), "summary": summary}
    assert len(list((out / "masks/a.mp4").iterdir())) == len(entries) == len(drawn) == 5
    coco = json.loads((out / "predictions.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == [f"a.mp4#{number}" for number in range(5)]


def test_every_and_frames_choose_and_the_overlay_keeps_the_time(by_red: Predictor, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", 20)
    result = maskwright.predict(by_red, clip, out=tmp_path / "out", save="overlay", every=3, frames=4)
    assert result.videos[0].frames == 4
    _, entries = read_list(tmp_path / "out/frames/a.jsonl")
    assert [entry["frame"] for entry in entries] == [0, 3, 6, 9]
    np.testing.assert_allclose(
        [frame.seconds for frame in frames_of(tmp_path / "out/overlays/a.mp4")], [0, 0.3, 0.6, 0.9], atol=0.01
    )
    assert not (tmp_path / "out/masks").exists()


def test_a_broken_frame_is_a_failure_with_its_number_and_the_rest_is_predicted(
    by_red: Predictor, tmp_path: Path
) -> None:
    clip = damage(write_clip(tmp_path / "a.mp4", 20), 4, 11, 12, 13)
    result = maskwright.predict(by_red, clip, out=tmp_path / "out", save="mask,overlay")
    assert [failure.reason for failure in result.failures] == [
        f"{clip}: frame 4, at 0.40 s, cannot be decoded: the file is damaged there",
        f"{clip}: frames 11 to 13, at 1.10 s, cannot be decoded: the file is damaged there",
    ]
    assert (result.videos[0].frames, result.videos[0].broken) == (16, 4)
    names = sorted(file.stem for file in (tmp_path / "out/masks/a.mp4").iterdir())
    assert names == [f"{number:06d}" for number in range(20) if number not in {4, 11, 12, 13}]
    assert len(frames_of(tmp_path / "out/overlays/a.mp4")) == 20


def test_damage_everywhere_is_told_in_a_few_lines(tmp_path: Path) -> None:
    broken = videos._Broken()
    for number in range(0, 200, 2):
        broken.add(Frame(number, number / 10, None))
    reasons = list(broken.reasons(tmp_path))
    assert len(reasons) == 21
    assert reasons[-1].endswith("80 more frames cannot be decoded")


def test_a_variable_rate_and_a_turned_video(by_red: Predictor, tmp_path: Path) -> None:
    ticks = [1, 1, 5, 1, 2, 10, 1, 1]
    clip = turned(with_times(write_clip(tmp_path / "a.mp4", 8), ticks))
    maskwright.predict(by_red, clip, out=tmp_path / "out", save="mask,overlay")
    _, entries = read_list(tmp_path / "out/frames/a.jsonl")
    times = np.concatenate([[0], np.cumsum(ticks)[:-1]]) / 10
    np.testing.assert_allclose([entry["seconds"] for entry in entries], times, atol=1e-3)
    drawn = frames_of(tmp_path / "out/overlays/a.mp4")
    assert len(drawn) == sum(ticks[:-1]) + 1
    assert drawn[0].pixels.shape == (96, 64, 3)
    assert np.array(Image.open(tmp_path / "out/masks/a.mp4/000000.png")).shape == (96, 64)


def test_videos_alone_are_counted_by_their_frames(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    clip, text = write_clip(tmp_path / "a.mp4", 3), tmp_path / "b.mp4"
    text.write_text("hello")
    for file, said in ((clip, f"3 frames of 1 video predicted, results in {tmp_path}"), (text, "nothing predicted; 1")):
        terminal(["predict", str(run), str(file), "--out", str(tmp_path), "--device", "cpu"])
        out = " ".join(capfd.readouterr().out.split())
        assert said in out
        assert " image" not in out


def test_images_and_videos_in_one_call_in_the_terminal(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_clip(tmp_path / "clips" / "a.mp4", 3)
    damage(write_clip(tmp_path / "clips" / "b.avi", 3, codec="MJPG"), 1)
    (tmp_path / "clips" / "c.mov").write_text("hello")
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("a.png\nclips/*.mp4\nclips/b.avi\nclips/c.mov\n")
    line = ["predict", str(run), str(tmp_path / "list.txt"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert terminal(line) == 2
    said, errors = (" ".join(text.split()) for text in capfd.readouterr())
    assert "a.mp4: 3 frames, " in said
    assert "b.avi: 2 frames, " in said
    assert " a second, 1 that cannot be decoded 1 image and 5 frames of 2 videos predicted, results in" in said
    unwrapped = errors.replace(" ", "")  # a long path breaks lines
    assert "b.avi:frame1,at0.10s,cannotbedecoded" in unwrapped
    assert "c.movcannotbeopenedasavideo" in unwrapped
    written = sorted(path.relative_to(tmp_path / "out/masks").as_posix() for path in tmp_path.glob("out/**/*.png"))
    clips = [f"clips/{name}.png" for name in ("a.mp4/000000", "a.mp4/000001", "a.mp4/000002", "b.avi/000000")]
    assert written == ["a.png", *clips, "clips/b.avi/000002.png"]
    assert terminal([*line, "--json", "--frames", "1"]) == 2
    document = json.loads(capfd.readouterr().out)
    assert [video["frames"] for video in document["videos"]] == [1, 1]


def test_a_folder_is_not_searched_for_videos_and_says_so(by_red: Predictor, tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    write_clip(tmp_path / "b.mp4", 2)
    result = maskwright.predict(by_red, tmp_path, out=tmp_path / "out")
    assert len(result.images) == 1
    assert result.videos == ()
    (note,) = result.notes
    assert note == f"1 video in {tmp_path} left out, such as b.mp4: name them, or give a glob such as {tmp_path}/*.mp4"


def test_results_are_neither_sources_nor_overwritten_unless_they_are_ours(by_red: Predictor, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", 3)
    for _ in range(2):
        maskwright.predict(by_red, clip, out=tmp_path / "out", save="mask,overlay")
    with pytest.raises(MaskwrightError, match="matches no image"):
        maskwright.predict(by_red, str(tmp_path / "out" / "overlays" / "*.mp4"), out=tmp_path / "two")
    (tmp_path / "out/masks/a.mp4/notes.txt").write_text("mine")
    with pytest.raises(MaskwrightError, match=r"notes\.txt exists and was not written by maskwright"):
        maskwright.predict(by_red, clip, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": 2}, "`every` is for videos, and no source is one: leave it out"),
        ({"frames": 1}, "`frames` is for videos"),
        ({"smooth_video": True}, "`smooth_video` is for videos"),
        ({"every": 0}, "`every` is 0, and it must be a whole number from 1 on"),
        ({"frames": True}, "`frames` is True"),
    ],
)
def test_options_without_effect_are_refused(by_red: Predictor, tmp_path: Path, options: dict, words: str) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    with pytest.raises(MaskwrightError) as caught:
        maskwright.predict(by_red, tmp_path / "a.png", out=tmp_path / "out", **options)
    assert words in str(caught.value)


def test_smoothing_needs_a_model_of_classes(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", 2)
    other = tuple(group.model_copy(update={"name": "other"}) for group in CARD.channels)
    with pytest.raises(MaskwrightError, match="`smooth_video` averages the probabilities of classes"):
        maskwright.predict(Predictor(ByRed(), CARD.model_copy(update={"channels": other})), clip, smooth_video=True)


def test_smoothing_lowers_the_flicker_and_reports_both(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", 12, size=(96, 128))
    noisy = Predictor(ByRed(noise=1.5), CARD)
    (video,) = maskwright.predict(noisy, clip, out=tmp_path / "out", smooth_video=True).videos
    before, after = video.flicker
    assert 0.05 < before < 0.5
    assert after < before / 2


class Interrupted:
    """A camera whose user presses Ctrl-C while the fourth frame is predicted."""

    rate, length = 10.0, 0

    def __init__(self, number: int) -> None:
        assert number == 3
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        for number in range(100):
            yield Frame(number, number / 10, picture(number))

    def cut(self) -> None:
        return None

    def close(self) -> None:
        self.closed = True


def test_ctrl_c_ends_a_camera_and_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopping(ByRed):
        seen = 0

        def forward(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
            self.seen += 1
            if self.seen == 4:
                raise KeyboardInterrupt
            return super().forward(pixels)

    monkeypatch.setattr(videos, "Camera", Interrupted)
    result = maskwright.predict(Predictor(Stopping(), CARD), "camera:3", out=tmp_path, save="mask,overlay")
    assert result.failures == []
    assert result.videos[0].frames == 3
    assert len(frames_of(tmp_path / "overlays/camera-3.mp4")) == 3
    assert len(list((tmp_path / "masks/camera-3").iterdir())) == 3
    clip = write_clip(tmp_path / "a.mp4", 9)
    with pytest.raises(KeyboardInterrupt):
        maskwright.predict(Predictor(Stopping(), CARD), clip, out=tmp_path / "two", save="mask,overlay")
    assert not (tmp_path / "two/overlays/a.mp4").exists()


def test_an_error_of_the_writer_ends_the_prediction(by_red: Predictor, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", 30)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "masks").write_text("a file where the folder must be")
    with pytest.raises(MaskwrightError, match="could not be written"):
        maskwright.predict(by_red, clip, out=tmp_path / "out")


def test_frames_that_do_not_fit_the_model_are_one_failure(tmp_path: Path) -> None:
    deep = CARD.model_copy(update={"data": DataPlan(value_range=((0, 4000),) * 3), "dtypes": ("uint16",)})
    result = maskwright.predict(Predictor(ByRed(), deep), write_clip(tmp_path / "a.mp4", 9), out=tmp_path / "out")
    (failure,) = result.failures
    assert "the image holds uint8 values" in failure.reason
    assert result.videos == ()


def test_memory_does_not_grow_with_the_video(by_red: Predictor, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", 500, size=(32, 32))

    def peak(frames: int) -> int:
        tracemalloc.start()
        maskwright.predict(by_red, clip, out=tmp_path / "out", save="mask,overlay", frames=frames, smooth_video=True)
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return memory

    peak(1)  # Imports what a video needs.
    few = peak(100)
    # The allocations of all threads count, also of those that an earlier test left. They disturb one run, not each.
    # What waits for the garbage collector takes up to 300 KB; the pixels of 400 more frames would take 1.2 MB.
    assert min(peak(500) for _ in range(3)) < few + 600_000
