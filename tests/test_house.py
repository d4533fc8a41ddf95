"""The house rules that no other tool holds: sizes, words that must not stand anywhere, and docs that cannot drift."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from maskwright.cli.main import VERBS, app

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
LONGEST_FILE = 300
LONGEST_FUNCTION = 60
# Written in pieces, so that this file does not hold what it forbids.
HOSTS = [
    "pypi" + r"\.org",
    "python" + "hosted",
    "index" + "-url",
    "find" + "-links",
    r"download\." + "pytorch",
    "conda" + r"\.io",
]
UNFINISHED = ["TO" + "DO", "FIX" + "ME", "X" * 3 + r"\b", "raise NotImplemented" + "Error"]
MACHINE = ["/work" + "/main", "/work" + "/shared", r"/root" + "/", "/opt" + "/pypi"]


@cache
def tracked() -> tuple[Path, ...]:
    """Every text file that git knows, or will know."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout, so nobody can say which files belong to it")
    files = (ROOT / line for line in listed.stdout.splitlines())
    return tuple(file for file in files if file.is_file() and b"\0" not in file.read_bytes()[:8000])


def holding(patterns: list[str], files: tuple[Path, ...] | list[Path]) -> list[str]:
    wanted = re.compile("|".join(patterns))
    return [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if wanted.search(line)
    ]


def test_arrows_point_down() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT / "src/maskwright").as_posix())
def test_rooms_are_small(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, f"{node.name} is too long to read in one go"


def test_nine_functions_in_ten_are_short() -> None:
    lengths = sorted(
        (node.end_lineno or 0) - node.body[0].lineno + 1
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert lengths[len(lengths) * 9 // 10] <= 37


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT / "src/maskwright").as_posix())
def test_a_file_says_first_what_it_is(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))


COMMAND = re.compile(r"`maskwright [a-z]+ [^`]*`|pip install [^`]*")


def texts(file: Path) -> list[tuple[int, str]]:
    """Return line and text of every string in a file but for those that stand alone, the docstrings among them."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    found = []
    for node in ast.walk(tree):
        if id(node) in alone | inside:
            continue
        if isinstance(node, ast.JoinedStr):
            found.append(
                (node.lineno, "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values))
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append((node.lineno, node.value))
    return found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("choose another `out`", False),
        ("run `maskwright evaluate RUN DATA --postprocess crf` for it", False),
        ("choose another --out", True),
        ("leave it out (--set lora.rank=0)", True),
        ("`maskwright train` takes `--out`", True),
    ],
)
def test_options_in_texts_are_found(text: str, names: bool) -> None:
    assert bool(names_option(text)) == names


def names_option(text: str) -> list[str]:
    return re.findall(r"[ (`]--[a-z]", COMMAND.sub("", text))


@pytest.mark.parametrize(
    "file",
    [file for file in SOURCES if "cli" not in file.relative_to(ROOT / "src/maskwright").parts],
    ids=lambda file: file.relative_to(ROOT / "src/maskwright").as_posix(),
)
def test_the_library_names_no_option_of_the_command_line(file: Path) -> None:
    named = [f"{file.name}:{line}: {text}" for line, text in texts(file) if names_option(text)]
    assert named == [], "name the key in backticks, as in `out`: cli/flags.py turns it into an option"


def test_no_registry_is_named() -> None:
    assert holding(HOSTS, tracked()) == []


def test_nothing_is_left_unfinished() -> None:
    assert holding(UNFINISHED, SOURCES) == []


def test_no_path_of_one_machine_is_named() -> None:
    assert holding(MACHINE, tracked()) == []


def test_no_file_is_a_pickle() -> None:
    forbidden = [
        r"^\s*(import|from) (pickle|shelve|marshal|dill|cloudpickle)\b",
        r"torch\.load\(",
        r"allow_pickle=True",
    ]
    assert holding(forbidden, SOURCES) == []


def test_versions_are_exact_and_cover_what_is_asked_for() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.+!]*", line) for line in lines)
    assert lines == sorted(lines, key=str.lower)
    pinned = {plain(line.partition("==")[0]) for line in lines}
    asked = re.findall(r'^\s*"([A-Za-z0-9_-]+)[^"]*",?\s*$', requirements(), re.MULTILINE)
    assert {plain(name) for name in asked} <= pinned
    assert "opencv-python" not in pinned, "the headless build is the one that runs everywhere"


def requirements() -> str:
    """Return the part of pyproject.toml that lists what is installed, one requirement a line."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    start, end = text.index("dependencies = ["), text.index("[project.scripts]")
    return text[start:end].replace("[", "[\n").replace("]", "\n]").replace(", ", ",\n")


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_import_costs_nothing() -> None:
    code = "import sys, maskwright; print(sorted({'torch', 'pydantic', 'numpy', 'cv2', 'yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_python_face_is_whole() -> None:
    import maskwright

    assert dir(maskwright) == sorted(maskwright.__all__)
    for name in maskwright.__all__:
        assert getattr(maskwright, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'segment'"):
        maskwright.segment  # noqa: B018


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_documented(verb: str) -> None:
    text = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    rows = text.split(f"## maskwright {verb}\n")[1].split("\n## ")[0].splitlines()
    options = [option for option in get_command(app).commands[verb].params if option.param_type_name == "option"]
    for option in options:
        row = next((row for row in rows if row.startswith(f"| `{option.opts[0]}")), "")
        assert " ".join(option.help.split()) in row, f"docs/reference.md does not say what {verb} {option.opts[0]} does"
    assert sum(row.startswith("| `--") for row in rows) == len(options), "docs/reference.md has more than there is"


def test_every_format_is_documented() -> None:
    from maskwright.data.formats import FORMATS

    text = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z][a-z-]*)` \|", text, re.MULTILINE)) == set(FORMATS)


@pytest.mark.parametrize(
    "page", [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_map_names_every_room() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for room in (ROOT / "src/maskwright").iterdir():
        if (room / "__init__.py").exists():
            assert f"\n{room.name}/" in text or f" {room.name}/" in text, f"ARCHITECTURE.md does not show {room.name}"
