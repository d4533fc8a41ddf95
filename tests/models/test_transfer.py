from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from maskwright import models
from maskwright.core.channels import Channels, class_channels, edge_channel, object_channels
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, ModelPlan
from maskwright.models import bundle, transfer
from maskwright.tasks.formulations import FORMULATIONS

if TYPE_CHECKING:
    from pathlib import Path

SMALL: dict[str, Any] = {"widths": [4, 6, 8, 10], "depths": [1, 1, 1, 1]}
NAMES = ["sky", "Traffic-light", "road"]


def plan(name: str = "swiftnet", **options: Any) -> ModelPlan:
    return ModelPlan(name=name, backbone="compact", options={**SMALL, **options})


def saved(path: Path, model: ModelPlan, names: list[str], channels: int = 3) -> models.Segmenter:
    """Write a bundle whose class weights can be told apart."""
    torch.manual_seed(5)
    segmenter = models.create_from_plan(model, len(names), channels)
    data = DataPlan(channels=channels, mean=[0.0] * channels, std=[1.0] * channels)
    bundle.save(
        path, segmenter, bundle.Card(model=model, classes=bundle.CardClasses.of(Classes.named(names)), data=data)
    )
    return segmenter


def started(path: Path, model: ModelPlan, names: list[str]) -> tuple[models.Segmenter, transfer.TransferSummary]:
    torch.manual_seed(6)
    segmenter = models.create_from_plan(model, len(names), 3)
    return segmenter, transfer.take_over(segmenter, model, names, path)


