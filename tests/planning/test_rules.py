from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.planning.facts_by_hand import CPU, CUDA, facts, fingerprint, flat, kind, reason, values

from maskwright.core.errors import MaskwrightError
from maskwright.core.fingerprint import ChannelStats
from maskwright.core.plan import DataPlan, ModelPlan, OptimPlan, Plan, SamplingPlan, TrainPlan
from maskwright.planning import rules_data, rules_learning, rules_time
from maskwright.planning.facts import Pretrained
from maskwright.planning.measure import StepCost

HERE = Pretrained("timm:resnet18", available=True, reason="the weights are on this machine")


def plan(**sections: Any) -> Plan:
    return Plan(**sections)


# Pixels


def test_eight_bit_images_are_normalised_as_measured() -> None:
    decided = rules_data.normalisation(facts(), plan())
    assert values(decided) == {
        "data.channels": 3,
        "data.value_range": None,
        "data.mean": [100, 110, 0],
        "data.std": [50, 60, 1.0],  # a channel that never changes is not divided by nothing
    }
    assert "12 images" in reason(decided, "data.mean")


def test_other_images_are_stretched_between_their_percentiles() -> None:
    channel = ChannelStats(0, 65535, 3000, 500, 1000, 5000)
    found = fingerprint(channels={1: 12}, dtypes={"uint16": 12}, intensity=(channel,))
    decided = rules_data.normalisation(facts(found), plan())
    assert values(decided) == {
        "data.channels": 1,
        "data.value_range": [(1000, 5000)],
        "data.mean": [127.5],
        "data.std": [31.88],
    }
    assert "uint16" in reason(decided, "data.value_range")


@pytest.mark.parametrize(
    ("dtypes", "value_range", "words"),
    [
        ({"uint8": 9, "uint16": 3}, [(0.0, 255.0)], "9 of 12 images are 8-bit"),
        ({"uint8": 3, "uint16": 9}, [(100.0, 3000.0)], "9 of 12 images are uint16"),
    ],
)
def test_of_mixed_pixel_types_the_commonest_decides_the_range(dtypes, value_range, words) -> None:
    found = fingerprint(channels={1: 12}, dtypes=dtypes, intensity=(ChannelStats(0, 4095, 900, 300, 100, 3000),))
    decided = rules_data.normalisation(facts(found), plan())
    assert values(decided)["data.value_range"] == value_range
    assert words in reason(decided, "data.value_range")


def test_a_constant_channel_is_stretched_over_something() -> None:
    found = fingerprint(channels={1: 12}, dtypes={"float32": 12}, intensity=(ChannelStats(7, 7, 7, 0, 7, 7),))
    (low, high) = values(rules_data.normalisation(facts(found), plan()))["data.value_range"][0]
    assert low < high


@pytest.mark.parametrize(("counts", "channels"), [({3: 9, 1: 3}, 3), ({4: 12}, 4), ({2: 12}, 2), ({1: 7, 3: 5}, 1)])
def test_the_commonest_number_of_channels_counts(counts: dict[int, int], channels: int) -> None:
    found = fingerprint(channels=counts, intensity=fingerprint().intensity[:1] * channels)
    decided = values(rules_data.normalisation(facts(found), plan()))
    assert decided["data.channels"] == len(decided["data.mean"]) == len(decided["data.std"]) == channels


@pytest.mark.parametrize(
    ("long_side", "thickness", "scale"),
    [
        (320, 2.0, 1.0),  # small images stay
        (rules_data.LONG_SIDE, 1.0, 1.0),
        (4 * rules_data.LONG_SIDE, 400.0, 0.25),  # nothing thin: as far as the long side says
        (4 * rules_data.LONG_SIDE, 2 * rules_data.DETAIL, 0.5),  # the thinnest class keeps DETAIL pixels
        (4 * rules_data.LONG_SIDE, 0.5, 1.0),  # never enlarged
        (4 * rules_data.LONG_SIDE, None, 0.25),
    ],
)
def test_working_resolution(long_side: float, thickness: float | None, scale: float) -> None:
    found = fingerprint(long_side / 2, long_side, class_stats=(kind("a", 0.9, 400.0), kind("b", 0.1, thickness)))
    decided = rules_data.working_resolution(facts(found), plan())
    assert values(decided) == {"data.scale": scale}
    upright = replace(found, heights=found.widths, widths=found.heights)
    assert values(rules_data.working_resolution(facts(upright), plan())) == {"data.scale": scale}


def test_the_reason_of_the_resolution_has_its_figure() -> None:
    thin = fingerprint(2000, 4000, class_stats=(kind("ground", 0.9), kind("crack", 0.1, 8.0)))
    assert "crack is 8.0 px thick" in reason(rules_data.working_resolution(facts(thin), plan()), "data.scale")
    assert "4000 px" in reason(rules_data.working_resolution(facts(fingerprint(2000, 4000)), plan()), "data.scale")


