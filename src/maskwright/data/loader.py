"""Batches for the training loop, prepared in advance by background threads. Knows no torch: it yields numpy arrays.

Every crop is a pure function of (seed, step, slot), so a batch is the same for any number of threads, after any resume,
and for any distribution of the slots over processes.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import cv2
import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.seeds import generator
from maskwright.data.augment import augmented_crop
from maskwright.data.sampling import Sampler
from maskwright.data.targets import unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from maskwright.core.plan import Plan
    from maskwright.core.targets import Target
    from maskwright.data.cache import DecodedCache
    from maskwright.data.sampling import Draw

    Encoded = dict[str, NDArray[Any]]
    Paste = Callable[[Target, Target, int], tuple[Target, NDArray[np.bool_]] | None]

# Batches prepared in advance: enough to hide one slow file, few enough for memory.
DEPTH = 4


class CropBatch(NamedTuple):
    """The crops of one step for one process.

    Attributes:
        step: optimiser step.
        images: uint8 (N, h, w, C).
        targets: name -> (N, h, w) or (N, K, h, w), as the task encodes them.
    """

    step: int
    images: NDArray[np.uint8]
    targets: Encoded


class CropSource(Protocol):
    """A source of crops: `TrainingCrops`, or any other class that returns one for (step, slot)."""

    batch: int

    def crop(self, step: int, slot: int) -> tuple[NDArray[np.uint8], Encoded]:
        """Return image uint8 (h, w, C) and its encoded target, name -> (h, w) or (K, h, w)."""
        ...


class TrainingCrops:
    """The training crops of a plan.

    A file that can no longer be read does not stop the training: its crops have no labels. If half of the images cannot
    be read, that is an error.

    Attributes:
        batch: crops in a batch, over all processes.
        faults: a sentence for each unreadable image; whoever reports them removes them.
    """

    def __init__(
        self,
        cache: DecodedCache,
        presence: Sequence[frozenset[int]],
        plan: Plan,
        encode: Callable[[Target], Encoded],
        paste: Paste | None = None,
    ) -> None:
        """Bind images to decisions.

        Args:
            cache: the training records.
            presence: one entry a record of `cache`: the class indices it contains.
            plan: its `sampling`, `augment` and `seed` are used.
            encode: turns the target of a crop into what the loss compares; see `tasks.base.Task.encode`.
            paste: lays objects of one crop over another where `augment.paste` wants it; see `tasks.base.Task.pasted`.
        """
        assert len(presence) == len(cache)
        self.batch = plan.sampling.batch
        self.faults: deque[str] = deque()
        self._bad: set[int] = set()
        self._lock = threading.Lock()
        self._cache = cache
        self._plan = plan
        self._encode, self._paste = encode, paste
        self._sampler = Sampler(presence, plan.sampling, plan.seed, cache.objects)

    def crop(self, step: int, slot: int) -> tuple[NDArray[np.uint8], Encoded]:
        """Return image uint8 (h, w, C) and the encoded target for one slot of one step.

        Raises:
            MaskwrightError: half of the images cannot be read; the message names one of them.
        """
        draw = self._sampler.draw(step, slot)
        rng = generator(self._plan.seed, "sample", step, slot)
        try:
            pixels, target = self._cropped(draw, rng)
            if self._paste is not None and self._plan.augment.paste:
                rng = generator(self._plan.seed, "paste", step, slot)
                donor = self._sampler.donor(step, slot, draw.record)
                if donor is not None and rng.random() < self._plan.augment.paste:
                    pixels, target = self._with_objects(pixels, target, donor, rng)
            return pixels, self._encode(target)
        except Exception as error:
            error.add_note(f"while making crop {slot} of step {step} from {self._cache.records[draw.record].image}")
            raise

    def _cropped(self, draw: Draw, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Target]:
        if draw.record in self._bad:
            return self._nothing()
        try:
            image, target = self._cache.get(draw.record)
            focus = None if draw.wanted is None else self._focus(draw.record, draw.wanted, rng)
        except MaskwrightError as error:
            self._leave_out(draw.record, error)
            return self._nothing()
        return augmented_crop(image, target, focus, self._plan.sampling, self._plan.augment, rng)

    def _with_objects(
        self, pixels: NDArray[np.uint8], target: Target, donor: Draw, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], Target]:
        """Paste the objects of the drawn class from a crop of another image."""
        assert self._paste is not None
        assert donor.wanted is not None
        others, theirs = self._cropped(donor, rng)
        found = self._paste(target, theirs, donor.wanted)
        if found is None:
            return pixels, target
        target, mask = found
        return np.where(mask[:, :, None], others, pixels), target

    def _leave_out(self, record: int, error: MaskwrightError) -> None:
        """Remember a record that cannot be read, and add it to the faults once.

        Raises:
            MaskwrightError: half of all records cannot be read.
        """
        with self._lock:
            if record not in self._bad:
                self._bad.add(record)
                self.faults.append(f"training continues without an image: {error}")
        if 2 * len(self._bad) >= len(self._cache):
            raise error

    def _nothing(self) -> tuple[NDArray[np.uint8], Target]:
        """Return a crop of which no loss sees a pixel."""
        height, width = self._plan.sampling.crop_size
        image = np.zeros((height, width, self._plan.data.channels), np.uint8)
        return image, unknown(self._readable(), (height, width))

    def _readable(self) -> Target:
        """Return the target of some record that can be read: it says which arrays there are."""
        for number in range(len(self._cache)):
            if number not in self._bad:
                with contextlib.suppress(MaskwrightError):
                    return self._cache.get(number)[1]
        raise MaskwrightError("not one training image can be read any more: put the data back")

    def _focus(self, record: int, index: int, rng: np.random.Generator) -> tuple[int, int] | None:
        points = self._cache.points(record, index)
        if not len(points):
            # The class is in the file, but vanishes at working resolution.
            return None
        row, column = points[rng.integers(len(points))]
        return int(row), int(column)


@dataclass(frozen=True)
class ProcessShare:
    """The rank of this process, and the number of processes."""

    rank: int = 0
    world_size: int = 1

    def slots(self, batch: int) -> range:
        """Return the slots of this process: contiguous, and an equal share as far as possible.

        Raises:
            MaskwrightError: a batch has fewer crops than there are processes.
        """
        if batch < self.world_size:
            raise MaskwrightError(
                f"sampling.batch is {batch}, but {self.world_size} processes train together and each needs at least "
                f"one crop: set sampling.batch to {self.world_size} or more"
            )
        return range(batch * self.rank // self.world_size, batch * (self.rank + 1) // self.world_size)


class Batches:
    """Iterates over the batches of steps `start`..`end - 1`, in order, and prepares `DEPTH` of them in advance.

    Use it in a `with` block: leaving the block stops the threads at any point of the iteration. An error in a thread is
    raised in the consumer, at the batch it belongs to.

    Meanwhile OpenCV's threads are switched off for the whole process (`cv2.setNumThreads(1)`): with several workers
    they would only compete for the cores.
    """

    def __init__(
        self, source: CropSource, start: int, end: int, *, threads: int = 1, share: ProcessShare | None = None
    ) -> None:
        """Start to prepare batches immediately.

        Args:
            source: returns a crop for (step, slot).
            start: first step.
            end: one past the last step.
            threads: number of threads that prepare batches.
            share: the share of this process in each batch; None for all slots.
        """
        self._opencv_threads: int | None = cv2.getNumThreads()
        cv2.setNumThreads(1)
        self._source = source
        self._slots = (share or ProcessShare()).slots(source.batch)
        self._steps = iter(range(start, end))
        self._stopped = threading.Event()
        self._pending: deque[Future[CropBatch]] = deque()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="maskwright-batches")
        for _ in range(max(DEPTH, threads)):
            self._submit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[CropBatch]:
        return self

    def __next__(self) -> CropBatch:
        if not self._pending:
            self.close()
            raise StopIteration
        batch = self._pending.popleft().result()
        self._submit()
        return batch

    def close(self) -> None:
        """Stop the threads and wait for them; the iteration then ends."""
        self._stopped.set()
        self._pending.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._opencv_threads is not None:
            cv2.setNumThreads(self._opencv_threads)
            self._opencv_threads = None

    def _submit(self) -> None:
        step = next(self._steps, None)
        if step is not None:
            self._pending.append(self._pool.submit(self._make, step))

    def _make(self, step: int) -> CropBatch:
        pairs = [self._sample(step, slot) for slot in self._slots]
        names = pairs[0][1]
        targets = {name: np.stack([target[name] for _, target in pairs]) for name in names}
        return CropBatch(step, np.stack([image for image, _ in pairs]), targets)

    def _sample(self, step: int, slot: int) -> tuple[NDArray[np.uint8], Encoded]:
        if self._stopped.is_set():
            # The batch is no longer needed.
            raise CancelledError
        return self._source.crop(step, slot)
