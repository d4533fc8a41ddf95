"""The run folder: the files of one training, and how later commands read them. Trains nothing."""

from __future__ import annotations

import contextlib
import csv
import errno
import itertools
import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import check_writable, write_error, write_text
from maskwright.core.fingerprint import Fingerprint
from maskwright.core.paths import MODEL_FILE, check_folder
from maskwright.core.plan_file import read_plan, write_plan
from maskwright.data.formats import ReadOptions
from maskwright.workflows.runs.provenance import data_hash, environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from maskwright.core.plan import Plan
    from maskwright.core.records import Dataset

PLAN, SPLIT, DATA, FINGERPRINT = "plan.yaml", "split.json", "data.json", "fingerprint.json"
ENVIRONMENT, METRICS, REPORT, HISTORY = "environment.json", "metrics.json", "report.html", "history.csv"
FILES = (PLAN, SPLIT, DATA, FINGERPRINT, ENVIRONMENT, METRICS, MODEL_FILE, REPORT, HISTORY, "wandb-id.txt", "tune.json")
BEGUN = (SPLIT, DATA, FINGERPRINT, ENVIRONMENT)
"""What `begin` writes, in this order, before the plan makes it a run."""
FOLDERS = ("checkpoint", "tensorboard", "wandb", "trials")
# Some network and FUSE file systems have no locks: two trainings in one folder go unnoticed there.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@dataclass(frozen=True)
class Material:
    """The data of a training.

    Attributes:
        dataset: usable records, each with its split.
        presence: class indices that each record shows, by record id.
    """

    dataset: Dataset
    presence: Mapping[str, frozenset[int]]


@contextlib.contextmanager
def claimed(out: Path | None, root: Path) -> Iterator[Path]:
    """Yield `new_folder`, locked for this process; after an error inside, nothing remains of it.

    Raises:
        MaskwrightError: see `new_folder`; or another training has just started there.
    """
    there = out is not None and out.is_dir()
    run = new_folder(out, root)
    with locked(run):
        check_out(run)  # another training may have been faster
        try:
            yield run
        except BaseException:
            undo(run, keep=there)
            raise