def test_specks_do_not_decide() -> None:
    found = fingerprint(class_stats=(kind("a", 0.5, 9.0), kind("dust", 5e-5, 1.0), kind("void", 0.4, None)))
    thin = rules_data.thinnest(facts(found))
    assert thin is not None
    assert thin.name == "a"
    assert rules_data.thinnest(facts(fingerprint(class_stats=(kind("a", 1.0, None),)))) is None


@given(st.integers(8, 5000), st.integers(8, 5000), st.sampled_from(["cpu", "cuda"]))
def test_a_crop_is_a_multiple_of_the_stride_and_affordable(height: int, width: int, device: str) -> None:
    made = facts(fingerprint(height, width), replace(CPU, device=device))
    scale = min(1.0, rules_data.LONG_SIDE / max(height, width))
    (decision,) = rules_data.crop(made, plan(data=DataPlan(scale=scale)))
    for side in decision.value:
        assert side % rules_data.MULTIPLE == 0
        assert side >= 2 * rules_data.MULTIPLE
    most = max(rules_data.CROP_PIXELS[device], (2 * rules_data.MULTIPLE) ** 2)
    assert math.prod(decision.value) <= most * 1.35
    Plan(sampling=SamplingPlan(crop=decision.value))


def test_a_crop_has_the_shape_of_the_images() -> None:
    assert rules_data.crop(facts(fingerprint(240, 320)), plan())[0].value == (256, 320)
    height, width = rules_data.crop(facts(fingerprint(1000, 8000)), plan())[0].value
    assert height < width <= 2.5 * height


def test_rare_classes_are_sought() -> None:
    found = fingerprint(class_stats=(kind("a", 0.81), kind("b", 0.09), kind("gone", 0.0), kind("c", 0.01)))
    decided = rules_data.rare_classes(facts(found), plan())
    odds = values(decided)["sampling.class_odds"]
    assert values(decided)["sampling.rare_share"] == 0.5
    assert sum(odds) == pytest.approx(1, abs=1e-4)
    assert odds[2] == 0
    assert odds[3] / odds[0] == pytest.approx(9, rel=1e-3)
    assert odds[3] / odds[1] == pytest.approx(3, rel=1e-3)
    assert "c fills 1.00%" in reason(decided, "sampling.rare_share")


def test_with_one_class_there_is_nothing_rare() -> None:
    found = facts(fingerprint(class_stats=(kind("a", 1.0), kind("b", 0.0))))
    assert values(rules_data.rare_classes(found, plan())) == {"sampling.rare_share": 0.0}
    assert values(rules_learning.class_weights(found, plan())) == {"loss.class_weights": None}


@pytest.mark.parametrize(
    ("horizontal", "vertical", "flips"),
    [
        (1.0, 1.0, (0.5, 0.5, 0.5)),
        (0.95, 0.95, (0.5, 0.5, 0.5)),
        (1.0, 0.94, (0.5, 0.0, 0.0)),
        (0.6, 1.0, (0.5, 0.5, 0.0)),
        (0.59, 0.2, (0.0, 0.0, 0.0)),
    ],
)
def test_flips_only_where_the_masks_allow_them(
    horizontal: float, vertical: float, flips: tuple[float, float, float]
) -> None:
    found = fingerprint(flip_horizontal=horizontal, flip_vertical=vertical)
    decided = rules_data.flips(facts(found), plan())
    got = values(decided)
    assert (got["augment.flip_horizontal"], got["augment.flip_vertical"], got["augment.transpose"]) == flips
    assert got["augment.rotate"] == (15.0 if flips[2] else 5.0)
    assert f"{vertical:.0%}" in reason(decided, "augment.flip_vertical")


def test_small_crops_zoom_out_further() -> None:
    def low(side: int) -> float:
        made = facts(fingerprint(640, 640))
        return float(values(rules_data.zoom(made, plan(sampling=SamplingPlan(crop=(side, side)))))["augment.zoom"][0])

    assert low(640) == 0.75
    assert low(480) == pytest.approx(0.6)
    assert low(64) == 0.4


def test_colours_are_left_alone_where_there_are_none() -> None:
    def decided(channels: int) -> dict[str, Any]:
        data = DataPlan(channels=channels, mean=[0.0] * channels, std=[1.0] * channels)
        return values(rules_data.colour(facts(), plan(data=data)))

    assert decided(3) == {}
    for channels, mild in ((1, 0.2), (6, 0.1)):
        got = decided(channels)
        assert got["augment.hue"] == got["augment.saturation"] == 0
        assert got["augment.gamma"] == mild


# Learning


