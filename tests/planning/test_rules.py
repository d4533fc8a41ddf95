from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.planning.facts_by_hand import CPU, CUDA, facts, fingerprint, flat, kind, reason, values

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.core.fingerprint import ChannelStats, ClassStats, ObjectStats, Spread
from maskwright.core.plan import (
    AdversarialPlan,
    DataPlan,
    LoraPlan,
    LossPlan,
    ModelPlan,
    OptimPlan,
    Plan,
    SamplingPlan,
    TrainPlan,
)
from maskwright.planning import rules_classes, rules_data, rules_instance, rules_learning, rules_semantic, rules_time
from maskwright.planning.cost import StepCost
from maskwright.planning.facts import Pretrained
from maskwright.planning.task_rules import rules_of

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
    channel = ChannelStats(0, 65535, 9999, 999, 1000, 5000, 3000, 500)
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
    found = fingerprint(
        channels={1: 12}, dtypes=dtypes, intensity=(ChannelStats(0, 4095, 900, 300, 100, 3000, 900, 300),)
    )
    decided = rules_data.normalisation(facts(found), plan())
    assert values(decided)["data.value_range"] == value_range
    assert words in reason(decided, "data.value_range")


@pytest.mark.parametrize(("there", "wanted", "means"), [(3, 1, [70.0]), (1, 3, [100, 100, 100]), (4, 3, [100, 110, 0])])
def test_statistics_follow_the_channels_that_were_asked_for(there: int, wanted: int, means: list[float]) -> None:
    found = fingerprint(channels={there: 12}, intensity=(fingerprint().intensity * 2)[:there])
    decided = values(rules_data.normalisation(facts(found, channels=wanted), plan()))
    assert decided["data.mean"] == pytest.approx(means)
    assert len(decided["data.std"]) == wanted


def test_bands_are_not_made_into_others() -> None:
    with pytest.raises(MaskwrightError, match=r"data.channels is 5, and the images have 3: .* set it to 3"):
        rules_data.normalisation(facts(channels=5), plan())


def test_a_model_for_other_bands_is_named_and_not_a_setting_that_nobody_made() -> None:
    given = plan()
    given.model.weights = "run/model.safetensors"
    given.reasons["data.channels"] = "as in run/model.safetensors"
    with pytest.raises(
        MaskwrightError, match=r"^run/model\.safetensors takes images with 5 channels, and these have 3"
    ):
        rules_data.normalisation(facts(channels=5), given)


def test_a_constant_channel_is_stretched_over_something() -> None:
    found = fingerprint(channels={1: 12}, dtypes={"float32": 12}, intensity=(ChannelStats(7, 7, 7, 0, 7, 7, 7, 0),))
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
        (rules_data.LONG_SIDE["cpu"], 1.0, 1.0),
        (4 * rules_data.LONG_SIDE["cpu"], 400.0, 0.25),  # nothing thin: as far as the long side says
        (4 * rules_data.LONG_SIDE["cpu"], 2 * rules_data.DETAIL, 0.5),  # the thinnest class keeps DETAIL pixels
        (4 * rules_data.LONG_SIDE["cpu"], 0.5, 1.0),  # never enlarged
        (4 * rules_data.LONG_SIDE["cpu"], None, 0.25),
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


def test_large_images_stay_larger_on_a_gpu() -> None:
    found = facts(fingerprint(2000, 3072, class_stats=(kind("a", 0.9), kind("b", 0.1, 400.0))), CUDA)
    assert values(rules_data.working_resolution(found, plan())) == {"data.scale": 0.5}


def test_specks_and_backgrounds_do_not_decide() -> None:
    def thin(*stats: ClassStats) -> str | None:
        found = facts(fingerprint(class_stats=stats)).thinnest()
        return None if found is None else found.name

    dust = replace(kind("dust", 0.2, 1.0), objects=4)
    assert thin(kind("a", 0.5, 9.0), dust, kind("void", 0.4, None)) == "a"
    assert thin(kind("a", 0.5, 9.0), replace(dust, objects=5)) == "dust"
    assert thin(kind("background", 0.5, 2.0), kind("thing", 0.5, 9.0)) == "thing"
    assert thin(kind("ground", 0.71, 2.0), kind("thing", 0.29, 9.0)) == "thing"
    assert thin(kind("sky", 0.7, 2.0), kind("thing", 0.3, 9.0)) == "sky"
    assert thin(kind("a", 1.0, None)) is None


