"""Which kinds of files a prediction writes. Writes none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.text import agree
from maskwright.tasks import TASKS
from maskwright.workflows.predict_parts.results import kind_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maskwright.tasks import Writer
    from maskwright.workflows.predict_request import PredictRequest


def checked_kinds(request: PredictRequest, known: Mapping[str, Writer]) -> dict[str, Writer]:
    """Return the writers of the kinds to save.

    Raises:
        MaskwrightError: no kind, an unknown one, two that write the same file, or a pixel size for none that measures.
    """
    save = [next(iter(known))] if request.save is None else request.save
    kinds = kind_names(save)
    if not kinds:
        raise MaskwrightError(f"`save` is empty, so nothing would be written: give {' or '.join(known)}")
    for kind in kinds:
        if kind not in known:
            others = [name for name, task in TASKS.items() if kind in task.writers]
            if others:
                message = f"{kind} is a kind of file of the task {' or '.join(others)}, and this model writes"
                raise MaskwrightError(f"{message} {', '.join(known)}: choose from these", "save")
            raise unknown_name("kind of file", kind, known, "save")
    shared = [kind for kind in kinds if known[kind].collect is not None]
    if len(shared) > len({known[kind].folder for kind in shared}):
        raise MaskwrightError(f"{' and '.join(shared)} would be written to the same file: save one of them")
    _check_pixel_size(request.pixel_size, kinds, known)
    along = [known[kind].along for kind in kinds]
    return {kind: known[kind] for kind in (*kinds, *along) if kind is not None}


def _check_pixel_size(pixel_size: str | None, kinds: list[str], known: Mapping[str, Writer]) -> None:
    if pixel_size is None or any(known[kind].measure for kind in kinds):
        return
    measuring = [kind for kind, writer in known.items() if writer.measure]
    cure = f"save {' or '.join(measuring)} too, or leave it out" if measuring else "leave it out"
    raise MaskwrightError(
        f"the pixel size {pixel_size} has no effect, as {' and '.join(kinds)} {agree(len(kinds), 'holds', 'hold')} no "
        f"measured lengths: {cure}",
        "pixel_size",
    )
