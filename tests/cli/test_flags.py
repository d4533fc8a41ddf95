"""Messages of the library in the words of the command line: settings become options, and the typed one is named."""

from __future__ import annotations

import shlex

import pytest
from typer.main import get_command

from maskwright.cli.errors import explain
from maskwright.cli.flags import FLAGS, in_flags, typed_as
from maskwright.cli.main import app, run
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import Plan
from maskwright.core.plan_schema import place_at


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("choose another `out`", "choose another --out"),
        ("continue it with `resume`", "continue it with --resume"),
        ("`budget` and `steps` each say", "--budget and --steps each say"),
        ("`from_run` a and `weights` b", "--from a and --weights b"),
        ("in the `plan_file`", "in the --plan"),
        ("`group_by` splits", "--group-by splits"),
        ("name one with `postprocess`", "name one with --postprocess"),
        ("same names with `read.classes`", "same names with --classes"),
        ("map it: `read.map=37=ignore`", "map it: --map 37=ignore"),
        ("leave out `read.format`", "leave out --format"),
        ("`optim.freeze` is 'thaw'", "--freeze is 'thaw'"),
        ("`optim.freeze=until-step=9`", "--freeze until-step=9"),
        ("`lora.rank=8`", "--lora 8"),
        ("set `data.scale=1`", "use --set data.scale=1"),
        ("set `data.scale`", "use --set data.scale"),
        ("set `labels`, or offset `split=all`", "set `labels`, or offset --split all"),
        ("add `optim.name=sgd`", "add --set optim.name=sgd"),
        ("`loss.class_weights` and `loss.class_weighting`", "--set loss.class_weights and --set loss.class_weighting"),
        ("`seed=3`", "--seed 3"),
        (r"`split.group_by=(patient\d+)_`", r"--group-by '(patient\d+)_'"),
        ("`optim={name: sgd}`", "--set 'optim={name: sgd}'"),
        ("`loss.options={ohem: {min_kept: 1}}`", "--set 'loss.options={ohem: {min_kept: 1}}'"),
        ("give `split=all`", "give --split all"),
    ],
)
def test_settings_become_options(message: str, shown: str) -> None:
    assert in_flags(message) == shown


@pytest.mark.parametrize(
    "message",
    [
        "`maskwright inspect data` lists all faults",
        "`maskwright train --resume runs/one` continues",
        "`optim: {lr: 0.002}`",
        "`labels`",
        "a budget is 10 s or more",
        "optim.lr is 3",
        "`Loss.terms`",
    ],
)
def test_everything_else_stays_as_it_is(message: str) -> None:
    assert in_flags(message) == message


def test_a_shell_reads_the_option_back_as_the_setting() -> None:
    shown = in_flags('`model.options={widths: [8, 8], note: "it\'s"}`')
    assert shlex.split(shown) == ["--set", 'model.options={widths: [8, 8], note: "it\'s"}']


def test_every_flag_is_an_option_and_every_key_is_one_of_the_plan() -> None:
    options = {
        option for command in get_command(app).commands.values() for entry in command.params for option in entry.opts
    }
    assert set(FLAGS.values()) <= options
    usual = Plan().model_dump()
    for key in FLAGS:
        section, dot, name = key.partition(".")
        if dot and section != "read":
            assert name in usual[section], key
            assert place_at(tuple(key.split("."))).key == key


@pytest.mark.parametrize(
    ("line", "key", "typed"),
    [
        ("train data --freeze backbone", "optim.freeze", "--freeze backbone"),
        ("train data --set optim.freeze=backbone", "optim.freeze", "--set optim.freeze=backbone"),
        ("train data --set 'optim={freeze: backbone}'", "optim.freeze", "--set 'optim={freeze: backbone}'"),
        ("train data --set optim.freezer=1", "optim.freeze", None),
        ("train data --set optim.lr=1 --set optim.lr=2", "optim.lr", "--set optim.lr=2"),
        ("train data --model unte --set model.name=unet", "model.name", "--set model.name=unet"),
        ("train data --set model.name=unet --model unte", "model.name", "--model unte"),
        ("train data --set loss.terms.dicee=1 --set loss.terms.ce=1", "loss.terms.dicee", "--set loss.terms.dicee=1"),
        ("train data --set 'loss.terms={dicee: 1}'", "loss.terms.dicee", "--set 'loss.terms={dicee: 1}'"),
        ("train data --lora 8", "lora.rank", "--lora 8"),
        ("train data --lora 8", "lora.alpha", None),
        ("train data --seed -1", "seed", "--seed -1"),
        ("predict run a.png --save masks", "save", "--save masks"),
        ("train data --plan mine.yaml", "optim.lr", None),
        ("train data --freeze", "optim.freeze", None),
        ("", "optim.freeze", None),
    ],
)
def test_the_option_that_set_a_key_is_found(line: str, key: str, typed: str | None) -> None:
    assert typed_as(shlex.split(line), key) == typed