@given(st.integers(8, 5000), st.integers(8, 5000), st.sampled_from(["cpu", "cuda"]))
def test_a_crop_is_a_multiple_of_the_stride_and_affordable(height: int, width: int, device: str) -> None:
    made = facts(fingerprint(height, width), replace(CPU, device=device))
    scale = min(1.0, rules_data.LONG_SIDE[device] / max(height, width))
    (decision,) = rules_data.crop(made, plan(data=DataPlan(scale=scale)))
    for side in decision.value:
        assert side % rules_data.MULTIPLE == 0
        assert side >= 2 * rules_data.MULTIPLE
    most = max(rules_data.CROP_PIXELS[device], (2 * rules_data.MULTIPLE) ** 2)
    assert math.prod(decision.value) <= most * 1.35
    assert f"about {rules_data.CROP_PIXELS[device]} pixels" in decision.reason
    Plan(sampling=SamplingPlan(crop=decision.value))


def test_a_crop_has_the_shape_of_the_images() -> None:
    assert rules_data.crop(facts(fingerprint(240, 320)), plan())[0].value == (256, 320)
    height, width = rules_data.crop(facts(fingerprint(1000, 8000)), plan())[0].value
    assert height < width <= 2.5 * height


def test_a_crop_of_very_flat_images_is_flatter_still_rather_than_padded() -> None:
    assert rules_data.crop(facts(fingerprint(18, 700)), plan())[0].value == (64, 192)
    assert rules_data.crop(facts(fingerprint(100, 1600)), plan())[0].value == (96, 832)
    assert rules_data.crop(facts(fingerprint(1600, 100)), plan())[0].value == (832, 96)


def test_rare_classes_are_sought() -> None:
    found = fingerprint(class_stats=(kind("a", 0.81), kind("b", 0.09), kind("gone", 0.0), kind("c", 0.01)))
    decided = rules_semantic.rare_classes(facts(found), plan())
    odds = values(decided)["sampling.class_odds"]
    assert values(decided)["sampling.rare_share"] == 0.5
    assert sum(odds) == pytest.approx(1, abs=1e-4)
    assert odds[2] == 0
    assert odds[3] / odds[0] == pytest.approx(9, rel=1e-3)
    assert odds[3] / odds[1] == pytest.approx(3, rel=1e-3)
    assert "c, the rarest class, fills 1.00%" in reason(decided, "sampling.rare_share")
    alike = fingerprint(class_stats=(kind("a", 0.6), kind("b", 0.4)))
    assert "b, the rarest class, fills 40.00% of the pixels: no class is rare" in reason(
        rules_semantic.rare_classes(facts(alike), plan()), "sampling.rare_share"
    )
    weighed_alike = reason(rules_classes.class_weights(facts(alike), plan()), "loss.class_weights")
    assert "has 1.5 times the pixels" in weighed_alike


def test_nothing_is_sought_beyond_measure() -> None:
    stats = [kind(f"common-{number}", 0.1) for number in range(9)] + [kind("rare", 1e-5)]
    odds = values(rules_semantic.rare_classes(facts(fingerprint(class_stats=tuple(stats))), plan()))[
        "sampling.class_odds"
    ]
    assert sum(odds) == pytest.approx(1, abs=1e-4)
    assert odds[-1] == pytest.approx(0.5, abs=1e-4)  # five times a tenth
    assert odds[0] == pytest.approx(0.5 / 9, abs=1e-4)
    stats[-1] = replace(stats[-1], images={"train": 2, "val": 7})
    odds = values(rules_semantic.rare_classes(facts(fingerprint(class_stats=tuple(stats))), plan()))[
        "sampling.class_odds"
    ]
    assert odds[-1] == pytest.approx(0.1, abs=1e-4)  # two images would be learnt by heart


@given(st.lists(st.floats(1e-6, 1), min_size=2, max_size=12), st.lists(st.integers(0, 5), min_size=12, max_size=12))
def test_odds_sum_to_one_within_their_limits(shares: list[float], images: list[int]) -> None:
    stats = tuple(
        replace(kind(f"class-{number}", share / sum(shares)), images={"train": images[number]})
        for number, share in enumerate(shares)
    )
    odds = values(rules_semantic.rare_classes(facts(fingerprint(class_stats=stats)), plan()))["sampling.class_odds"]
    assert sum(odds) == pytest.approx(1, abs=1e-3)
    assert max(odds) <= rules_semantic.MOST_ODDS / len(shares) + 1e-4