def test_the_network_suits_the_machine() -> None:
    assert values(rules_learning.architecture(facts(), plan())) == {"model.name": "swiftnet"}
    decided = rules_learning.architecture(facts(machine=CUDA, pretrained=HERE), plan())
    assert values(decided) == {"model.name": "deeplabv3plus", "model.backbone": "timm:resnet18"}
    assert "a GPU" in reason(decided, "model.name")


@pytest.mark.parametrize(
    ("thick", "scale", "finest"),
    [((30.0, 30.0), 1.0, 4), ((3.0, 30.0), 1.0, 2), ((3.0, 30.0, 30.0, 30.0), 1.0, 4), ((6.0, 30.0), 0.5, 2)],
)
def test_thin_classes_get_a_finer_stride(thick: tuple[float, ...], scale: float, finest: int) -> None:
    stats = tuple(kind(f"class-{number}", 1 / len(thick), value) for number, value in enumerate(thick))
    decided = rules_learning.fineness(facts(fingerprint(class_stats=stats)), plan(data=DataPlan(scale=scale)))
    assert values(decided)["model.options"]["finest"] == finest
    assert f"class-0, the thinnest class, is {thick[0] * scale:.1f} px" in reason(decided, "model.options")


def test_fineness_leaves_other_networks_alone() -> None:
    assert rules_learning.fineness(facts(), plan(model=ModelPlan(name="unet"))) == []
    assert rules_learning.fineness(facts(), plan(model=ModelPlan(backbone="timm:resnet18"))) == []
    nothing = facts(fingerprint(class_stats=(kind("a", 1.0, None),)))
    assert values(rules_learning.fineness(nothing, plan()))["model.options"]["finest"] == 4


def test_published_weights_only_where_the_backbone_has_them() -> None:
    def pretrained(model: ModelPlan, known: Pretrained = HERE) -> bool:
        return bool(
            values(rules_learning.starting_weights(facts(pretrained=known), plan(model=model)))["model.pretrained"]
        )

    assert pretrained(ModelPlan(backbone="timm:resnet18"))
    assert not pretrained(ModelPlan(backbone="compact"))
    assert not pretrained(ModelPlan(backbone="timm:resnet18"), replace(HERE, available=False))
    assert not pretrained(ModelPlan(backbone="timm:resnet18", weights="mine.safetensors"))
    decided = rules_learning.starting_weights(facts(), plan())
    assert reason(decided, "model.pretrained") == "the hub is out of reach"


def test_class_weights_have_mean_one_and_a_limit() -> None:
    found = fingerprint(class_stats=(kind("a", 0.64), kind("b", 0.16), kind("gone", 0.0), kind("c", 0.04)))
    decided = rules_learning.class_weights(facts(found), plan())
    weights = values(decided)["loss.class_weights"]
    assert weights == pytest.approx([3 * part for part in (1.25 / 8.75, 2.5 / 8.75, 1 / 3, 5 / 8.75)], abs=1e-4)
    assert "16 times" in reason(decided, "loss.class_weights")
    rare = fingerprint(class_stats=(kind("a", 0.5), kind("b", 0.5), kind("c", 1e-6)))
    first, _, last = values(rules_learning.class_weights(facts(rare), plan()))["loss.class_weights"]
    assert last / first == pytest.approx(rules_learning.MAX_CLASS_WEIGHT, rel=1e-3)


def test_optimiser_and_rate_go_together() -> None:
    scratch, gentle = plan(), plan(model=ModelPlan(pretrained=True))
    assert values(rules_learning.optimiser(facts(), scratch))["optim.name"] == "muon"
    assert values(rules_learning.optimiser(facts(), gentle))["optim.name"] == "adamw"
    for name, rate in rules_learning.RATES.items():
        optim = OptimPlan(name=name)
        (of_scratch,) = rules_learning.learning_rate(facts(), plan(optim=optim))
        (of_weights,) = rules_learning.learning_rate(
            facts(), plan(optim=optim, model=ModelPlan(weights="a.safetensors"))
        )
        assert of_scratch.value == rate
        assert of_weights.value == pytest.approx(rate / 6, abs=1e-6)
        assert name in of_scratch.reason


# The machine and the clock


@pytest.mark.parametrize(
    ("device", "bfloat16", "precision"),
    [
        ("cpu", True, "bf16-mixed"),
        ("cpu", False, "32-true"),
        ("cuda", True, "bf16-mixed"),
        ("cuda", False, "16-mixed"),
        ("mps", True, "32-true"),
    ],
)
def test_precision_follows_the_hardware(device: str, bfloat16: bool, precision: str) -> None:
    machine = replace(CPU, device=device, bfloat16=bfloat16)
    assert values(rules_time.precision(facts(machine=machine), plan())) == {"train.precision": precision}


