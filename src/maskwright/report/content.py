"""What a report is made of: plain results of the other rooms, gathered. Knows nothing of HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from maskwright.core.classes import Classes
    from maskwright.core.fingerprint import Fingerprint
    from maskwright.core.plan import Plan
    from maskwright.metrics.scores import Scores
    from maskwright.tasks import Legend, Panel

Gain = dict[str, dict[str, float | None]]
"""What a postprocessor changes: key of `Scores.mean` -> `without`, `with`, `gain`."""


@dataclass(frozen=True)
class Example:
    """One held-out image, drawn by its task.

    Attributes:
        id: of the record.
        score: the image's headline metric, or None where it is undefined.
        panels: image, truth, prediction and the like.
        note: the largest error in one sentence.
        legend: what the colours of the panels mean.
    """

    id: str
    score: float | None
    panels: tuple[Panel, ...]
    note: str
    legend: Legend


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything one page shows; whatever is empty or None is left out of it.

    Attributes:
        title: of the page, e.g. the data set's or the run's name.
        scores: on the images of `split`.
        classes: names and colours.
        split: which images were scored: `test`, `val`, `train`, `all`, or a place in words.
        plan: of the training.
        fingerprint: of the data.
        history: rows of `history.csv`: step, seconds, loss, lr, the headline metric (`val_KEY`) where a validation took
            place, and what further objectives add.
        examples: the worst images in the first half, the best in the second.
        environment: versions, revision and hashes, by name.
        postprocessor: name in a sentence of what follows the network in these scores, or None.
        gain: what it changes.
        notes: sentences on how the scores came about that a reader should know: files left out, a split guessed.
    """

    title: str
    scores: Scores
    classes: Classes
    split: str = "test"
    plan: Plan | None = None
    fingerprint: Fingerprint | None = None
    history: Sequence[Mapping[str, float | None]] = ()
    examples: Sequence[Example] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    postprocessor: str | None = None
    gain: Gain = field(default_factory=dict)
    notes: Sequence[str] = ()
