"""Maps to cleaner ones: one file a method, and `POSTPROCESSORS`, the one table of them. Knows no network and no file.

A method's name is its key in the plan's section `postprocess` too, where its settings lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.text import listing
from maskwright.postprocess.base import Fitted, Postprocessor, Sample
from maskwright.postprocess.dense_crf import DenseCrf
from maskwright.postprocess.edge_watershed import EdgeWatershed
from maskwright.postprocess.region_filter import RegionFilter
from maskwright.postprocess.superpixel_filter import SuperpixelFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.channels import Channels
    from maskwright.core.plan import PostprocessPlan

__all__ = ["POSTPROCESSORS", "Fitted", "Postprocessor", "Sample", "check_channels", "find_postprocessor", "held_by"]

POSTPROCESSORS: dict[str, type[Postprocessor]] = {
    "crf": DenseCrf,
    "superpixels": SuperpixelFilter,
    "edges": EdgeWatershed,
    "regions": RegionFilter,
}


def find_postprocessor(name: str) -> type[Postprocessor]:
    """Return a method by name.

    Raises:
        MaskwrightError: there is none of that name.
    """
    if name not in POSTPROCESSORS:
        raise unknown_name("postprocessor", name, POSTPROCESSORS, "postprocess")
    return POSTPROCESSORS[name]


def check_channels(name: str, groups: Sequence[Channels]) -> None:
    """Refuse a method that cannot be applied to what a network emits.

    Raises:
        MaskwrightError: it cannot, or there is no method of that name.
    """
    method = find_postprocessor(name)
    if not method.takes(groups):
        emitted = listing([group.name for group in groups])
        raise MaskwrightError(
            f"the {method.label} needs {method.needs}, and this model predicts {emitted}: leave `postprocess` out",
            f"postprocess.{name}",
        )


def held_by(plan: PostprocessPlan, name: str) -> Postprocessor:
    """Return a method with the settings that a plan or a bundle holds, or else the default ones.

    Raises:
        MaskwrightError: there is no method of that name.
    """
    return find_postprocessor(name)(getattr(plan, name))
