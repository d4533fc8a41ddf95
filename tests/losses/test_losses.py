from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from maskwright.core.channels import Channels, class_channels
from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import LossPlan
from maskwright.losses import LOSSES, WeightedSum, create, weighted_sum

OVERLAPS = ["dice", "jaccard", "tversky"]


def batch(seed: int, classes: int, shape: tuple[int, int, int] = (2, 4, 5), dtype: torch.dtype = torch.float64):
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape[0], classes, *shape[1:], generator=random, dtype=torch.float64) * 2
    target = torch.randint(0, max(classes, 2), shape, generator=random)
    target[torch.rand(shape, generator=random) < 0.2] = IGNORE
    return logits.to(dtype), target


def activation(classes: int) -> str:
    """What the channels of a network for so many classes mean."""
    return class_channels(classes)[0].activation


def planned(plan: LossPlan, classes: int) -> WeightedSum:
    return weighted_sum(plan, class_channels(classes)[0])


def one_row(*probabilities: float) -> torch.Tensor:
    """Logits (1, 2, 1, W) whose softmax gives class 1 the given probabilities."""
    p = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([(1 - p).log(), p.log()])[None, :, None]


# Golden numbers. Two pixels, labels 1 and 0; class 1 has probability 3/4 and 1/4, so the label has 3/4 both times.
GOLDEN = {
    "cross_entropy": math.log(4 / 3),
    "binary_cross_entropy": 0.0,  # its softplus sees the logits themselves: see its own test
    "balanced_cross_entropy": math.log(4 / 3),
    "focal": math.log(4 / 3) / 16,
    "ohem": math.log(4 / 3),  # both easy and equally hard: the hardest sixteenth is both
    # Half a pixel from the edge, on a diagonal of sqrt(5), a quarter of each pixel's probability is on the wrong side.
    "boundary": 0.5 * 0.25 / math.sqrt(5),
    "dice": 1 - 2 * 0.75 / (1 + 1),
    "jaccard": 1 - 0.75 / (1 + 1 - 0.75),
    "tversky": 1 - 0.75 / (0.75 + 0.3 * 0.25 + 0.7 * 0.25),
    "lovasz": 0.25,  # equal errors of 1/4, and the slopes sum to 1
    "mean_squared_error": 1 / 16,
}


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "binary_cross_entropy"])
def test_golden_number(name: str) -> None:
    loss = create(name)(one_row(0.75, 0.25), torch.tensor([[[1, 0]]]))
    assert loss.item() == pytest.approx(GOLDEN[name], abs=1e-12)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "lovasz"])
def test_golden_number_of_one_channel(name: str) -> None:
    logits = torch.tensor([[[[math.log(3), -math.log(3)]]]], dtype=torch.float64)
    loss = create(name, "sigmoid")(logits, torch.tensor([[[1, 0]]]))
    golden = math.log(4 / 3) if name == "binary_cross_entropy" else GOLDEN[name]
    assert loss.item() == pytest.approx(golden, abs=1e-12)


def test_balanced_cross_entropy_weighs_edges_by_the_background_of_their_image() -> None:
    # First image: one edge pixel of four known ones has weight 3/4, the others 1/4 times 1.2; the fifth is disputed.
    # Second image: two of five are edges, with weight 3/5, the others 2/5 times 1.2.
    # Third image: without an edge, it has weight 0.
    odds = math.log(3)
    logits = torch.tensor([[odds, odds, -odds, -odds, 9], [odds, -odds, odds, -odds, -odds], [odds] * 5])
    target = torch.tensor([[1, 0, 0, 0, IGNORE], [1, 1, 0, 0, 0], [0] * 5])
    right, wrong = math.log(4 / 3), math.log(4)
    first = 3 / 4 * right + 0.3 * (wrong + 2 * right)
    second = 3 / 5 * (right + wrong) + 0.48 * (wrong + 2 * right)
    weights = 3 / 4 + 3 * 0.3 + 2 * 3 / 5 + 3 * 0.48
    loss = create("balanced_cross_entropy", "sigmoid", background=1.2)(logits[:, None, None], target[:, None])
    assert loss.item() == pytest.approx((first + second) / weights)
    with pytest.raises(MaskwrightError, match=r"background is 0, and must be above 0; 1\.1 is usual"):
        create("balanced_cross_entropy", background=0)(*batch(0, 3))


def test_lovasz_hinge_golden_number() -> None:
    # Margins: 1 - 3 < 0 -> 0 for the true pixel, 1 + 0.5 for the false one, which alone costs 1 - 1/2.
    loss = create("lovasz", "sigmoid")(torch.tensor([[[[3.0, 0.5]]]]), torch.tensor([[[1, 0]]]))
    assert loss.item() == pytest.approx(1.5 * 0.5)