@pytest.mark.parametrize(("free", "fits"), [(64, 8), (16, 8), (15.9, 7), (4, 2), (0.01, 1)])
def test_a_batch_fits_into_half_of_the_free_memory(free: float, fits: int) -> None:
    machine = replace(CPU, memory_bytes=int(free * 2**30))
    decided = rules_time.batch(facts(machine=machine), plan(), StepCost(1.0, 8 * 2**30))
    assert values(decided) == {"sampling.batch": fits}
    assert "8192 MiB" in reason(decided, "sampling.batch")


def test_steps_fill_the_time() -> None:
    made = facts(train_seconds=100.0)
    decided = rules_time.steps(made, plan(), StepCost(0.5, 1))
    assert values(decided) == {"train.steps": 200}
    assert "100 s at 0.500 s a step" in reason(decided, "train.steps")
    assert "200 crops an image" in reason(decided, "train.steps")
    assert rules_time.steps(facts(), plan(), StepCost(0.5, 1)) == []


@pytest.mark.parametrize(("seconds", "least"), [(3.0, "30s"), (-2.0, "30s"), (18.0, "10s")])
def test_a_budget_too_short_names_one_that_is_not(seconds: float, least: str) -> None:
    wanted = plan(train=TrainPlan(budget_seconds=5.0))
    with pytest.raises(MaskwrightError, match=rf"--budget 5s leaves {max(seconds, 0):.0f} s .* give {least} or more"):
        rules_time.steps(facts(train_seconds=seconds), wanted, StepCost(1.0, 1))


@pytest.mark.parametrize(("steps", "window"), [(10, 1), (200, 10), (100_000, 200)])
def test_the_average_covers_a_twentieth(steps: int, window: int) -> None:
    (decision,) = rules_time.averaging(facts(), plan(train=TrainPlan(steps=steps)))
    assert 1 / (1 - decision.value) - 1 == pytest.approx(window, rel=0.02)
    assert f"{window} of {steps} steps" in decision.reason


@given(st.integers(1, 100_000), st.integers(0, 500), st.floats(1e-3, 10), st.sampled_from([64, 240, 1080]))
def test_validations_cost_a_small_share(steps: int, there: int, seconds: float, side: int) -> None:
    made = facts(fingerprint(side, side, splits={"train": 8, "val": there}))
    wanted = plan(train=TrainPlan(steps=steps))
    decided = values(rules_time.validations(made, wanted, StepCost(seconds, 1)))
    images, count = decided["train.validation_images"], decided["train.validations"]
    assert 1 <= count <= min(10, max(steps // 5, 1))
    assert 1 <= images <= max(there, 1)
    each = seconds * rules_time.FORWARD_SHARE * side**2 / (8 * 256 * 256)
    if count > 1:
        assert count * images * each <= rules_time.VALIDATION_SHARE * steps * seconds * 1.001
    elif images > 8:
        assert images * each <= rules_time.VALIDATION_SHARE * steps * seconds


def test_long_trainings_are_scored_ten_times() -> None:
    made = facts(fingerprint(splits={"train": 8, "val": 500}))
    decided = values(rules_time.validations(made, plan(train=TrainPlan(steps=100_000)), StepCost(0.2, 1)))
    assert (decided["train.validation_images"], decided["train.validations"]) == (64, 10)


def test_one_thread_makes_batches_beside_a_cpu_and_all_but_one_beside_a_gpu() -> None:
    assert values(rules_time.threads(facts(), plan())) == {"train.threads": 1}
    assert values(rules_time.threads(facts(machine=CUDA), plan())) == {"train.threads": 7}


def test_common_images_are_one_tile_and_large_ones_several() -> None:
    def tile(height: float, width: float, scale: float = 1.0) -> tuple[int, int]:
        decided = rules_time.tiles(facts(fingerprint(height, width)), plan(data=DataPlan(scale=scale)))
        return tuple(values(decided)["predict.tile"])  # type: ignore[return-value]

    assert tile(360, 480) == (384, 480)
    assert tile(720, 960, 0.5) == (384, 480)
    assert tile(10, 10) == (64, 64)
    height, width = tile(8000, 4000)
    assert height * width <= rules_time.TILE_PIXELS * 1.1
    assert 1.9 < height / width < 2.1


def test_predictions_are_mirrored_only_where_the_masks_are_alike() -> None:
    for likeness, flip in ((1.0, True), (rules_data.MIRRORED, True), (0.5, False)):
        decided = rules_time.tiles(facts(fingerprint(flip_horizontal=likeness)), plan())
        assert values(decided)["predict.flip"] is flip


def test_spreads_of_sizes_use_the_median_and_the_ninetieth_percentile() -> None:
    mixed = fingerprint(heights=replace(flat(240), high=9000, p90=400), widths=replace(flat(320), high=9000, p90=500))
    assert values(rules_data.working_resolution(facts(mixed), plan()))["data.scale"] == 1.0
    assert tuple(values(rules_time.tiles(facts(mixed), plan()))["predict.tile"]) == (416, 512)