@pytest.mark.parametrize("line", ["train data --freeze=backbone", "train data --set=optim.freeze=backbone"])
def test_an_option_may_be_joined_to_its_value(line: str) -> None:
    assert typed_as(line.split(), "optim.freeze") == line.removeprefix("train data ").replace("=", " ", 1)


def test_a_message_begins_with_the_option_that_is_at_fault() -> None:
    error = MaskwrightError("optim.freeze keeps weights: use `from_run`, or leave it out", "optim.freeze")
    assert explain(error, ["train", "data", "--freeze", "backbone"]) == (
        2,
        "--freeze backbone: optim.freeze keeps weights: use --from, or leave it out",
    )
    assert explain(error, ["train", "data", "--plan", "mine.yaml"]) == (
        2,
        "optim.freeze keeps weights: use --from, or leave it out",
    )
    assert explain(MaskwrightError("`steps` is 0"), ["train", "--steps", "0"]) == (2, "--steps is 0")


@pytest.mark.parametrize("said", ["count is 0, but it must be 1", "`count` is 0, but it must be 1"])
def test_a_message_that_names_the_option_names_it_once(said: str) -> None:
    error = MaskwrightError(said, "count")
    assert explain(error, ["superpixels", "a", "--count", "0"]) == (2, "--count is 0, but it must be 1")
    error = MaskwrightError("lora.rank is 0, but it must be 1", "lora.rank")
    assert explain(error, ["train", "a", "--set", "lora.rank=0"])[1].startswith("--set lora.rank=0: lora.rank is 0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "unte"], "maskwright: --model unte: unknown model 'unte': did you mean 'unet'? Available: "),
        (["--set", "model.name=unte"], "maskwright: --set model.name=unte: unknown model 'unte': did you mean 'unet'?"),
        (["--backbone", "resnet19"], "maskwright: --backbone resnet19: unknown backbone 'resnet19'"),
        (["--task", "semantics"], "maskwright: --task semantics: unknown task 'semantics': did you mean 'semantic'?"),
        (["--set", "optim.lrr=1"], "maskwright: --set optim.lrr=1: optim.lrr: unknown key of the plan 'lrr'"),
        (["--budget", "5x"], "maskwright: --budget 5x: '5x' is not a duration: write 90s, 10m or 1h30m"),
        (["--lora", "-1"], "maskwright: --lora -1: lora.rank is -1, and it must be "),
        (["--freeze", "thaw"], "maskwright: --freeze thaw: optim.freeze is 'thaw'"),
        (
            ["--freeze", "backbone", "--set", "model.pretrained=false"],
            "maskwright: --freeze backbone: optim.freeze keeps weights unchanged, but here they would be random",
        ),
        (["--steps", "5", "--budget", "3m"], "maskwright: --budget and --steps each set the length of the training"),
        (
            ["--model", "unet", "--set", "model.name=fcn"],
            "maskwright: --model unet and --set model.name=fcn contradict",
        ),
    ],
)
def test_a_wrong_option_is_named_as_it_was_typed(
    words: list[str], said: str, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.workflows import toy_data as toy

    data = toy.write(tmp_path / "data")
    length = [] if {"--steps", "--budget"} & {*words} else ["--steps", "2"]
    assert run(["plan", str(data), *length, "--device", "cpu", *words]) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert err.startswith(said), err
    assert "`" not in err.replace("`maskwright", "")
