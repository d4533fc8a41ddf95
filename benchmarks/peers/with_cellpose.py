"""Cellpose 3, from scratch: the settings of its command line for training without a pretrained model, images in grey.

SGD at 0.2, batches of 8, and the diameter of its own model of nuclei, which each training image is scaled to. Its rates
rise for 10 epochs and fall over the last 50 where there are more than 100. Few passes over the data fit into minutes on
a processor, so an epoch here is as many images as make about 200 epochs, by a few measured steps; the clock ends the
last.
"""

from __future__ import annotations

import contextlib
import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from cellpose import dynamics, models
from cellpose.train import train_seg
from exchange import Job, serve
from torch.optim.optimizer import register_optimizer_step_post_hook

if TYPE_CHECKING:
    from exchange import Predict

DIAMETER = 17.0
BATCH = 8
FEWEST = 5
PROBE = 5
EPOCHS = 200
GREY = [0, 0]


class TimeIsUpError(Exception):
    """Ends a training."""


def trained(job: Job) -> tuple[Predict, dict[str, Any]]:
    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    model = models.CellposeModel(gpu=False, pretrained_model=None, diam_mean=DIAMETER)
    # It leaves out images with fewer objects by default.
    images, ids = zip(*(pair for pair in job.train if len(np.unique(pair[1])) > FEWEST), strict=True)
    flows = dynamics.labels_to_flows(list(ids), device=model.device)
    (job.folder / "models").mkdir()
    ends: list[float] = []

    def stepped(*_: Any) -> None:
        ends.append(job.gone())
        if job.left() <= 0:
            raise TimeIsUpError

    def fit(net: torch.nn.Module, epochs: int, steps: int) -> None:
        train_seg(
            net, list(images), flows, channels=GREY, batch_size=BATCH, SGD=True, learning_rate=0.2, weight_decay=1e-5,
            min_train_masks=FEWEST, n_epochs=epochs, nimg_per_epoch=steps * BATCH, save_path=job.folder,
        )  # fmt: skip

    register_optimizer_step_post_hook(stepped)
    fit(copy.deepcopy(model.net), 1, PROBE)
    fitting = job.left() * (PROBE - 1) / (ends[-1] - ends[0])
    an_epoch = max(1, round(fitting / EPOCHS))
    epochs = math.ceil(1.05 * fitting / an_epoch)
    ends.clear()
    with contextlib.suppress(TimeIsUpError):
        fit(model.net, epochs, an_epoch)
    model.diam_labels = float(model.net.diam_labels)  # as when it is loaded from its file
    facts = {"seconds": job.gone(), "steps": len(ends), "epochs": epochs, "diameter": model.diam_labels}
    return lambda image: model.eval(image, channels=GREY)[0], facts


if __name__ == "__main__":
    serve(trained)
