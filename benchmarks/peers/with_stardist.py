"""StarDist, from scratch: the settings of its notebook for the nuclei of the Data Science Bowl.

32 rays on a grid of 2, batches of four 256x256 patches, 100 steps an epoch, flips, quarter turns and changes of
intensity; the weights with the best validation loss, and thresholds fitted on the validation images after the clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from csbdeep.utils import normalize
from exchange import Job, serve
from stardist import fill_label_holes
from stardist.models import Config2D, StarDist2D

if TYPE_CHECKING:
    from exchange import Predict
    from numpy.typing import NDArray

PATCH, DIVISOR = 256, 16
NO_END = 100_000


class Stop(tf.keras.callbacks.Callback):
    """Ends a training when its time is up, and counts its steps."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job, self.steps = job, 0

    def on_train_batch_end(self, _batch: int, **_: Any) -> None:
        """Look at the clock."""
        self.steps += 1
        self.model.stop_training = self.job.left() <= 0


def augmented(image: NDArray[Any], ids: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Turn, flip and change the intensity, as the notebook does."""
    quarter = np.random.randint(4)
    image, ids = np.rot90(image, quarter), np.rot90(ids, quarter)
    if np.random.rand() < 0.5:
        image, ids = image[::-1], ids[::-1]
    image = image * np.random.uniform(0.6, 2) + np.random.uniform(-0.2, 0.2)
    return image + 0.02 * np.random.uniform(0, 1) * np.random.normal(0, 1, image.shape), ids


def trained(job: Job) -> tuple[Predict, dict[str, Any]]:
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    tf.keras.utils.set_random_seed(0)
    channels = 3 if job.coloured() else 1

    def prepared(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return normalize(image if channels == 3 else image[:, :, 0], 1, 99.8, axis=(0, 1))

    images, ids = ([prepared(image) for image, _ in job.train], [fill_label_holes(ids) for _, ids in job.train])
    judged = [prepared(image) for image, _ in job.val], [fill_label_holes(ids) for _, ids in job.val]
    side = min(PATCH, min(min(image.shape[:2]) for image in [*images, *judged[0]]) // DIVISOR * DIVISOR)
    config = Config2D(
        n_rays=32, grid=(2, 2), n_channel_in=channels, train_patch_size=(side, side), train_tensorboard=False
    )
    model = StarDist2D(config, name="model", basedir=str(job.folder))
    model.prepare_for_training()
    stop = Stop(job)
    model.callbacks.append(stop)
    model.train(images, ids, validation_data=judged, augmenter=augmented, seed=0, epochs=NO_END)
    seconds = job.gone()
    thresholds = model.optimize_thresholds(*judged)
    facts = {"seconds": seconds, "steps": stop.steps, "fit_seconds": job.gone() - seconds, **thresholds}

    def predict(image: NDArray[np.uint8]) -> NDArray[Any]:
        ready = prepared(image)
        return model.predict_instances(ready, n_tiles=model._guess_n_tiles(ready), show_tile_progress=False)[0]

    return predict, facts


if __name__ == "__main__":
    serve(trained)