def test_classes_of_the_same_name_keep_what_they_had_learnt(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    before = saved(path, plan(), NAMES)
    segmenter, taken = started(path, plan(), ["traffic light", "tree", "SKY", "car"])
    torch.manual_seed(6)
    fresh = models.create_from_plan(plan(), 4, 3)
    old, new, random = (net.head[1].weight for net in (before, segmenter, fresh))
    assert torch.equal(new[[0, 2]], old[[1, 0]])
    assert torch.equal(new[[1, 3]], random[[1, 3]])
    for part in ("backbone", "decoder"):
        theirs = getattr(before, part).state_dict()
        assert all(torch.equal(value, theirs[key]) for key, value in getattr(segmenter, part).state_dict().items())
    assert taken.kept == ("traffic light", "SKY")
    assert str(taken) == (
        f"weights from {path}: backbone and decoder; last layers copied for traffic light, SKY and random for tree, car"
    )


def test_as_many_classes_of_other_names_are_other_classes(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    before = saved(path, plan(), NAMES)
    segmenter, taken = started(path, plan(), ["road", "sky", "tree"])
    assert torch.equal(segmenter.head[1].weight[:2], before.head[1].weight[[2, 0]])
    assert not torch.equal(segmenter.head[1].weight[2], before.head[1].weight[2])
    assert taken.fresh == ("tree",)


def test_auxiliary_heads_are_taken_over_too(tmp_path: Path) -> None:
    path, model = tmp_path / "m.safetensors", plan("pspnet")
    before = saved(path, model, NAMES)
    segmenter, _ = started(path, model, ["road"])
    assert len(segmenter.aux) == 1
    mine, theirs = segmenter.aux.state_dict(), before.aux.state_dict()
    for name, value in mine.items():
        wanted = theirs[name][2:] if "classifier" in name else theirs[name]
        assert torch.equal(value, wanted), name


def test_every_axis_that_counts_classes_is_followed() -> None:
    """As for a transposed convolution from classes to classes."""
    fresh, old = torch.zeros(3, 3, 2), torch.arange(8.0).reshape(2, 2, 2)
    filled = transfer._with_rows(fresh, old, {0: 1, 1: 1}, 2, [(0, 2), (1, 0)])
    assert torch.equal(filled[2, 0], old[0, 1])
    assert torch.equal(filled[0, 0], old[1, 1])
    assert filled[1].abs().sum() == filled[:, 1].abs().sum() == 0
    assert transfer._with_rows(fresh, old, {0: 1}, 2, [(0, 0)]) is old, "another shape: left to be refused"


def test_of_another_architecture_only_the_backbone_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    before = saved(path, plan(), NAMES)
    segmenter, taken = started(path, plan("unet"), NAMES)
    theirs = before.backbone.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in segmenter.backbone.state_dict().items())
    assert str(taken) == f"weights from {path}: backbone only; decoder and last layers start at random"


@pytest.mark.parametrize("other", [plan(width=9), plan(widths=[4, 6, 8, 12]), plan("unet", widths=[4, 6, 8, 12])])
def test_a_part_that_does_not_fit_is_refused(tmp_path: Path, other: ModelPlan) -> None:
    path = tmp_path / "m.safetensors"
    saved(path, plan(), NAMES)
    with pytest.raises(MaskwrightError, match=r"m\.safetensors does not fit the network"):
        started(path, other, NAMES)


def test_other_channels_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    saved(path, plan(), NAMES, channels=1)
    with pytest.raises(MaskwrightError, match=r"takes images of 1 channels, but data.channels is 3: leave the setting"):
        started(path, plan(), NAMES)


def test_deeplab_v2_does_not_continue_v1_although_the_names_are_the_same(tmp_path: Path) -> None:
    options = {"width_factor": 1 / 16}
    plans = [ModelPlan(name=name, backbone="vgg16", options=options) for name in ("deeplabv1", "deeplabv2")]
    before, after = (models.create(plan.name, 2, backbone="vgg16", **options) for plan in plans)
    names = bundle.CardClasses.of(Classes.named(["a", "b"]))
    bundle.save(tmp_path / "m.safetensors", before, bundle.Card(model=plans[0], classes=names, data=DataPlan()))
    taken = transfer.take_over(after, plans[1], ["a", "b"], tmp_path / "m.safetensors")
    assert (taken.decoder, taken.kept, taken.fresh) == (False, (), ("a", "b"))


def test_the_random_state_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    saved(path, plan(), NAMES)
    segmenter = models.create_from_plan(plan(), 2, 3)
    torch.manual_seed(9)
    transfer.take_over(segmenter, plan(), ["a", "b"], path)
    drawn = torch.rand(3)
    torch.manual_seed(9)
    assert torch.equal(torch.rand(3), drawn)


def test_channels_of_another_meaning_are_not_classes(tmp_path: Path) -> None:
    """As many channels as classes, but a distance and an offset: their rows belong to no class of the same name."""
    path = tmp_path / "m.safetensors"
    before = saved(path, plan(), NAMES)
    groups = (Channels(name="heat", count=len(NAMES), activation="sigmoid"),)
    other = models.create_from_plan(plan(), len(NAMES), 3)
    other.load_state_dict(before.state_dict())
    other.groups = groups
    card = bundle.read_card(path).model_copy(update={"channels": groups})
    bundle.save(path, other, card)
    segmenter, taken = started(path, plan(), NAMES)
    torch.manual_seed(6)
    fresh = models.create_from_plan(plan(), len(NAMES), 3)
    assert taken.kept == ()
    assert torch.equal(segmenter.head[1].weight, fresh.head[1].weight)
    assert torch.equal(segmenter.head[1].bias, fresh.head[1].bias)


DENSE = {name: way.channels for name, way in FORMULATIONS.items()}


def dense(names: list[str], way: str, *, seed: int, model: ModelPlan | None = None) -> models.Segmenter:
    torch.manual_seed(seed)
    return models.create_from_plan(model or plan(), (*class_channels(len(names)), *DENSE[way]), 3)


@pytest.mark.parametrize(
    ("now", "way", "rows", "said"),
    [
        (
            ["background", "Cell"],
            "depth",
            [(0, 0), (1, 1), (2, 2), (3, 3)],
            "copied for background, Cell, depth, border",
        ),
        (
            ["dead", "background", "cell"],
            "depth",
            [(0, 1), (1, 2), (2, 3), (3, 4)],
            "copied for background, cell, depth, border and random for dead",
        ),
        (
            ["background", "cell"],
            "centres",
            [(0, 0), (1, 1)],
            "copied for background, cell and random for centre, offset; left out: depth, border",
        ),
    ],
)
@pytest.mark.parametrize("name", ["swiftnet", "pspnet"])  # the latter has an auxiliary head
def test_maps_of_objects_keep_the_rows_of_classes_and_of_what_tells_objects_apart(
    tmp_path: Path, now: list[str], way: str, rows: list[tuple[int, int]], said: str, name: str
) -> None:
    path, model, names = tmp_path / "m.safetensors", plan(name), ["background", "cell"]
    before = dense(names, "depth", seed=5, model=model)
    classes = bundle.CardClasses.of(Classes.named(names))
    card = bundle.Card(task="instance", channels=before.groups, model=model, classes=classes, data=DataPlan())
    bundle.save(path, before, card)
    segmenter, fresh = dense(now, way, seed=6, model=model), dense(now, way, seed=6, model=model)
    taken = transfer.take_over(segmenter, model, now, path)
    assert str(taken) == f"weights from {path}: backbone and decoder; last layers {said}"
    last = [key for key in before.state_dict() if key.startswith(("head.1.", "aux.0.classifier.1."))]
    assert len(last) == (4 if name == "pspnet" else 2)
    copied = {new: old for old, new in rows}
    for key in last:
        new, old, random = (net.state_dict()[key] for net in (segmenter, before, fresh))
        for row in range(len(new)):
            assert torch.equal(new[row], old[copied[row]] if row in copied else random[row]), (key, row)


def test_edges_learnt_beside_the_classes_are_dropped_and_kept_by_their_group(tmp_path: Path) -> None:
    path, names = tmp_path / "m.safetensors", ["sky", "road"]
    torch.manual_seed(5)
    before = models.create_from_plan(plan(), (*class_channels(2), edge_channel()), 3)
    classes = bundle.CardClasses.of(Classes.named(names))
    bundle.save(path, before, bundle.Card(channels=before.groups, model=plan(), classes=classes, data=DataPlan()))
    segmenter, taken = started(path, plan(), ["road", "sky"])
    assert torch.equal(segmenter.head[1].weight, before.head[1].weight[[1, 0]])
    assert (taken.kept, taken.fresh, taken.left) == (("road", "sky"), (), ("edges",))
    assert str(taken).endswith("; last layers copied for road, sky; left out: edges")
    edges = models.create_from_plan(plan(), (edge_channel(),), 3)
    taken = transfer.take_over(edges, plan(), ["edge"], path)
    assert torch.equal(edges.head[1].weight, before.head[1].weight[2:])
    assert (taken.kept, taken.fresh, taken.left) == (("edges",), (), ())


def test_an_auxiliary_head_that_the_source_lacks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    saved(path, plan(), NAMES)
    model = plan().model_copy(update={"aux_levels": [1]})
    segmenter = models.create_from_plan(model, len(NAMES), 3)
    fresh = segmenter.aux.state_dict()
    taken = transfer.take_over(segmenter, model, NAMES, path)
    assert all(torch.equal(value, fresh[key]) for key, value in segmenter.aux.state_dict().items())
    assert "; not in the source, so random: aux.0." in str(taken)
    other = models.create_from_plan(model.model_copy(update={"aux_levels": [2]}), len(NAMES), 3)
    bundle.save(path, segmenter, bundle.read_card(path).model_copy(update={"model": model}))
    taken = transfer.take_over(other, model.model_copy(update={"aux_levels": [2]}), NAMES, path)
    assert "; not in the source, so random: aux.0." in str(taken), "there, but of another shape"


def test_rows_of_segments_follow_their_classes_behind_the_row_for_none(tmp_path: Path) -> None:
    """From objects, of which the first row is the background, to segments, of which it is no class, and back."""
    path, model = tmp_path / "m.safetensors", plan("mask2former", width=8, heads=2, layers=[1, 1], queries=3)
    objects, segments = ["cat", "background", "dog"], ["sky", "dog", "cat"]  # rows: background, cat, dog; none, ...
    for names, rows, now, count, kept, pairs in (
        (objects, 3, segments, 4, ("dog", "cat"), [(0, 0), (2, 2), (1, 3)]),
        (segments, 4, objects, 3, ("background", "cat", "dog"), [(0, 0), (3, 1), (2, 2)]),
    ):
        before = models.create_from_plan(model, object_channels(rows), 3)
        classes = bundle.CardClasses.of(Classes.named(names))
        bundle.save(path, before, bundle.Card(channels=before.groups, model=model, classes=classes, data=DataPlan()))
        segmenter = models.create_from_plan(model, object_channels(count), 3)
        taken = transfer.take_over(segmenter, model, now, path)
        assert taken.kept == kept
        old, new = before.head.classes.weight, segmenter.head.classes.weight
        for source, place in pairs:
            assert torch.equal(new[place], old[source])


def test_rows_of_objects_follow_their_classes_and_the_background_its_meaning(tmp_path: Path) -> None:
    path, model = tmp_path / "m.safetensors", plan("maskrcnn", width=8)
    names = ["cat", "background", "dog", "cow"]  # rows: background, cat, dog, cow
    torch.manual_seed(5)
    before = models.create_from_plan(model, object_channels(4), 3)
    card = bundle.Card(
        task="instance",
        channels=before.groups,
        model=model,
        classes=bundle.CardClasses.of(Classes.named(names)),
        data=DataPlan(),
    )
    bundle.save(path, before, card)
    torch.manual_seed(6)
    segmenter = models.create_from_plan(model, object_channels(5), 3)
    torch.manual_seed(6)
    fresh = models.create_from_plan(model, object_channels(5), 3)
    now = ["void", "horse", "Dog", "hen", "cat"]  # rows: the same order
    taken = transfer.take_over(segmenter, model, now, path)
    assert (taken.kept, taken.fresh) == (("void", "Dog", "cat"), ("horse", "hen"))
    new, old, random = (net.state_dict() for net in (segmenter, before, fresh))
    last = "head.regions.mask_predictor.mask_fcn_logits", "head.regions.box_predictor.cls_score"
    corrections = "head.regions.box_predictor.bbox_pred"
    for name in (f"{layer}.{kind}" for layer in (*last, corrections) for kind in ("weight", "bias")):
        each = 4 if corrections in name else 1
        ours, theirs, drawn = (state[name].unflatten(0, (-1, each)) for state in (new, old, random))
        assert torch.equal(ours[[0, 2, 4]], theirs[[0, 2, 1]])
        assert torch.equal(ours[[1, 3]], drawn[[1, 3]])
    rest = [name for name in new if not name.startswith((*last, corrections))]
    assert all(torch.equal(new[name], old[name]) for name in rest)