def test_asymmetric_costs_of_tversky() -> None:
    # Class 1: hit 0.5, predicted 0.5, true 1 -> 0.5 / (0.5 + beta 0.5).
    # Class 0: hit 1, predicted 1.5, true 1 -> 1 / (1 + alpha 0.5).
    loss = create("tversky", alpha=0.2, beta=0.8)(one_row(0.5, 1e-300), torch.tensor([[[1, 0]]]))
    assert loss.item() == pytest.approx(((1 - 0.5 / 0.9) + (1 - 1 / 1.1)) / 2, abs=1e-12)


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_agrees_with_torch(weights: list[float] | None, smoothing: float) -> None:
    logits, target = batch(0, 3)
    ours = create("cross_entropy", class_weights=weights, label_smoothing=smoothing)(logits, target)
    tensor = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    theirs = F.cross_entropy(logits, target, tensor, ignore_index=IGNORE, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_one_channel_is_a_softmax_of_two(smoothing: float) -> None:
    logits, target = batch(1, 1)
    two = torch.cat([torch.zeros_like(logits), logits], 1)
    for name, options in [
        ("cross_entropy", {"label_smoothing": smoothing, "class_weights": [0.3, 1.7]}),
        ("focal", {}),
    ]:
        one = create(name, "sigmoid", **options)(logits, target)
        torch.testing.assert_close(one, create(name, **options)(two, target))


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0]])
def test_one_against_the_rest_agrees_with_torch(weights: list[float] | None) -> None:
    logits, target = batch(2, 3)
    keep = target != IGNORE
    wanted = F.one_hot(target[keep], 3).double()
    channel = torch.tensor(weights or [1.0] * 3, dtype=torch.float64)
    each = F.binary_cross_entropy_with_logits(logits.permute(0, 2, 3, 1)[keep], wanted, reduction="none")
    theirs = (each * channel).sum() / (channel.sum() * keep.sum())
    torch.testing.assert_close(create("binary_cross_entropy", class_weights=weights)(logits, target), theirs)


def test_focal_agrees_with_torchvision() -> None:
    logits, target = batch(3, 1)
    keep = target != IGNORE
    theirs = sigmoid_focal_loss(logits[:, 0][keep], target[keep].double(), alpha=0.25, gamma=2, reduction="mean")
    torch.testing.assert_close(create("focal", "sigmoid", gamma=2, class_weights=[0.75, 0.25])(logits, target), theirs)


@pytest.mark.parametrize("classes", [1, 2, 4])
@pytest.mark.parametrize("name", ["dice", "jaccard", "mean_squared_error"])
def test_overlap_agrees_with_plain_numpy(name: str, classes: int) -> None:
    logits, target = batch(4, classes)
    x, y = logits.numpy(), target.numpy()
    p = 1 / (1 + np.exp(-x)) if classes == 1 else np.exp(x) / np.exp(x).sum(1, keepdims=True)
    keep = y != IGNORE
    costs = []
    for channel in range(classes):
        t = (y == (1 if classes == 1 else channel))[keep].astype(float)
        q = p[:, channel][keep]
        hit = (t * q).sum()
        costs.append(
            {
                "dice": 1 - 2 * hit / (t.sum() + q.sum()),
                "jaccard": 1 - hit / (t.sum() + q.sum() - hit),
                "mean_squared_error": ((t - q) ** 2).mean(),
            }[name]
        )
    found = create(name, activation(classes))(logits, target).item()
    assert found == pytest.approx(np.mean(costs), rel=1e-12)


@pytest.mark.parametrize("name", OVERLAPS)
def test_absent_class_has_no_term(name: str) -> None:
    logits, target = batch(5, 3)
    target[target == 2] = 0
    loss = create(name)(logits, target)
    # Dropping the absent class's own term, by hand: the mean of the other two.
    p = logits.softmax(1)
    costs = []
    alpha, beta = {"dice": (0.5, 0.5), "jaccard": (1, 1), "tversky": (0.3, 0.7)}[name]
    for label in (0, 1):
        t, q = (target == label).double(), p[:, label] * (target != IGNORE)
        hit = (t * q).sum()
        costs.append(1 - hit / (hit + alpha * (q.sum() - hit) + beta * (t.sum() - hit)))
    torch.testing.assert_close(loss, torch.stack(costs).mean())
    assert create(name)(torch.stack([10.0 * (target == c) for c in range(3)], 1), target).item() < 1e-3