def test_with_one_class_there_is_nothing_rare() -> None:
    found = facts(fingerprint(class_stats=(kind("a", 1.0), kind("b", 0.0))))
    assert values(rules_semantic.rare_classes(found, plan())) == {"sampling.rare_share": 0.0}
    assert values(rules_classes.class_weights(found, plan())) == {"loss.class_weights": None}


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
    own = {"model.name": "swiftnet", "model.backbone": "compact"}
    assert values(rules_learning.architecture(facts(), plan())) == own
    decided = rules_learning.architecture(facts(machine=CUDA, pretrained=HERE), plan())
    assert values(decided) == {"model.name": "deeplabv3plus", "model.backbone": "timm:resnet18"}
    assert "a GPU" in reason(decided, "model.name")
    decided = rules_learning.architecture(facts(machine=CUDA), plan())
    assert values(decided) == {**own, "model.options.widths": [64, 128, 256, 512]}
    installed = replace(HERE, backbone="timm:tf_efficientnet_lite0", reason="the package is installed")
    decided = rules_learning.architecture(facts(machine=CUDA, pretrained=installed), plan())
    assert values(decided) == {"model.name": "swiftnet", "model.backbone": "timm:tf_efficientnet_lite0"}
    assert reason(decided, "model.name") == "measured with the installed weights"
    assert reason(decided, "model.backbone") == "the package is installed"


@pytest.mark.parametrize(
    ("task", "images", "said"), [("semantic", 5, True), ("semantic", 6, False), ("instance", 5, False)]
)
def test_of_few_images_a_forest_is_named_too(task: str, images: int, said: bool) -> None:
    decided = rules_learning.architecture(replace(facts(), train_images=images), plan(task=task))
    assert decided[0].value == "swiftnet"
    assert ("a forest (`model.name=forest`) is grown in about a minute" in decided[0].reason) == said


@pytest.mark.parametrize(("name", "backbone"), [("fcn8s", None), ("deeplabv3plus", None), ("unet", "vgg16")])
def test_only_the_compact_backbone_is_made_wider_or_narrower(name: str, backbone: str | None) -> None:
    chosen = plan(model=ModelPlan(name=name, backbone=backbone))
    assert not rules_learning.compact(chosen)
    decided = values(rules_learning.architecture(facts(machine=CUDA), chosen))
    own = {} if backbone else {"model.backbone": models.MODELS[name].default_backbone}
    assert decided == {"model.name": "swiftnet", **own}
    assert rules_learning.compact(plan(model=ModelPlan(name=name, backbone="compact")))
    assert rules_learning.compact(plan(model=ModelPlan(name="unet")))


def test_a_network_of_its_own_shape_is_slimmed_its_own_way() -> None:
    own = models.MODELS["unet2015"].slim
    assert rules_learning.slimmer(plan(model=ModelPlan(name="unet2015"))) == own
    assert rules_learning.slimmer(plan(model=ModelPlan(name="unet2015", backbone="timm:resnet18"))) == {}
    assert rules_learning.slimmer(plan(model=ModelPlan(name="unet2015", weights="w.safetensors"))) == {}
    assert rules_learning.slimmer(plan()) == {"widths": rules_learning.NARROW}
    count = [
        sum(weight.numel() for weight in models.create("unet2015", 6, **options).parameters()) for options in ({}, own)
    ]
    assert count[1] < 0.07 * count[0]


@pytest.mark.parametrize(
    ("p10", "side", "scale", "finest"),
    [(2.0, 480, 1.0, 2), (11.9, 480, 1.0, 2), (12.0, 480, 1.0, 4), (12.0, 480, 0.9, 2), (2.0, 1001, 1.0, 4)],
)
def test_stride_two_unless_all_is_thick_or_large(p10: float, side: int, scale: float, finest: int) -> None:
    organ = replace(kind("organ", 0.1), thickness=Spread(1, p10, 40, 50, 60))
    found = fingerprint(side, 1000, class_stats=(kind("background", 0.9, 3.0), organ))
    decided = rules_learning.fineness(facts(found), plan(data=DataPlan(scale=scale)))
    assert values(decided) == {"model.options.finest": finest}
    figure = (
        "1000x1001"
        if side > 1000
        else f"10% of the objects of organ, the thinnest class, are below {p10 * scale:.1f} px"
    )
    assert figure in reason(decided, "model.options.finest")


