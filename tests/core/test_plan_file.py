from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.core import yaml_text
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import Plan
from maskwright.core.plan_file import named, overridden, read_plan, write_plan
from maskwright.core.plan_schema import in_yaml, place_at

if TYPE_CHECKING:
    from pathlib import Path


def test_settings_are_applied_together_before_they_are_checked() -> None:
    plan = overridden(Plan(), ["data.channels=2", "data.mean=[1, 2]", "data.std=[3, 4]"])
    assert (plan.data.channels, plan.data.mean, plan.data.std) == (2, [1, 2], [3, 4])
    assert plan.reasons == dict.fromkeys(("data.channels", "data.mean", "data.std"), "set by hand")


@pytest.mark.parametrize("channels", [1, 4, 512])
def test_the_number_of_channels_can_be_set_alone(channels: int) -> None:
    data = overridden(Plan(), [f"data.channels={channels}"]).data
    assert data.mean == [127.5] * channels
    assert data.std == [64.0] * channels


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["optim.lr"], "^`optim.lr` is not a setting: write section.key=value, e.g. `optim.lr=3e-4`"),
        (["optim.lr=3e-4", "optim.warmup=2"], r"^optim.warmup is 2, .*0 or more and below 1: "),
        (["optm.lr=1"], "^optm: unknown key of the plan 'optm': did you mean 'optim'"),
        (["optim.lrr=1"], "^optim.lrr: unknown key of the plan 'lrr': did you mean 'lr'"),
        (["optim.lr.fast=1"], "^`optim.lr.fast=1`: 'lr' holds a value and has no keys: shorten the key"),
        (["data.channels=2", "data.mean=[1]"], "data.mean has 1 entries, but data.channels is 2"),
        (["data.channels=many"], "^data.channels is 'many'"),
        (["sampling.crop=[0, -5]"], r"^sampling.crop.0 is 0"),
        (["predict.tile=[0, 0]"], "predict.tile.0 is 0"),
        (["data.std=[0, 0, 0]"], "data.std.0 is 0"),
        (["sampling.crop=[true, 64]"], "^sampling.crop.0 is True, and it must be a whole number, 8 or more: "),
        (["loss.terms={dice: true}"], "^loss.terms.dice is True, and it must be a number, 0 or more: "),
        (["loss.options={focal: {gamma: true}}"], "^loss.options.focal.gamma is True, and it must be a number: "),
        (["model.aux_levels=[false]"], "^model.aux_levels.0 is False, and it must be a whole number: "),
        (["optim.lr="], "^`optim.lr=` has no value: write one, null if there should be none"),
        (["loss.terms={dice: 1, dice: 2}"], "^loss.terms is '{dice: 1, dice: 2}', and it must be a table"),
        (["data.value_range=[[5, 1], [0, 1], [0, 1]]"], r"data.value_range holds \(5, 1\)"),
        (["augment.zoom=[2, 1]"], "give the smaller factor first"),
        (["augment.zoom=[0, 1]"], "augment.zoom.0 is 0"),
        (["loss.class_weights=[1, -1]"], "loss.class_weights.1 is -1"),
        (["sampling.class_odds=[1, -1]"], "sampling.class_odds.1 is -1"),
        (["optim.lr=.inf"], "optim.lr is inf"),
        (["optim.lr=.nan"], "optim.lr is nan, and it must be a finite number, above 0"),
        (["model.freeze=backbone"], r"^model.freeze: this section has no key 'freeze': did you mean optim.freeze\?"),
        (["loss.terms={1: 1}"], "loss.terms names 1, and every name must be text"),
        (["predict.scales=[0.5, 1]"], "predict.scales is .0.5, 1.0., and every size counts once"),
        (["predict.scales=[2, 2]"], "leave out 1 and what is there twice"),
        (["reasons=3"], "planning writes the reasons"),
    ],
)
def test_a_bad_setting_is_refused_by_its_name(settings: list[str], message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        overridden(Plan(), settings)


@pytest.mark.parametrize(
    ("setting", "rule"),
    [
        ("optim.lr=abc", "'abc', and it must be a number, above 0: write e.g. `optim.lr=0.002`, or leave it out"),
        ("sampling.batch=-1", "-1, and it must be a whole number, 1 or more: write e.g. `sampling.batch=8`"),
        (
            "optim.schedule=linear",
            "'linear', and it must be cosine or poly or constant or cooldown: write e.g. `optim.sch",
        ),
        ("train.channels_last=perhaps", "'perhaps', and it must be true or false: "),
        ("train.channels_last=1", "1, and it must be true or false: write e.g. `train.channels_last=true`"),
        ("train.channels_last='no'", "'no', and it must be true or false: "),
        ("optim.lr=true", "True, and it must be a number, above 0: write e.g. `optim.lr=0.002`, or leave it out"),
        ("optim.lr='0.1'", "'0.1', and it must be a number, above 0: "),
        ("optim.lr=[1]", "[1], and it must be a number, above 0: "),
        ("optim.lr=1e400", "inf, and it must be a finite number, above 0: "),
        ("seed=true", "True, and it must be a whole number, 0 or more: "),
        ("train.steps=8.5", "8.5, and it must be a whole number, 1 or more: "),
        ("train.budget_seconds=1:30", "'1:30', and it must be a number, above 0, or null: "),
        ("model.name=3", "3, and it must be text: "),
        (
            "sampling.crop=[32]",
            "[32], and it must be a list of 2 or 3 entries, each of them a whole number, 8 or more: ",
        ),
        (
            "postprocess.regions.least=16",
            "16, and it must be a list of 1 to 255 entries, each of them a whole number, 0 or more and 1,000,000 or",
        ),
        ("sampling.crop=32", "32, and it must be a list of 2 or 3 entries, each of them a whole number, 8 or more: "),
        (
            "predict.scales=2",
            "2, and it must be a list of at most 4 entries, each of them a number, 0.25 or more and 2 or",
        ),
        (
            "loss.terms=3",
            "3, and it must be a table {NAME: VALUE}, each VALUE a number, 0 or more: write e.g. `loss.terms={cross",
        ),
        ("predict.output_stride=7", "7, and it must be 4 or 8 or 16 or 32, or null: correct it, or leave it out"),
        ("postprocess.crf.w1=-1", "-1, and it must be a number, 0 or more and 100 or less: "),
        (
            "predict=3",
            "3, and it must be a section with the keys tile, overlap, flip, flip_scale, scales, flip_pixels, "
            "output_stride, window: write e.g. `pr",
        ),
    ],
)
def test_a_bad_value_is_answered_with_the_rule_and_an_example(setting: str, rule: str) -> None:
    key = setting.partition("=")[0]
    with pytest.raises(MaskwrightError, match="^" + re.escape(f"{key} is {rule}")) as caught:
        overridden(Plan(), [setting])
    assert caught.value.key == key


@pytest.mark.parametrize("sides", [(64, 96), (16, 64, 96)])
def test_a_crop_has_the_axes_of_images_or_of_volumes(sides: tuple[int, ...]) -> None:
    assert overridden(Plan(), [f"sampling.crop={list(sides)}"]).sampling.crop == sides
    with pytest.raises(MaskwrightError, match="a list of 2 or 3 entries"):
        overridden(Plan(), ["sampling.crop=[8, 8, 8, 8]"])


def test_every_example_keeps_its_own_rule() -> None:
    for section in Plan.model_fields:
        for key in [f"{section}.{name}" for name in place_at([section]).keys] or [section]:
            place = place_at(key.split("."))
            assert place.key == key or place.key.startswith(f"{key}.")
            if place.usual is not None and section != "reasons":
                overridden(Plan(), [f"{place.key}={in_yaml(place.usual)}"])


@pytest.mark.parametrize(
    ("settings", "given", "key"),
    [
        (["optim.lr=1"], {"optim.freeze": "banana"}, "optim.freeze"),
        (["optim.freeze=banana", "optim.lr=1"], {}, "optim.freeze"),
        (["sampling.batch=2", "optim={lr: -1}"], {}, "optim"),  # as the user wrote it, not where the fault lies in it
        (["data.channels=2", "data.mean=[1]", "seed=1"], {}, "data.mean"),  # a rule about two keys
    ],
)
def test_an_error_carries_the_key_that_the_user_set(settings: list[str], given: dict[str, str], key: str) -> None:
    with pytest.raises(MaskwrightError) as caught:
        overridden(Plan(), settings, given)
    assert caught.value.key == key


def test_settings_beat_what_is_given_by_key() -> None:
    plan = overridden(Plan(), ["optim.lr=0.5"], {"optim.lr": 0.1, "optim.freeze": "backbone"})
    assert (plan.optim.lr, plan.optim.freeze) == (0.5, "backbone")
    assert plan.reasons == dict.fromkeys(("optim.lr", "optim.freeze"), "set by hand")


@pytest.mark.parametrize(
    ("text", "value"),
    [("3e-4", 3e-4), ("1E3", 1000.0), ("0.1", 0.1), ("2", 2.0), (".5", 0.5), ("010", 10.0)],
)
def test_numbers_are_read_as_people_write_them(text: str, value: float) -> None:
    assert overridden(Plan(), [f"optim.lr={text}"]).optim.lr == value


def test_whole_numbers_may_have_an_exponent_and_a_zero_has_no_sign() -> None:
    plan = overridden(Plan(), ["train.steps=1e3", "optim.weight_decay=-0.0", "augment.zoom=[5e-1, 1e0]"])
    assert plan.train.steps == 1000
    assert str(plan.optim.weight_decay) == "0.0"
    assert plan.augment.zoom == (0.5, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "optim:\n  lr: 0.1\n  lr: 0.2\n",
            r"read as YAML \(line 3: the key 'lr' appears twice\): correct it",
        ),
        ("optim: {lr: 0.1}\nseed: 1\noptim: {clip: 1}\n", r"line 3: the key 'optim' appears twice"),
        ("optim:\n\tlr: 0.1\n", r"line 2: found character '\\t' that cannot .*: YAML is indented with spaces"),
        (
            "optim: {lr: true}\n",
            r"optim.lr is True, and it must be a number, above 0: .* `optim: {lr: 0.002}`",
        ),
        ("model: {pretrained: 'no'}\n", r"p\.yaml: model.pretrained is 'no', and it must be true or false"),
        ("[" * 5000, r"cannot be read as YAML \(it is nested too deeply\): correct it"),
        ("optim: {lr: .inf}\n", r"p\.yaml: optim.lr is inf, and it must be a finite number"),
        ("seed: 1\n# Größe\n".encode("cp1252"), r"p\.yaml is not UTF-8 text \(byte 0xf6 in line 2\): save it as UTF-8"),
    ],
)
def test_a_plan_file_is_read_strictly(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(MaskwrightError, match=message):
        read_plan(path)


@pytest.mark.parametrize("name", ["1e5", "3e-4", "010", "1:30", "1_000", ".5", "yes", "null", "caf\udce9", "~", "道"])
def test_text_that_looks_like_something_else_survives_its_file(tmp_path: Path, name: str) -> None:
    write_plan(tmp_path / "plan.yaml", Plan(split={"group_by": name}))
    assert read_plan(tmp_path / "plan.yaml").split.group_by == name


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=0, exclude_min=True))
def test_every_number_survives_its_text(value: float) -> None:
    assert yaml_text.load(yaml_text.dump([value, -value])) == [value, -value]
    assert overridden(Plan(), [f"optim.lr={value!r}"]).optim.lr == value