def test_image_without_the_class_still_pays_for_it() -> None:
    target = torch.zeros(2, 1, 2, dtype=torch.int64)
    target[0] = 1
    wrong = torch.tensor([5.0, 5.0]).view(2, 1, 1, 1).expand(2, 1, 1, 2)
    right = torch.tensor([5.0, -5.0]).view(2, 1, 1, 1).expand(2, 1, 1, 2)
    for name in OVERLAPS:
        assert create(name, "sigmoid")(wrong, target) > create(name, "sigmoid")(right, target) + 0.2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", LOSSES)
def test_nothing_labelled_costs_nothing(name: str, classes: int, dtype: torch.dtype) -> None:
    logits = (torch.randn(2, classes, 3, 4) * 50).to(dtype).requires_grad_()
    loss = create(name, activation(classes))(logits, torch.full((2, 3, 4), IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_is_computed_in_single(name: str) -> None:
    logits, target = batch(6, 3, dtype=torch.bfloat16)
    exact = logits.float().requires_grad_()
    logits.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = create(name)(logits, target)
        loss.backward()
    reference = create(name)(exact, target)
    reference.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, reference)
    torch.testing.assert_close(logits.grad, exact.grad.bfloat16())


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_stay_finite(name: str, classes: int) -> None:
    logits = torch.tensor([3e4, -3e4]).repeat(2, classes, 3, 2).requires_grad_()
    target = torch.tensor([0, 1, 1, 0]).repeat(2, 3, 1)
    loss = create(name, activation(classes))(logits, target)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", LOSSES)
def test_gradient(name: str, classes: int) -> None:
    logits, target = batch(7, classes, (2, 2, 3))
    assert torch.autograd.gradcheck(lambda x: create(name, activation(classes))(x, target), logits.requires_grad_())


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy", "focal"])
def test_gradient_with_weights(name: str) -> None:
    logits, target = batch(8, 3, (2, 2, 3))
    options = {"class_weights": [0.2, 1.0, 1.8]} | ({"label_smoothing": 0.2} if name == "cross_entropy" else {})
    assert torch.autograd.gradcheck(lambda x: create(name, **options)(x, target), logits.requires_grad_())


@pytest.mark.parametrize("classes", [1, 3])
def test_gradient_of_all_losses_at_once(classes: int) -> None:
    logits, target = batch(9, classes, (2, 2, 3))
    plan = LossPlan(terms={name: 0.5 + index for index, name in enumerate(LOSSES)}, label_smoothing=0.1)
    loss = planned(plan, classes)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits.requires_grad_())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_memory_format_does_not_matter(layout: torch.memory_format) -> None:
    logits, target = batch(10, 3, (2, 6, 5), torch.float32)
    plain, laid = logits.clone().requires_grad_(), logits.contiguous(memory_format=layout).requires_grad_()
    loss = planned(LossPlan(), 3)
    loss(plain, target.contiguous()).backward()
    loss(laid, target.transpose(1, 2).contiguous().transpose(1, 2)).backward()
    torch.testing.assert_close(plain.grad, laid.grad)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 4), name=st.sampled_from(list(LOSSES)))
def test_ignored_pixels_are_never_seen(seed: int, classes: int, name: str) -> None:
    logits, target = batch(seed, classes)
    loss = create(name, activation(classes))
    changed = torch.where((target == IGNORE)[:, None], torch.randn_like(logits) * 30, logits).requires_grad_()
    value = loss(changed, target)
    value.backward()
    torch.testing.assert_close(value, loss(logits, target))
    assert (changed.grad[(target == IGNORE)[:, None].expand_as(logits)] == 0).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 4), name=st.sampled_from(list(LOSSES)))
def test_order_within_the_batch_does_not_matter(seed: int, classes: int, name: str) -> None:
    logits, target = batch(seed, classes, (3, 3, 4))
    loss = create(name, activation(classes))
    torch.testing.assert_close(loss(logits, target), loss(logits[[2, 0, 1]], target[[2, 0, 1]]))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 4), name=st.sampled_from(list(LOSSES)))
def test_no_loss_at_the_truth_and_some_elsewhere(seed: int, classes: int, name: str) -> None:
    _, target = batch(seed, classes)
    channels = [1] if classes == 1 else range(classes)
    perfect = torch.stack([torch.where(target == channel, 1e3, -1e3) for channel in channels], 1)
    assert create(name, activation(classes))(perfect, target).item() == pytest.approx(0, abs=1e-9)
    if name != "boundary":  # where an image shows one class alone there is none
        assert (
            create(name, activation(classes))(-perfect, target).item() > 0.1
            or not (target != IGNORE).any()
            or classes == 1
        )