def test_fineness_leaves_other_networks_alone() -> None:
    assert rules_learning.fineness(facts(), plan(model=ModelPlan(name="unet"))) == []
    assert rules_learning.fineness(facts(), plan(model=ModelPlan(backbone="timm:resnet18"))) == []
    nothing = facts(fingerprint(class_stats=(kind("a", 1.0, None),)))
    assert values(rules_learning.fineness(nothing, plan())) == {"model.options.finest": 2}


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


def test_pretrained_weights_bring_their_normalisation() -> None:
    known = facts(pretrained=replace(HERE, mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 40.0]))
    started = ModelPlan(pretrained=True)
    decided = rules_data.weights_normalisation(known, plan(model=started))
    assert values(decided) == {"data.mean": [120.0, 110.0, 100.0], "data.std": [60.0, 50.0, 40.0]}
    five = DataPlan(channels=5, mean=[0.0] * 5, std=[1.0] * 5)
    decided = rules_data.weights_normalisation(known, plan(model=started, data=five))
    assert values(decided) == {"data.mean": [110.0] * 5, "data.std": [50.0] * 5}
    assert rules_data.weights_normalisation(known, plan()) == []


LITE = Pretrained("timm:tf_efficientnet_lite0", available=True, reason="the weights are on this machine")


def test_a_processor_starts_from_the_weights_of_the_package() -> None:
    decided = rules_learning.architecture(facts(pretrained=LITE), plan())
    assert values(decided) == {"model.name": "swiftnet", "model.backbone": LITE.backbone}
    assert "81.5 on pedestrians, against 62.3 from scratch" in reason(decided, "model.backbone")
    started = plan(model=ModelPlan(backbone=LITE.backbone, pretrained=True))
    assert values(rules_learning.optimiser(facts(), started))["optim.name"] == "muon"
    by_muon = started.model_copy(update={"optim": OptimPlan(name="muon")})
    assert values(rules_learning.backbone_rate(facts(), by_muon)) == {"optim.backbone_lr": 0.1}
    frozen = started.model_copy(update={"optim": OptimPlan(name="muon", freeze="backbone")})
    assert rules_learning.backbone_rate(facts(), frozen) == []  # the plan refuses a rate for what is not trained
    for thickness, finest in ((11.0, 2), (12.0, 4)):
        found = fingerprint(class_stats=(kind("ground", 0.9), kind("leaf", 0.1, thickness)))
        assert values(rules_learning.fineness(facts(found), started)) == {"model.options.finest": finest}
    assert not rules_learning.widths_are_open(started)


@pytest.mark.parametrize(
    "model",
    [
        ModelPlan(),
        ModelPlan(backbone=LITE.backbone),
        ModelPlan(backbone=LITE.backbone, weights="w.pth"),
        ModelPlan(backbone="timm:resnet18", pretrained=True),
    ],
)
def test_other_backbones_learn_at_the_rate_of_all(model: ModelPlan) -> None:
    assert not rules_learning.lite(plan(model=model))
    assert rules_learning.backbone_rate(facts(), plan(model=model)) == []
    adam = plan(model=ModelPlan(backbone=LITE.backbone, pretrained=True), optim=OptimPlan(name="adamw"))
    assert rules_learning.backbone_rate(facts(), adam) == []


def weights_of(*shares: float) -> list[float]:
    found = fingerprint(class_stats=tuple(kind(f"class-{number}", share) for number, share in enumerate(shares)))
    decided = rules_classes.class_weights(facts(found), plan())
    return list(values(decided)["loss.class_weights"])


def test_class_weights_have_mean_one_and_a_limit() -> None:
    expected = [3 * part for part in (1.25 / 8.75, 2.5 / 8.75, 1 / 3, 5 / 8.75)]
    assert weights_of(0.64, 0.16, 0.0, 0.04) == pytest.approx(expected, abs=1e-4)
    first, _, last = weights_of(0.5, 0.5, 1e-6)
    assert last / first == pytest.approx(10, rel=1e-3)
    first, last = weights_of(0.9, 0.1)
    assert last / first == pytest.approx(3, rel=1e-3)


