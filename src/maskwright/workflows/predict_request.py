"""What a user requests of a prediction. Importing this module is quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright.core.cluster import check_cluster
from maskwright.core.errors import MaskwrightError
from maskwright.core.pixel_size import PixelSize
from maskwright.core.reject import Reject

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class PredictRequest:
    """How to predict images, and what to write of them.

    Attributes:
        save: kinds of files that the task of the model can write, None for the first; for label maps `mask` (palette
            PNG of class indices), `zarr` (the same as an OME-NGFF label image), `overlay` (JPEG to look at),
            `probabilities` (.npz, float16 (K, H, W)), `coco` (one JSON of run-length codes), `coco-polygons` (the same,
            as polygons where a region has no holes), `geojson`, `gpkg` (outlines of regions; of a GeoTIFF, in its
            reference system).
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        fast: use bfloat16: about twice as fast if the processor supports it; a few pixels differ.
        pixel_size: width of a pixel, `0.25um`, for kinds that measure; None for what a file says (OME-TIFF, OME-Zarr,
            ImageJ, GeoTIFF), or else pixels.
        resume: go on with a prediction that was interrupted; its results stay.
        on: `ray` to spread the images over a Ray cluster; None for this process.
        every, frames: of a video, take one frame of so many, and so many at most; None for all, or until Ctrl-C.
        level: of pyramids, 0 for the largest, which is the default.
        smooth_video: average the probabilities of frames along the motion, which keeps labels from flickering.
        flip: average with the prediction for the flipped image, or average nothing; None for as the model says,
            which averages nothing for images above `predict.flip_pixels` (16.8 megapixels).
        reject: mark images and frames of videos in `risk.csv`: those whose risk is above `0.3`, or the riskiest `20%`
            of them.

    Raises:
        MaskwrightError: no such pixel size or cluster, a number below 1, or a level below 0.
    """

    save: Sequence[str] | None = None
    device: str = "auto"
    fast: bool = False
    pixel_size: str | None = None
    resume: bool = False
    on: str | None = None
    every: int = 1
    frames: int | None = None
    smooth_video: bool = False
    level: int | None = None
    reject: str | float | None = None
    flip: bool | None = None

    def __post_init__(self) -> None:
        _ = self.scale, self.rejection
        check_cluster(self.on)
        for name, value, least in (("every", self.every, 1), ("frames", self.frames, 1), ("level", self.level, 0)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise MaskwrightError(f"`{name}` is {value!r}, and it must be a whole number from {least} on", name)

    @property
    def rejection(self) -> Reject | None:
        """The rule that `reject` states."""
        return None if self.reject is None else Reject.parse(self.reject)

    @property
    def scale(self) -> PixelSize | None:
        """The pixel size as a number with its unit."""
        return None if self.pixel_size is None else PixelSize.parse(self.pixel_size, "pixel_size")