# Hard pixels


def test_only_hard_pixels_count() -> None:
    """Labels 1 with p 0.5, 0.6, 0.8, 0.9: those up to 0.7 count, or the hardest three, or the hardest alone."""
    logits, target = one_row(0.5, 0.6, 0.8, 0.9), torch.ones(1, 1, 4, dtype=torch.int64)
    by_hand = [-math.log(p) for p in (0.5, 0.6, 0.8, 0.9)]
    for options, count in (({}, 2), ({"min_kept": 0.75}, 3), ({"min_kept": 0.7}, 3), ({"threshold": 0.3}, 1)):
        found = create("ohem", **options)(logits, target).item()
        assert found == pytest.approx(sum(by_hand[:count]) / count), options
    weighted = create("ohem", class_weights=[1.0, 3.0])(logits, target).item()
    assert weighted == pytest.approx(sum(by_hand[:2]) / 2)


def test_hard_pixels_are_chosen_among_the_labelled() -> None:
    logits = one_row(0.01, 0.8, 0.9, 0.95)
    target = torch.tensor([[[IGNORE, 1, 1, 1]]])
    assert create("ohem", min_kept=0.34)(logits, target).item() == pytest.approx(-math.log(0.8 * 0.9) / 2)


def test_all_pixels_are_hard_at_a_threshold_of_one() -> None:
    logits, target = batch(3, 3)
    torch.testing.assert_close(
        create("ohem", threshold=1.0, class_weights=[1, 2, 3])(logits, target),
        create("cross_entropy", class_weights=[1, 2, 3])(logits, target),
    )


# Boundaries


def test_the_boundary_loss_by_hand() -> None:
    """Truth 0 0 1 1 on a diagonal of sqrt(17): phi of class 1 is 1.5 .5 -.5 -1.5, and -phi that of class 0."""
    target = torch.tensor([[[0, 0, 1, 1]]])
    wrong = 1.5 * 0.2 + 0.5 * 0.4 + 0.5 * 0.3 + 1.5 * 0.1
    found = create("boundary")(one_row(0.2, 0.4, 0.7, 0.9), target).item()
    assert found == pytest.approx(wrong / 4 / math.sqrt(17))
    far, near = one_row(1 - 1e-9, 1e-9, 1 - 1e-9, 1 - 1e-9), one_row(1e-9, 1 - 1e-9, 1 - 1e-9, 1 - 1e-9)
    assert create("boundary")(far, target) > 2.9 * create("boundary")(near, target)


def test_one_channel_has_the_boundary_of_two() -> None:
    logits, target = batch(12, 1)
    two = torch.cat([torch.zeros_like(logits), logits], 1)
    torch.testing.assert_close(create("boundary", "sigmoid")(logits, target), create("boundary")(two, target))


def test_an_ignored_strip_is_no_boundary_of_its_own() -> None:
    """0 ? 1: the edge lies half-way between the labelled pixels less half a pixel, 1.5 from each of their centres."""
    target = torch.tensor([[[0, IGNORE, 1]]])
    found = create("boundary")(one_row(0.5, 0.99, 0.5), target).item()
    assert found == pytest.approx(2 * 1.5 * 0.5 / 2 / math.sqrt(10))
    beside = torch.tensor([[[1, IGNORE, 1]]])
    assert create("boundary")(one_row(0.5, 0.99, 0.5), beside).item() == 0


def test_a_class_without_a_boundary_costs_nothing() -> None:
    logits, target = batch(13, 3, (2, 4, 5))
    target[target == 2] = 0
    logits.requires_grad_()
    loss = create("boundary")(logits, target)
    # Probability of the absent class is taken from the others, where it costs what it should.
    loss.backward()
    assert loss > 0
    assert torch.isfinite(logits.grad).all()
    target[0] = 1
    alone = create("boundary")(logits.detach()[:1], target[:1])
    assert alone.item() == 0


def test_settings_of_a_loss_reach_it_through_the_plan() -> None:
    logits, target = batch(14, 3)
    plan = LossPlan(terms={"focal": 1.0}, options={"focal": {"gamma": 0.5}})
    torch.testing.assert_close(planned(plan, 3)(logits, target), create("focal", gamma=0.5)(logits, target))
    with pytest.raises(MaskwrightError, match=r"loss.options.dice is set, but loss.terms contains only focal"):
        planned(LossPlan(terms={"focal": 1.0}, options={"dice": {"a": 1}}), 3)
    with pytest.raises(MaskwrightError, match="did you mean 'gamma'"):
        planned(LossPlan(terms={"focal": 1.0}, options={"focal": {"gama": 1}}), 3)