def weighed(way: str, **loss: float) -> tuple[list[float], str]:
    """Three classes that are there and one that is not: 100, 400 and 900 pixels in 1, 2 and 9 of the images."""
    stats = tuple(
        ClassStats(name, pixels, pixels / 1400, {"train": images}, objects, None, None)
        for name, pixels, images, objects in [("a", 100, 1, 1), ("b", 400, 2, 2), ("no", 0, 0, 0), ("c", 900, 9, 50)]
    )
    decided = rules_classes.class_weights(
        facts(fingerprint(class_stats=stats)), plan(loss=LossPlan(class_weighting=way, **loss))
    )
    return values(decided)["loss.class_weights"], reason(decided, "loss.class_weights")


def test_median_frequency_by_hand() -> None:
    """Frequencies 100 / 1, 400 / 2 and 900 / 9 pixels an image: median 100."""
    found, why = weighed("median-frequency")
    assert found == pytest.approx([1 / (2.5 / 3), 0.5 / (2.5 / 3), 1.0, 1 / (2.5 / 3)], abs=1e-4)
    assert "b" in why


def test_class_balanced_by_hand() -> None:
    """Beta 1/2: effective numbers 1, 1.5 and 2; beta 0: all alike."""
    found, why = weighed("class-balanced", class_balance=0.5)
    mean = (1 + 2 / 3 + 0.5) / 3
    assert found == pytest.approx([1 / mean, 2 / 3 / mean, 1.0, 0.5 / mean], abs=1e-4)
    assert "1 to 50" in why
    assert weighed("class-balanced", class_balance=0.0)[0] == [1.0] * 4
    nearly, _ = weighed("class-balanced", class_balance=1 - 1e-9)
    assert nearly[0] / nearly[3] == pytest.approx(50, rel=1e-3)


def test_no_weighting_is_none() -> None:
    assert weighed("none") == (None, "loss.class_weighting is none: all classes have equal weight")


def test_a_discriminator_is_as_wide_as_the_machine_affords() -> None:
    asked = plan(adversarial=AdversarialPlan(weight=0.1))
    assert rules_learning.discriminator(facts(), plan()) == []
    assert values(rules_learning.discriminator(facts(), asked)) == {"adversarial.width": 24}
    assert values(rules_learning.discriminator(facts(machine=CUDA), asked)) == {"adversarial.width": 96}


@pytest.mark.parametrize(("classes", "dice"), [(2, 1.0), (50, 1.0), (51, 0.5)])
def test_dice_counts_half_where_batches_lack_most_classes(classes: int, dice: float) -> None:
    found = facts(fingerprint(class_stats=tuple(kind(f"class-{number}", 1 / classes) for number in range(classes))))
    decided = rules_semantic.loss(found, plan())
    assert values(decided) == {"loss.terms": {"cross_entropy": 1.0, "dice": dice}}
    assert f"{1 / classes:.2%}" in decided[0].reason or f"{classes} classes" in decided[0].reason


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
        assert of_weights.value == pytest.approx(rate if name == "muon" else rate / 6, abs=1e-6)
        assert name in of_scratch.reason
        wish = plan(optim=optim, model=ModelPlan(weights="a.safetensors"), lora=LoraPlan(rank=8))
        (of_lora,) = rules_learning.learning_rate(facts(), wish)
        assert of_lora.value == rate, "at a sixth it reached 53.5 mIoU on pedestrians instead of 58.9"


def test_the_rate_grows_with_the_root_of_the_batch() -> None:
    for size, factor in ((2, 0.5), (8, 1.0), (32, 2.0)):
        wanted = plan(optim=OptimPlan(name="sgd"), sampling=SamplingPlan(batch=size))
        (decided,) = rules_learning.learning_rate(facts(), wanted)
        assert decided.value == pytest.approx(0.05 * factor)
        assert (f"square root of {size}/8" in decided.reason) is (size != 8)


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


PIXELS = 8 * 256 * 256
"""Of one step of a plan made of defaults."""


