from __future__ import annotations

import itertools

import pytest
import torch

from maskwright.losses.lovasz import lovasz_extension


def jaccard_loss(truth: list[int], wrong: list[int]) -> float:
    """1 - IoU of the prediction that is wrong exactly at the pixels marked."""
    prediction = [t ^ w for t, w in zip(truth, wrong, strict=True)]
    either = sum(t | p for t, p in zip(truth, prediction, strict=True))
    both = sum(t & p for t, p in zip(truth, prediction, strict=True))
    return 1 - both / either


def by_definition(truth: list[int], errors: list[float]) -> float:
    """The Lovasz extension by its integral: sum over thresholds of the set function of the level set."""
    levels = sorted({0.0, *errors})
    return sum(
        (high - low) * jaccard_loss(truth, [int(error >= high) for error in errors])
        for low, high in itertools.pairwise(levels)
    )


TRUTHS = [truth for truth in itertools.product([0, 1], repeat=4) if any(truth)]


@pytest.mark.parametrize("truth", TRUTHS)
def test_is_the_jaccard_loss_at_every_vertex(truth: tuple[int, ...]) -> None:
    for wrong in itertools.product([0, 1], repeat=4):
        value = lovasz_extension(torch.tensor([wrong], dtype=torch.float64), torch.tensor([truth], dtype=torch.float64))
        assert value.item() == pytest.approx(jaccard_loss(list(truth), list(wrong)), abs=1e-12)


@pytest.mark.parametrize("truth", TRUTHS)
def test_is_the_extension_between_them(truth: tuple[int, ...]) -> None:
    errors = torch.rand(4, generator=torch.Generator().manual_seed(sum(truth)), dtype=torch.float64)
    value = lovasz_extension(errors[None], torch.tensor([truth], dtype=torch.float64))
    assert value.item() == pytest.approx(by_definition(list(truth), errors.tolist()), abs=1e-12)
