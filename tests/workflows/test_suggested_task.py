"""The task that annotations suggest, and the reason."""

from __future__ import annotations

from pathlib import Path

from maskwright.core.classes import Classes
from maskwright.core.records import Dataset, ImageRef, MaskFile, MaskLayer, MaskLayers, Record
from maskwright.workflows.plan_parts.suggested_task import suggested_task

IDS = MaskFile(ImageRef(Path("a.png")), "instance")
FILES = MaskLayers((MaskLayer(MaskFile(ImageRef(Path("b.png")), "index"), 1),), objects=True)
CLASSES = Classes.named(("background", "cell"))


def suggested(*annotations: MaskFile | MaskLayers) -> tuple[str, str]:
    records = (Record(f"{n}", ImageRef(Path(f"{n}.png")), entry) for n, entry in enumerate(annotations))
    return suggested_task(Dataset(Path(), "folder", "", CLASSES, tuple(records)))


def test_the_reason_names_every_way_of_telling_objects_apart() -> None:
    end = "of its own; `task` semantic learns the classes only"
    assert suggested(IDS, IDS) == ("instance", f"each object has an id {end}")
    assert suggested(FILES) == ("instance", f"each object has a mask file {end}")
    assert suggested(FILES, IDS) == ("instance", f"each object has a mask file or an id {end}")