def costing(seconds: float, gibibytes: float = 0.001) -> StepCost:
    """A step of a plan made of defaults that takes so long, and keeps so much."""
    return StepCost(seconds / PIXELS, 0.0, gibibytes * 2**30 / PIXELS)


def test_crops_that_a_step_waits_for_are_a_part_of_it() -> None:
    cost = replace(costing(0.5), update_seconds=0.1, crop_seconds=0.05 / PIXELS, busy=2.0)
    assert cost.seconds(plan()) == pytest.approx(0.65)
    assert cost.undisturbed().seconds(plan()) == pytest.approx(0.325)


@pytest.mark.parametrize(("device", "usual"), [("cpu", 8), ("mps", 8), ("cuda", 16)])
def test_the_usual_batch_suits_the_device(device: str, usual: int) -> None:
    made = facts(machine=replace(CPU, device=device))
    assert values(rules_time.usual_batch(made, plan())) == {"sampling.batch": usual}


@pytest.mark.parametrize(
    ("free", "fits", "recomputes"), [(64, 8, False), (16, 8, False), (15.9, 7, False), (2, 1, False), (1.9, 1, True)]
)
def test_a_batch_fits_into_half_of_the_free_memory(free: float, fits: int, recomputes: bool) -> None:
    machine = replace(CPU, memory_bytes=int(free * 2**30))
    decided = rules_time.batch(facts(machine=machine), plan(), costing(1.0, 8))
    assert values(decided)["sampling.batch"] == fits
    assert values(decided).get("train.gradient_checkpointing", False) is recomputes
    assert "8192 MiB" in reason(decided, "sampling.batch")


def test_accumulation_splits_the_batch_in_memory_and_not_in_time() -> None:
    whole, split = plan(), plan(optim=OptimPlan(accumulate=4))
    cost = costing(1.0, 8)
    assert cost.seconds(split) == cost.seconds(whole) == pytest.approx(1.0)
    assert cost.activation_bytes(split) == pytest.approx(cost.activation_bytes(whole) / 4)


def test_steps_fill_the_time() -> None:
    made = facts(train_seconds=100.0)
    decided = rules_time.steps(made, plan(), costing(0.5))
    assert values(decided) == {"train.steps": 200}
    assert "100 s at 0.500 s per step" in reason(decided, "train.steps")
    assert "200 crops per image" in reason(decided, "train.steps")
    assert rules_time.steps(facts(), plan(), costing(0.5)) == []
    smaller = plan(sampling=SamplingPlan(batch=4))
    assert values(rules_time.steps(made, smaller, costing(0.5))) == {"train.steps": 400}


@pytest.mark.parametrize(("batch", "steps"), [(8, 5), (3, 14), (1, 40)])
def test_epochs_count_by_the_batch_that_is_used(batch: int, steps: int) -> None:
    made = facts(epochs=5.0)
    decided = rules_time.steps(made, plan(sampling=SamplingPlan(batch=batch)), costing(0.5))
    assert values(decided) == {"train.steps": steps}
    assert "5 epochs, set by hand" in reason(decided, "train.steps")


@pytest.mark.parametrize(("seconds", "least"), [(3.0, "30s"), (-2.0, "40s"), (18.0, "10s")])
def test_a_budget_too_short_names_one_that_is_not(seconds: float, least: str) -> None:
    """17 s more for the steps are 20 s more of budget: 15% of it are for the evaluation."""
    wanted = plan(train=TrainPlan(budget_seconds=5.0))
    words = rf"^the budget of 5 s leaves {max(seconds, 0):.0f} s .* give {least} or more$"
    with pytest.raises(MaskwrightError, match=words) as refused:
        rules_time.steps(facts(train_seconds=seconds), wanted, costing(1.0))
    assert refused.value.key == "train.budget_seconds"


