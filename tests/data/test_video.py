"""Videos: every frame at its time, upright, and broken frames by their numbers."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.data.videos import cut, damage, frames_of, number_of, picture, turned, with_times, write_clip

from maskwright.core.errors import MaskwrightError
from maskwright.data.readers import DecodeError
from maskwright.data.readers import video as reading
from maskwright.data.readers.video import Camera, Video, camera_number
from maskwright.data.result_video import PAUSE, video_file
from maskwright.data.results import written_by_us

BOTH = pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "mp4v"), (".avi", "MJPG"), (".mkv", "FFV1")])


def shown(path: Path) -> list[int]:
    return [number_of(frame.pixels) for frame in frames_of(path) if frame.pixels is not None]


@BOTH
def test_every_frame_comes_in_order_with_its_time(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_clip(tmp_path / f"a{suffix}", 25, codec=codec)
    frames = frames_of(path)
    assert [frame.number for frame in frames] == list(range(25))
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(25) / 10, atol=1e-3)
    assert [number_of(frame.pixels) for frame in frames] == list(range(25))
    assert np.abs(frames[3].pixels.astype(int) - picture(3)).mean() < 12
    video = Video(path)
    assert (video.rate, video.length) == (10, 25)


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "mp4v"), (".avi", "MJPG")])
@pytest.mark.parametrize("broken", [(4,), (0,), (24,), (7, 8, 9, 20)])
def test_broken_frames_are_told_by_their_numbers_and_the_others_come(
    tmp_path: Path, suffix: str, codec: str, broken: tuple[int, ...]
) -> None:
    frames = frames_of(damage(write_clip(tmp_path / f"a{suffix}", 25, codec=codec), *broken))
    assert [frame.number for frame in frames] == list(range(25))
    missing = [frame for frame in frames if frame.pixels is None]
    assert tuple(frame.number for frame in missing) == broken
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(25) / 10, atol=1e-3)


def test_many_broken_frames_in_a_row_do_not_end_the_video(tmp_path: Path) -> None:
    broken = range(20, 220)
    frames = frames_of(damage(write_clip(tmp_path / "a.avi", 240, codec="MJPG"), *broken))
    assert [frame.number for frame in frames if frame.pixels is None] == list(broken)
    assert len(frames) == 240


def test_frames_of_a_variable_rate_keep_their_times(tmp_path: Path) -> None:
    ticks = [1, 1, 5, 1, 2, 10, 1, 1]
    path = with_times(write_clip(tmp_path / "a.mp4", 8), ticks)
    times = np.concatenate([[0], np.cumsum(ticks)[:-1]]) / 10
    np.testing.assert_allclose([frame.seconds for frame in frames_of(path)], times, atol=1e-3)
    assert Video(path).rate == pytest.approx(10)  # the fastest: 8 frames in 2.2 s are 3.6 on average


def test_frames_are_upright(tmp_path: Path) -> None:
    path = turned(write_clip(tmp_path / "a.mp4", 2))
    pixels = frames_of(path)[0].pixels
    assert pixels.shape == (96, 64, 3)
    expected = np.rot90(picture(0), k=-1)
    assert expected[0, 0, 2] == 200 != expected[-1, 0, 2]
    assert np.abs(pixels.astype(int) - expected).mean() < 12


def test_what_is_no_video_is_refused_with_words(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(DecodeError, match=r"text\.mp4 cannot be opened as a video: it is none, or it was cut"):
        Video(tmp_path / "text.mp4")
    with pytest.raises(DecodeError, match=r"gone\.mp4 does not exist"):
        Video(tmp_path / "gone.mp4")
    with pytest.raises(DecodeError, match="cannot be opened as a video"):
        Video(cut(write_clip(tmp_path / "cut.mp4", 20), 0.7))


def test_a_video_without_a_frame_that_can_be_decoded_names_its_codec(tmp_path: Path) -> None:
    path = damage(write_clip(tmp_path / "a.avi", 5, codec="MJPG"), *range(5))
    with pytest.raises(
        DecodeError, match=r"has no frame that can be decoded \(its codec is MJPG\): convert it to H.264"
    ):
        frames_of(path)


def test_the_reader_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frames_of(damage(write_clip(tmp_path / "a.avi", 5, codec="MJPG"), 2))
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(DecodeError):
        Video(tmp_path / "text.mp4")
    with pytest.raises(MaskwrightError, match=r"camera 97 cannot be opened: check that it is connected"):
        Camera(97)
    assert capfd.readouterr() == ("", "")


class FakeCapture:
    """A camera with three frames, as OpenCV gives them."""

    def __init__(self, number: int) -> None:
        self.number, self.left, self.released = number, 3, False

    def isOpened(self) -> bool:
        return True

    def get(self, _key: int) -> float:
        return 0.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        return (True, picture(self.left)[..., ::-1]) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


def test_a_camera_gives_frames_until_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading.cv2, "VideoCapture", FakeCapture)
    camera = Camera(2)
    assert camera.rate == 25
    frames = iter(camera)
    assert [(frame.number, number_of(frame.pixels)) for frame in islice(frames, 3)] == [(0, 2), (1, 1), (2, 0)]
    with pytest.raises(MaskwrightError, match="camera 2 gives no more frames after 3: connect it again"):
        next(frames)


class LateCapture(FakeCapture):
    """An AVI with frames that depend on later ones: each is decoded one frame late, and the last one without a time."""

    def __init__(self, _path: str, _backend: int, options: tuple[int, ...] = ()) -> None:
        self.packets, self.left, self.at = bool(options), 5, 0

    def get(self, key: int) -> float:
        if key == cv2.CAP_PROP_FPS:
            return 10.0
        return 100.0 * (self.at - 1 if self.packets else self.at % 5)

    def grab(self) -> bool:
        self.at += 1
        return self.at <= 5

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.at += 1
        return (True, picture(self.at - 1)[..., ::-1]) if self.at <= 5 else (False, None)


def test_frames_that_are_decoded_late_are_not_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading.cv2, "VideoCapture", LateCapture)
    (tmp_path / "a.avi").write_bytes(b"any")
    frames = list(Video(tmp_path / "a.avi"))
    assert [number_of(frame.pixels) for frame in frames] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(5) / 10, atol=1e-9)


def test_cameras_have_numbers() -> None:
    assert [camera_number(Path(text)) for text in ("camera:0", "camera:12")] == [0, 12]
    assert [camera_number(Path(text)) for text in ("camera:", "a/camera:1", "camera:1.mp4")] == [None] * 3


def test_each_picture_is_shown_at_its_time(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with video_file(path, 10) as writer:
        for number, seconds in enumerate((5.0, 5.1, 5.2, 5.5, 5.52, 6.0)):
            writer.put(picture(number), seconds)
    # The 4th is over before the frame that it would be in: 5.5 and 5.52 fall into one.
    assert shown(path) == [0, 1, 2, 2, 2, 4, 4, 4, 4, 4, 5]
    assert written_by_us(path)
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_a_clock_that_jumps_does_not_fill_the_disk(tmp_path: Path) -> None:
    with video_file(tmp_path / "out.mp4", 2) as writer:
        for number, seconds in enumerate((0.0, 1e9, 1e9 + 0.5)):
            writer.put(picture(number), seconds)
    assert len(shown(tmp_path / "out.mp4")) == 2 * PAUSE + 2


def test_an_error_leaves_no_video(tmp_path: Path) -> None:
    pictures = iter([picture(0), picture(1)])
    with pytest.raises(StopIteration), video_file(tmp_path / "out.mp4", 10) as writer:  # noqa: PT012 (at the third)
        for number in range(3):
            writer.put(next(pictures), number / 10)
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_was_not_written_whole_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(MaskwrightError, match=r"holds 0 of 1 frames: free some space"),
        video_file(tmp_path / "out.mp4", 10) as writer,
    ):
        writer._written = 1
    with (
        pytest.raises(MaskwrightError, match="cannot be written as a video of 1x1 pixels"),
        video_file(tmp_path / "out.mp4", 10) as writer,
    ):
        writer.put(np.zeros((1, 1, 3), np.uint8), 0.0)
