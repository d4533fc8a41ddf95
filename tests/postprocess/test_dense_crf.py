"""The dense CRF behind the seam of postprocessors."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import CrfPlan, PostprocessPlan
from maskwright.postprocess import POSTPROCESSORS, find_postprocessor, held_by
from maskwright.postprocess.crf import refine
from maskwright.postprocess.dense_crf import WHOLE, DenseCrf
from maskwright.postprocess.search import describe

SETTINGS = CrfPlan(w1=5, theta_alpha=12, theta_beta=9, w2=2, theta_gamma=1, iterations=2)


def test_an_unknown_postprocessor_is_named_with_the_known_ones() -> None:
    assert find_postprocessor("crf") is POSTPROCESSORS["crf"] is DenseCrf
    with pytest.raises(MaskwrightError, match="unknown postprocessor 'crff': did you mean 'crf'"):
        find_postprocessor("crff")


def test_every_method_has_its_section_of_the_plan() -> None:
    assert set(POSTPROCESSORS) <= set(PostprocessPlan.model_fields)


def test_settings_are_those_of_the_plan_or_the_default_ones() -> None:
    assert held_by(PostprocessPlan(crf=SETTINGS), "crf").settings == SETTINGS
    assert held_by(PostprocessPlan(crf=None), "crf").settings == DenseCrf().settings == CrfPlan()


def test_it_is_the_mean_field_with_its_settings() -> None:
    rng = np.random.default_rng(0)
    maps = rng.dirichlet(np.ones(3), (8, 9)).transpose(2, 0, 1).astype(np.float32)
    image = rng.integers(0, 256, (8, 9, 3), np.uint8)
    crf = DenseCrf(SETTINGS)
    np.testing.assert_array_equal(crf.apply(maps, image), refine(maps, image, SETTINGS))
    assert crf.reach == 24
    assert (crf.label, crf.describe()) == ("dense CRF", describe(SETTINGS))


def test_more_classes_and_channels_leave_room_for_fewer_pixels() -> None:
    crf = DenseCrf()
    assert crf.most_pixels(21, 3) == crf.most_pixels(2, 3) == crf.most_pixels(2, 1) == WHOLE
    assert crf.most_pixels(42, 3) == WHOLE // 2
    assert crf.most_pixels(21, 4) < WHOLE