def test_too_few_steps_are_made_cheaper() -> None:
    made, cost = facts(train_seconds=100.0), costing(0.5)
    assert values(rules_time.widths(made, plan(), cost)) == {"model.options.widths": [24, 48, 96, 160]}
    assert "only 200 steps" in reason(rules_time.widths(made, plan(), cost), "model.options.widths")
    assert rules_time.widths(made, plan(model=ModelPlan(backbone="timm:resnet18")), cost) == []
    assert rules_time.widths(made, plan(model=ModelPlan(weights="compact.safetensors")), cost) == []
    assert rules_time.widths(made, plan(model=ModelPlan(options={"depths": [1, 1]})), cost) == []
    assert rules_time.widths(facts(train_seconds=151.0), plan(), cost) == []
    assert rules_time.widths(facts(), plan(), cost) == []
    height, width = values(rules_time.smaller_crop(made, plan(), cost))["sampling.crop"]
    assert height * width == pytest.approx(256 * 256 / 2, rel=0.15)
    assert rules_time.smaller_crop(facts(train_seconds=151.0), plan(), cost) == []


@pytest.mark.parametrize(
    ("seconds", "images", "side", "thickness", "scale"),
    [
        (300.0, 240, 256, 400.0, None),  # 300 steps of 8 crops: 10 passes
        (300.0, 480, 256, 400.0, 0.577),  # 5 passes are made 15
        (300.0, 24000, 256, 400.0, 0.5),  # a tenth of a pass: as far as half
        (300.0, 24000, 256, 5.0, 0.8),  # the thinnest class keeps its 4 pixels
        (300.0, 24000, 256, 3.0, None),
        (150.0, 24, 256, 400.0, None),  # half of what is enough steps
        (100.0, 24, 256, 400.0, 0.577),  # a third of it, of which shrinking makes enough
        (100.0, 12, 362, 400.0, 0.5),  # twice the pixels of a crop: half the side makes crops of half the pixels
        (100.0, 3, 724, 400.0, None),  # at half the side an image is larger than a crop still: no step is gained
        (10.0, 24, 256, 400.0, 0.5),
        (0.0, 24, 256, 400.0, 0.5),
    ],
)
def test_images_shrink_where_they_or_the_steps_would_be_few(
    seconds: float, images: int, side: int, thickness: float, scale: float | None
) -> None:
    stats = (kind("background", 0.9), kind("thing", 0.1, thickness))
    made = facts(fingerprint(side, side, class_stats=stats), train_seconds=seconds, train_images=images)
    decided = rules_time.resolution(made, plan(), costing(1.0))
    assert values(decided).get("data.scale") == scale
    cause = f"only {seconds:.0f} steps fit" if 0 < seconds < 150 else "each pixel would be seen"
    assert all(cause in decision.reason for decision in decided)
    assert rules_time.resolution(replace(made, train_seconds=None), plan(), costing(1.0)) == []


@pytest.mark.parametrize(("seconds", "scale"), [(500.0, None), (499.0, 0.706), (400.0, 0.632), (160.0, 0.5)])
def test_queries_need_more_steps(seconds: float, scale: float | None) -> None:
    stats = (kind("background", 0.9), kind("thing", 0.1, 400.0))
    made = facts(fingerprint(256, 256, class_stats=stats), train_seconds=seconds, train_images=24)
    decided = rules_time.resolution(made, plan(model=ModelPlan(name="mask2former")), costing(1.0))
    assert values(decided).get("data.scale") == scale
    assert all(f"only {seconds:.0f} steps fit" in decision.reason for decision in decided)


@pytest.mark.parametrize(("steps", "window"), [(10, 1), (200, 10), (100_000, 200)])
def test_the_average_covers_a_twentieth(steps: int, window: int) -> None:
    (decision,) = rules_time.averaging(facts(), plan(train=TrainPlan(steps=steps)))
    assert 1 / (1 - decision.value) - 1 == pytest.approx(window, rel=0.02)
    assert f"{window} of {steps} steps" in decision.reason


@given(st.integers(1, 100_000), st.integers(0, 500), st.floats(1e-3, 10), st.sampled_from([64, 240, 1080]))
def test_validations_cost_a_small_share(steps: int, there: int, seconds: float, side: int) -> None:
    made = facts(fingerprint(side, side, splits={"train": 8, "val": there}))
    wanted = plan(train=TrainPlan(steps=steps))
    decided = values(rules_time.validations(made, wanted, costing(seconds)))
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
    decided = values(rules_time.validations(made, plan(train=TrainPlan(steps=100_000)), costing(0.2)))
    assert (decided["train.validation_images"], decided["train.validations"]) == (64, 10)