def test_a_plan_file_may_have_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("optim: {lr: 3e-4}\n", encoding="utf-16")
    assert read_plan(tmp_path / "p.yaml").optim.lr == 3e-4


def test_names_with_an_e_stay_names() -> None:
    assert overridden(Plan(), ["model.name=unet"]).model.name == "unet"


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    plan = overridden(Plan(), ["optim.lr=3e-4", "sampling.crop=[64, 96]", "model.options.finest=2"])
    write_plan(tmp_path / "plan.yaml", plan)
    assert read_plan(tmp_path / "plan.yaml") == plan
    assert read_plan(tmp_path) == plan


def test_a_plan_knows_what_it_was_made_with(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("seed: 3\noptim: {lr: 0.1}\nsampling: {crop: [64, 64]}\n")
    assert named(read_plan(path)) == {"optim.lr", "sampling.crop"}
    write_plan(path, Plan())
    assert {"optim.lr", "data.scale", "predict.flip"} <= named(read_plan(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "plan.yaml is empty: correct it, or let `maskwright plan DATA --out plan.yaml` write one"),
        ("loss: {terms: {dice:1}}", "dice:1 has no value: YAML needs a space after the colon"),
        ("data: {value_range: [1]}", "entry 1 of data.value_range is 1, and it must be a list of 2"),
        ("- 1\n- 2\n", "holds list, not the sections of a plan"),
        ("{", "cannot be read as YAML"),
        ("optim: {lrr: 1}", "optim.lrr: .* did you mean 'lr'"),
        ("version: 2", "version is 2"),
        ("sampling:\n  batch: -1", r"plan.yaml: sampling.batch is -1, .* write e.g. `sampling: \{batch: 8\}`"),
        ("lr: 0.1", "lr: this section has no key 'lr': did you mean adversarial.lr or optim.lr"),
        ("a: [1\n", r"plan.yaml cannot be read as YAML \([^\n]*\): correct it, or let `maskwright plan"),
    ],
)
def test_what_is_no_plan_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(MaskwrightError, match=message):
        read_plan(tmp_path / "plan.yaml")


def test_a_folder_without_a_plan_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(MaskwrightError, match=r"plan.yaml does not exist: give a plan.yaml or a run folder"):
        read_plan(tmp_path)


@given(st.integers(-50, 50), st.integers(-50, 50))
def test_crops_are_at_least_eight_pixels(height: int, width: int) -> None:
    setting = [f"sampling.crop=[{height}, {width}]"]
    if min(height, width) >= 8:
        assert overridden(Plan(), setting).sampling.crop == (height, width)
    else:
        with pytest.raises(MaskwrightError, match="a whole number, 8 or more"):
            overridden(Plan(), setting)