def test_weighted_sum_is_the_sum() -> None:
    logits, target = batch(11, 3)
    plan = LossPlan(
        terms={"cross_entropy": 2.0, "dice": 0.5, "focal": 0.0}, class_weights=[1, 0.5, 1.5], label_smoothing=0.1
    )
    cross_entropy = create("cross_entropy", class_weights=[1, 0.5, 1.5], label_smoothing=0.1)
    expected = 2 * cross_entropy(logits, target) + 0.5 * create("dice")(logits, target)
    torch.testing.assert_close(planned(plan, 3)(logits, target), expected)


def test_errors_say_what_to_do() -> None:
    with pytest.raises(MaskwrightError, match="did you mean 'dice'"):
        create("dise")
    with pytest.raises(MaskwrightError, match="did you mean 'gamma'"):
        create("focal", gama=1)
    with pytest.raises(MaskwrightError, match="takes no options"):
        create("dice", smooth=1)
    with pytest.raises(MaskwrightError, match="2 entries for 3 labels"):
        planned(LossPlan(class_weights=[1, 1]), 3)
    with pytest.raises(MaskwrightError, match="at least one loss"):
        planned(LossPlan(terms={"dice": 0}), 3)
    with pytest.raises(MaskwrightError, match="0 or more"):
        planned(LossPlan.model_construct(terms={"dice": -1.0}, class_weights=None, label_smoothing=0.0), 3)
    with pytest.raises(MaskwrightError, match="2 class weights were given"):
        create("focal", class_weights=[1, 1])(*batch(0, 3))
    with pytest.raises(MaskwrightError, match="gamma is -1"):
        create("focal", gamma=-1)(*batch(0, 3))
    with pytest.raises(MaskwrightError, match=r"ohem: threshold is 0.7 and min_kept 2"):
        create("ohem", min_kept=2)(*batch(0, 3))
    with pytest.raises(MaskwrightError, match="above 0"):
        create("tversky", alpha=0)(*batch(0, 3))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("classes", "label"), [(1, 2), (3, 3), (3, -100)])
def test_a_label_without_a_channel_is_refused(name: str, classes: int, label: int) -> None:
    target = torch.zeros(1, 2, 2, dtype=torch.int64)
    target[0, 1, 1] = label
    with pytest.raises(
        MaskwrightError,
        match=rf"label {label}, but the logits have labels 0 to {max(classes, 2) - 1}: mark ignored pixels with 255",
    ):
        create(name, activation(classes))(torch.zeros(1, classes, 2, 2), target)


@pytest.mark.parametrize(
    ("logits", "target"),
    [((2, 3, 4, 4), (2, 8, 8)), ((2, 3, 4, 4), (2, 1, 4, 4)), ((2, 3, 4, 4), (1, 4, 4)), ((0, 3, 4, 4), (0, 4, 4))],
)
@pytest.mark.parametrize("name", LOSSES)
def test_shapes_that_do_not_match_are_refused(name, logits, target):
    with pytest.raises(
        MaskwrightError, match=r"a loss needs logits \(N, K, H, W\) and labels \(N, H, W\), no axis empty"
    ):
        create(name)(torch.zeros(logits), torch.zeros(target, dtype=torch.int64))


@pytest.mark.parametrize("name", LOSSES)
def test_what_one_channel_means_is_stated_and_not_guessed(name: str) -> None:
    target = torch.zeros(1, 2, 2, dtype=torch.int64)
    with pytest.raises(MaskwrightError, match="one channel, which has no softmax: give activation='sigmoid'"):
        create(name)(torch.zeros(1, 1, 2, 2), target)
    with pytest.raises(MaskwrightError, match=r"3 channels, and activation='sigmoid' takes one: give .*='softmax'"):
        create(name, "sigmoid")(torch.zeros(1, 3, 2, 2), target)


def test_a_weighted_sum_takes_the_activation_of_its_group() -> None:
    """A sigmoid has two labels, and so two weights, whatever the group is called."""
    logits, target = batch(15, 1)
    plan = LossPlan(terms={"cross_entropy": 1.0, "dice": 1.0}, class_weights=[0.5, 2.0])
    found = weighted_sum(plan, Channels(name="foreground", count=1, activation="sigmoid"))(logits, target)
    cross_entropy = create("cross_entropy", "sigmoid", class_weights=[0.5, 2.0])(logits, target)
    torch.testing.assert_close(found, cross_entropy + create("dice", "sigmoid")(logits, target))
    with pytest.raises(MaskwrightError, match="1 entries for 2 labels"):
        planned(LossPlan(class_weights=[1]), 1)