@contextlib.contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold a lock on the folder itself, which the system releases when the process ends. Windows cannot lock folders.

    Raises:
        MaskwrightError: another training holds it.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(run, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MaskwrightError(f"another training is writing to {run}: choose another `out`, or wait") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield
    finally:
        os.close(descriptor)


def undo(run: Path, *, keep: bool) -> None:
    """Remove the files of a run from a folder that held no run before (`check_out`).

    Args:
        run: the folder.
        keep: leave the folder itself, even if it is empty now.
    """
    for name in FILES:
        (run / name).unlink(missing_ok=True)
    for name in FOLDERS:
        shutil.rmtree(run / name, ignore_errors=True)
    if not keep:
        with contextlib.suppress(OSError):  # Another program has created a file there meanwhile.
            run.rmdir()


def new_folder(out: Path | None, root: Path) -> Path:
    """Make a run folder that holds no run yet: `out`, or the next free one below `runs/`.

    The folder is created at once, so that two trainings started together get one each, and a folder that cannot be
    written is reported before the planning.

    Raises:
        MaskwrightError: `out` holds a run already, is a file, or cannot be written.
    """
    if out is None:
        return _next_free(root.resolve().name)
    check_out(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(out, error) from None
    check_writable(out)
    return out


def check_out(out: Path) -> None:
    """Refuse a place where no run can begin.

    Raises:
        MaskwrightError: `out` holds a run already, or what a run would write over, is a file, or is below one.
    """
    check_folder(out)
    if (out / PLAN).exists():
        raise MaskwrightError(f"{out} already holds a run: continue it with `resume`, or choose another `out`")
    taken = [name for name in (*FILES, *FOLDERS) if (out / name).exists()]
    half_begun = SPLIT in taken and set(taken) <= set(BEGUN) and _is_split(out / SPLIT)  # by a training that was killed
    if taken and not half_begun:
        raise MaskwrightError(
            f"{out} holds {', '.join(taken)}, which a run would overwrite: move it away, or choose another `out`"
        )


def _is_split(path: Path) -> bool:
    """Return whether a file is a split of ours, which is always complete, and not a file of the user's."""
    try:
        entries = read_json(path).values()
    except (MaskwrightError, OSError, TypeError, ValueError):
        return False
    return all(isinstance(entry, dict) and entry.keys() == {"split", "group", "classes"} for entry in entries)


def check_run(run: Path) -> None:
    """Refuse to resume a folder that is not a run.

    Raises:
        MaskwrightError: missing, or no folder that a training began.
    """
    if not run.exists():
        raise MaskwrightError(f"`resume` {run} does not exist: name the folder of a run that was interrupted")
    if not (run / PLAN).exists():
        raise MaskwrightError(f"{run} has no {PLAN}, so there is no training to resume: start one with `out` {run}")


def _next_free(name: str) -> Path:
    """Create the first of runs/NAME-001, runs/NAME-002, ... that does not exist."""
    for number in itertools.count(1):
        run = Path("runs", f"{name}-{number:03d}")
        try:
            run.parent.mkdir(exist_ok=True)
            run.mkdir()
        except FileExistsError:
            if not run.parent.is_dir():
                raise MaskwrightError(f"{run} cannot be created, because {run.parent} is a file: set `out`") from None
        except OSError as error:
            raise write_error(run, error) from None
        else:
            return run
    raise AssertionError("numbers do not end")


def begin(run: Path, plan: Plan, found: Fingerprint, material: Material, read: ReadOptions) -> None:
    """Write, before the first step, everything that a resumed training needs.

    Raises:
        MaskwrightError: the folder cannot be written.
    """
    dataset = material.dataset
    records = {
        record.id: {
            "split": record.split,
            "group": record.group,
            "classes": sorted(material.presence.get(record.id, ())),
        }
        for record in dataset.records
    }
    _write_json(run / SPLIT, records)
    options = {**asdict(read), "classes": None if read.classes is None else str(Path(read.classes).resolve())}
    origin = environment(dataset)
    _write_json(run / DATA, {"root": origin["data"], "read": options, "hash": origin["data_hash"]})
    _write_json(run / FINGERPRINT, found.to_json())
    _write_json(run / ENVIRONMENT, origin)
    write_plan(run / PLAN, plan)


def reopen(run: Path, root: Path | None = None) -> tuple[Plan, Material]:
    """Read the files that `begin` wrote.

    Args:
        run: the folder.
        root: where the data is now, when it was moved.

    Raises:
        MaskwrightError: no run there, or its data are gone or changed.
    """
    from maskwright.workflows.plan_parts.things import read_as_planned  # imports torch: a wrong path needs none of it

    check_run(run)
    plan = read_plan(run / PLAN)
    data, entries = read_json(run / DATA), read_json(run / SPLIT)
    dataset = read_as_planned(Path(data["root"]) if root is None else root, read_options(data), plan)
    dataset = with_known_splits(dataset, entries)
    if data_hash(dataset) != data["hash"]:
        raise MaskwrightError(
            f"{dataset.root} changed since {run} began, so a resumed training would not be the same. "
            "Restore the data, or start a new training"
        )
    _clear_strays(run)
    return plan, Material(dataset, {name: frozenset(entry["classes"]) for name, entry in entries.items()})


def read_options(data: Mapping[str, Any]) -> ReadOptions:
    """Return how a run read its data, from what `data.json` holds."""
    options = {**data["read"], "classes": None if data["read"]["classes"] is None else Path(data["read"]["classes"])}
    options["map"] = {int(value): target for value, target in (options.get("map") or {}).items()}
    return ReadOptions(**options)


def _clear_strays(run: Path) -> None:
    """Remove the temporary files that a killed process left (`core.files`); the files themselves are complete."""
    for stray in run.glob(".*"):
        if any(stray.name.startswith(f".{name}.") for name in FILES):
            stray.unlink(missing_ok=True)


def with_known_splits(dataset: Dataset, entries: Mapping[str, Mapping[str, Any]]) -> Dataset:
    """Keep the records that a run used, each with the split and group that it had there."""
    records = tuple(
        replace(record, split=entries[record.id]["split"], group=entries[record.id]["group"])
        for record in dataset.records
        if record.id in entries
    )
    return replace(dataset, records=records)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of the run folder.

    Raises:
        MaskwrightError: missing or damaged.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise MaskwrightError(f"{path} is missing, so the run folder is incomplete: start a new training") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise MaskwrightError(f"{path} is damaged ({error}): start a new training") from None


def read_fingerprint(run: Path) -> Fingerprint:
    """Read back the fingerprint that the plan was made from."""
    return Fingerprint.from_json(read_json(run / FINGERPRINT))


def read_environment(run: Path) -> dict[str, str]:
    """Read back versions, machine and data hash, as text."""
    return {key: str(value) for key, value in read_json(run / ENVIRONMENT).items()}


def read_history(path: Path) -> list[dict[str, float | None]]:
    """Read `history.csv`; an empty cell is None."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(cell) if cell else None for name, cell in row.items()} for row in csv.DictReader(file)]


def write_metrics(folder: Path, metrics: Mapping[str, Any], name: str = METRICS) -> None:
    """Write scores as JSON, atomically."""
    _write_json(folder / name, metrics)


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(values, indent=1, default=str) + "\n")
