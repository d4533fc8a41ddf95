"""Kinds of files of another task are named as such."""

from __future__ import annotations

import pytest

from maskwright.core.errors import MaskwrightError
from maskwright.tasks import TASKS
from maskwright.workflows.predict_parts.kinds import checked_kinds
from maskwright.workflows.predict_request import PredictRequest


def test_a_kind_of_another_task_is_refused_with_those_of_this_one():
    known = TASKS["instance"].writers
    with pytest.raises(MaskwrightError, match=r"^mask is a kind of file of the task semantic") as caught:
        checked_kinds(PredictRequest(save="mask"), known)
    assert str(caught.value).endswith(f"and this model writes {', '.join(known)}: choose from these")
    assert list(checked_kinds(PredictRequest(save=next(iter(known))), known)) == [next(iter(known))]
    with pytest.raises(MaskwrightError, match=r"^unknown kind of file 'masc'"):
        checked_kinds(PredictRequest(save="masc"), known)