def test_one_thread_makes_batches_beside_a_cpu_and_all_but_one_beside_a_gpu() -> None:
    decided = rules_time.threads(facts(), plan(), costing(0.5))
    assert values(decided) == {"train.threads": 1}
    assert "2 MiB" in decided[0].reason
    assert values(rules_time.threads(facts(machine=CUDA), plan(), costing(0.5))) == {"train.threads": 7}


@pytest.mark.parametrize(("decode", "threads"), [(0.01, 1), (0.1, 2), (9.0, 4)])
def test_images_that_do_not_stay_in_memory_are_read_by_more_threads(decode: float, threads: int) -> None:
    machine = replace(CPU, cores=4, memory_bytes=1000)
    made = facts(fingerprint(decode_seconds=decode), machine)
    decided = rules_time.threads(made, plan(), costing(0.5))
    assert values(decided) == {"train.threads": threads}
    assert f"{decode:.3f} s to read" in decided[0].reason


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


def test_the_flipped_image_is_predicted_smaller_where_there_is_one() -> None:
    decided = rules_semantic.flip_scale(facts(fingerprint(flip_horizontal=1.0)), plan())
    assert values(decided) == {"predict.flip_scale": 0.75}
    assert rules_semantic.flip_scale(facts(fingerprint(flip_horizontal=0.5)), plan()) == []


def test_spreads_of_sizes_use_the_median_and_the_ninetieth_percentile() -> None:
    mixed = fingerprint(heights=replace(flat(240), high=9000, p90=400), widths=replace(flat(320), high=9000, p90=500))
    assert values(rules_data.working_resolution(facts(mixed), plan()))["data.scale"] == 1.0
    assert tuple(values(rules_time.tiles(facts(mixed), plan()))["predict.tile"]) == (416, 512)


def test_few_classes_are_compared_at_full_size() -> None:
    few = facts(fingerprint(class_stats=tuple(kind(name, 0.25) for name in "abcd")))
    many = facts(fingerprint(class_stats=tuple(kind(name, 0.2) for name in "abcde")))
    assert values(rules_semantic.label_stride(few, plan())) == {"loss.full_size": True}
    assert values(rules_semantic.label_stride(many, plan())) == {"loss.full_size": False}
    assert "5 classes: " in reason(rules_semantic.label_stride(many, plan()), "loss.full_size")
    opposed = plan(adversarial=AdversarialPlan(weight=0.1))
    assert values(rules_semantic.label_stride(few, opposed)) == {"loss.full_size": False}


def scale_for(across: float, small: float = 25.0, given: float = 1.0) -> float | None:
    """Return the scale that is planned for objects of a median diameter and a 10th percentile; None for no change."""
    objects = ObjectStats(12, 90, 0, flat(7), replace(flat(across), p10=small), 0.5, 0.0, 0, 0.1, 0.4)
    known = replace(facts(fingerprint(objects=objects)), needs=())
    known = replace(known, needs=rules_instance.needs(known))
    decided = rules_instance.working_scale(known, Plan(data=DataPlan(scale=given)))
    return values(decided).get("data.scale")


def test_large_objects_are_shrunk_to_the_size_that_is_enough():
    assert scale_for(120) == 0.32  # the smallest 10% keep 8 px
    assert scale_for(120, small=80) == 0.25
    assert scale_for(60) is None
    assert scale_for(120, small=80, given=0.2) is None
    assert rules_instance.working_scale(facts(), Plan()) == []


def test_stuff_keeps_its_resolution_where_things_are_large():
    assert rules_instance.working_scale in rules_of(Plan(task="instance")).network
    assert rules_instance.working_scale not in rules_of(Plan(task="panoptic")).network


def test_objects_are_told_apart_by_depth_and_the_figures_say_why():
    objects = ObjectStats(12, 90, 0, flat(7), flat(20), 0.5, 0.0, 0, 0.1, 0.4)
    found = rules_instance.formulation(facts(fingerprint(objects=objects)), Plan())
    assert values(found) == {"objects.formulation": "depth"}
    assert reason(found, "objects.formulation").startswith("40% of the objects are in several parts")
    assert rules_instance.formulation(facts(), Plan()) == []
    for task in ("instance", "panoptic"):
        assert rules_instance.formulation in rules_of(Plan(task=task)).network
    assert rules_instance.formulation not in rules_of(Plan(task="instance", model=ModelPlan(name="maskrcnn"))).network
