from __future__ import annotations

import errno
import importlib.metadata
import io
import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

import maskwright.cli.main as main_module
from maskwright.cli.errors import explain
from maskwright.cli.main import VERBS, run
from maskwright.core.errors import MaskwrightError
from maskwright.core.fingerprint import ClassStats

HEAVY = {"torch", "pydantic", "cv2", "numpy", "rich", "timm", "yaml", "jinja2", "PIL"}


def failing(error: BaseException):
    def measure(*args, **kwargs):
        raise error

    return measure


def test_help_names_every_verb_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from maskwright.cli.main import run; assert run(['--help']) == 0; "
        f"print('HEAVY', sorted(set({sorted(HEAVY)}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("HEAVY []\n")
    assert all(f"\n  {verb} " in done.stdout for verb in VERBS)
    assert "..." not in done.stdout.split("Commands:")[1], "a summary was cut"


def test_help_shows_arguments_as_the_docs_do(capsys) -> None:
    assert run(["predict", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage: maskwright predict [OPTIONS] RUN SOURCE...\n" in shown
    assert "\n  SOURCE...  Images, Zarr stores, folders of these, quoted globs, videos,\n" in shown
    assert " or - for an image on standard\n             input.  [required]\n" in shown
    assert run(["train", "--help"]) == 0
    assert "Usage: maskwright train [OPTIONS] [DATA]\n" in capsys.readouterr().out


def test_help_lists_the_files_of_each_task() -> None:
    """The help is written by hand, since the table of tasks takes seconds to import."""
    from maskwright.cli import predict
    from maskwright.tasks import TASKS

    said = predict.Save.__metadata__[0].help.partition(".  ")[0]
    lists = [part.rpartition(": ")[2].split(", ") for part in said.split("; ")]
    assert lists == [list(task.writers) for task in TASKS.values()]


@pytest.mark.parametrize("verb", VERBS)
def test_help_names_no_types_of_python(verb: str, capsys) -> None:
    assert run([verb, "--help"]) == 0
    assert "<" not in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"maskwright {importlib.metadata.version('maskwright')}\n"


def test_it_runs_as_a_module_too() -> None:
    done = subprocess.run([sys.executable, "-m", "maskwright", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("maskwright ")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["trian"], ["No such command 'trian'", "Did you mean 'train'?"]),
        (["train", "--bugdet", "3m"], ["--bugdet", "--budget"]),
        (["inspect"], ["DATA", "maskwright inspect --help"]),
        (["evaluate", "a", "b", "--split", "half"], ["--split: 'half' is not one of 'train',"]),
        (["train", "data", "--steps", "0"], ["--steps", "0"]),
        (["train", "data", "--budget", "soon"], ["'soon' is not a duration"]),
        (["plan", "data", "--map", "a=b"], ["--map a=b", "--map 37=ignore"]),
        (["train", "data", "--steps", "many"], ["--steps many: give a whole number, e.g. 8"]),
        (["train", "data", "--steps", "2.5"], ["--steps 2.5: give a whole number, e.g. 8"]),
        (["train", "data", "--epochs", "few"], ["--epochs few: give a number"]),
        (["plan", "data", "--seed", "many"], ["--seed many: give a whole number, e.g. 0"]),
        (["plan", "data", "--seed", "-1"], ["--seed -1: it must be 0 or more"]),
    ],
)
def test_a_wrong_line_is_answered_in_one_paragraph(
    line: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert all(word in err for word in words), err


def test_our_errors_end_with_2_and_no_traceback(stand_in, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in("maskwright.workflows.inspect", inspect=failing(MaskwrightError("masks/7.png holds 37: map it")))
    assert run(["inspect", "data"]) == 2
    assert capsys.readouterr() == ("", "maskwright: masks/7.png holds 37: map it.\n")


@pytest.mark.parametrize("line", [["--debug", "inspect", "data"], ["inspect", "data", "--debug"]])
def test_debug_shows_the_traceback(line: list[str], stand_in, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in("maskwright.workflows.inspect", inspect=failing(MaskwrightError("no")))
    assert run(line) == 2
    assert "Traceback" in capsys.readouterr().err


def test_the_environment_turns_debug_on(
    stand_in, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASKWRIGHT_DEBUG", "1")
    stand_in("maskwright.workflows.inspect", inspect=failing(ValueError("odd")))
    assert run(["inspect", "data"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_failure_of_ours_asks_for_a_report(stand_in, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in("maskwright.workflows.inspect", inspect=failing(ValueError("odd shape\nand more")))
    assert run(["inspect", "data"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "ValueError: odd shape (at " in err
    assert "internal error" in err
    assert "Please report it" in err
    assert "--debug" in err


def test_ctrl_c_ends_with_130(stand_in, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in("maskwright.workflows.inspect", inspect=failing(KeyboardInterrupt()))
    assert run(["inspect", "data"]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_ctrl_c_before_the_work_says_that_nothing_was_written(stand_in, capsys: pytest.CaptureFixture[str]) -> None:
    interrupted = failing(KeyboardInterrupt())
    stand_in("maskwright.workflows.runs.preflight", check_training=interrupted, check_resuming=interrupted)
    assert run(["train", "data"]) == 130
    assert capsys.readouterr() == ("", "interrupted: nothing was written\n")


@pytest.mark.parametrize(
    ("error", "code", "words"), [(MaskwrightError("Käfer.png: no"), 2, "Käfer.png: no"), (ValueError("odd"), 1, "odd")]
)
def test_with_json_an_error_is_a_document_too(
    error: Exception, code: int, words: str, stand_in, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in("maskwright.workflows.inspect", inspect=failing(error))
    assert run(["inspect", "data", "--json"]) == code
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert list(document) == ["error"]
    assert words in document["error"]
    assert err.removeprefix("maskwright: ").rstrip(".\n") == document["error"].rstrip(".")


def test_with_json_a_wrong_line_is_a_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "--json"]) == 2
    assert "DATA" in json.loads(capsys.readouterr().out)["error"]


def test_with_json_only_the_first_process_writes_its_error(
    stand_in, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    stand_in("maskwright.workflows.inspect", inspect=failing(MaskwrightError("no")))
    assert run(["inspect", "data", "--json"]) == 2
    assert capsys.readouterr() == ("", "maskwright: no.\n")


def test_an_error_outlives_a_reader_that_has_gone(stand_in, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in("maskwright.workflows.inspect", inspect=failing(MaskwrightError("no")))
    monkeypatch.setattr("maskwright.cli.main.json.dumps", failing(BrokenPipeError()))
    assert run(["inspect", "data", "--json"]) == 2
    assert capsys.readouterr().err == "maskwright: no.\n"


@pytest.mark.parametrize("line", ["losses", "losses --json", "--help"])
def test_it_ends_quietly_when_nobody_reads_on(line: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "maskwright", *line.split()]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(errno.ENOSPC, "full", "runs/a.csv"), 2, "runs/a.csv could not be written: the disk is full"),
        (OSError(errno.EROFS, "no", "runs/a.csv"), 2, "runs/a.csv could not be written: the folder is read-only"),
        (PermissionError(errno.EACCES, "no", "data/a.png"), 2, "data/a.png could not be opened: permission was"),
        (
            OSError(errno.EMFILE, "many", "data/a.png"),
            2,
            "data/a.png could not be opened: this process has too many open files",
        ),
        (MemoryError(), 2, "sampling.batch"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"), 2, "predict.tile"),
        (RuntimeError("shapes differ"), 1, "RuntimeError: shapes differ"),
        (FileNotFoundError(errno.ENOENT, "gone", "x"), 1, "FileNotFoundError"),
    ],
)
def test_whose_fault_it_is(error: BaseException, code: int, words: str) -> None:
    assert explain(error)[0] == code
    assert words in explain(error)[1]


def test_only_the_first_of_several_processes_speaks(
    stand_in, fingerprint, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("maskwright.workflows.inspect", inspect=lambda *args: fingerprint())
    monkeypatch.setenv("RANK", "1")
    assert run(["inspect", "data", "--json"]) == 0
    assert run(["inspect", "data"]) == 0
    assert capsys.readouterr() == ("", "")


def test_stray_prints_do_not_spoil_the_json(stand_in, fingerprint, capsys: pytest.CaptureFixture[str]) -> None:
    def measure(*args):
        sys.stdout.write("a library says hello\n")
        return fingerprint()

    stand_in("maskwright.workflows.inspect", inspect=measure)
    assert run(["inspect", "data", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["images"] == 3
    assert "hello" in err


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", "\\u9053\\u8def"), ("cp1252", "\\u9053\\u8def"), ("gbk", "道路"), ("utf-8", "道路")],
)
@pytest.mark.parametrize("line", [["inspect", "data"], ["inspect", "data", "--json"], ["plan", "data"], ["--help"]])
def test_any_stream_takes_every_name(
    encoding: str, shown: str, line: list[str], stand_in, fingerprint, plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    road = ClassStats("道路", 9, 1.0, {}, 1, None, None)
    found = fingerprint(root="caf\udce9", class_stats=(road,))
    plan.reasons["optim.lr"] = "as in 道路"
    stand_in("maskwright.workflows.inspect", inspect=lambda *args: found)
    stand_in("maskwright.workflows.plan", make_plan=lambda *args: SimpleNamespace(plan=plan, notes=()))
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
    monkeypatch.setattr(sys, "argv", ["maskwright", *line])
    monkeypatch.setattr(main_module, "install_signal_handlers", lambda: None)
    with pytest.raises(SystemExit, match="0"):
        main_module.main()
    sys.stdout.flush()
    text = written.getvalue().decode(encoding)
    if "--json" in line:
        assert json.loads(text)["root"] == "caf\udce9"
        assert text.isascii()
    elif line != ["--help"]:
        assert shown in text
        assert ("\u2500" in text) == (encoding == "utf-8"), "lines of tables are drawn with what the stream has"
