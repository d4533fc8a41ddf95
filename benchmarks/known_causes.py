"""How often `diagnose` names a planted shortcut, raises a false alarm, and points at a cause that is known.

Small networks are trained on data of `planted_data.py`: `--marked N` times on objects whose class only a marker in a
corner tells, and as often on clean data; once on a mosaic, where the texture of a patch decides the class of a disc
elsewhere. Reported are the shares of shortcuts named (with their corner) and of false alarms, and for each kind of map,
over the discs whose class changes when the patch is removed, how often its largest value lies in the patch, against
chance; and how many maps passed.

Run: OMP_NUM_THREADS=1 python -m benchmarks.known_causes FOLDER [--nuclei DATA] [--marked 4] [--mosaic 30]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from benchmarks import planted_data as planted
from torch.nn import functional as F

import maskwright as mw
from maskwright.core.classes import Classes
from maskwright.core.plan import Plan
from maskwright.diagnosis.region import plain, region_at, removed
from maskwright.inference.predictor import Predictor
from maskwright.models import build, bundle
from maskwright.workflows.diagnose_parts.explained_maps import tested_maps

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE, BATCH = 3e-3, 16


def read(root: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return all images (n, H, W, 3) and masks (n, H, W) of a part."""
    files = sorted((root / "images" / split).iterdir())
    images = np.stack([cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB) for file in files])
    masks = [cv2.imread(str(root / "masks" / split / file.name), cv2.IMREAD_UNCHANGED) for file in files]
    return images, np.stack(masks)


def trained(root: Path, steps: int, seed: int = 0) -> Path:
    """Train a small network and write it as a bundle; return its file."""
    torch.manual_seed(seed)
    images, masks = read(root, "train")
    names = (root / "classes.txt").read_text().split()
    plan = Plan.model_validate(
        {
            "model": {"backbone": "compact", "pretrained": False, "options": {"widths": [16, 32, 64, 64], "width": 32}},
            "data": {"mean": [90.0] * 3, "std": [40.0] * 3},
            "predict": {"tile": [planted.SIDE, planted.SIDE], "flip": False},
        }
    )
    network = build.create_from_plan(plan.model, len(names), 3)
    pixels = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 90) / 40
    labels = torch.from_numpy(masks).long()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
    weights = torch.tensor([0.2] + [1.0] * (len(names) - 1))
    for _ in range(steps):
        chosen = torch.randint(0, len(pixels), (BATCH,))
        loss = F.cross_entropy(network(pixels[chosen]), labels[chosen], weights)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    network.eval()
    card = bundle.Card(
        model=plan.model,
        classes=bundle.CardClasses.of(Classes.named(names)),
        data=plan.data,
        predict=plan.predict,
        dtypes=["uint8"],
    )
    path = root / "model.safetensors"
    bundle.save(path, network, card)
    return path


def told_apart(path: Path, root: Path) -> float:
    """Return the share of the object pixels of the test part with the right class."""
    predictor = Predictor.load(path, "cpu")
    images, masks = read(root, "test")
    found = np.stack([predictor.result(image).labels for image in images])
    return float((found == masks)[masks > 0].mean())


def named(path: Path, root: Path) -> dict[str, Any]:
    """Ask for shortcuts."""
    result = mw.diagnose(path, root, question="shortcuts", budget="3m", out=root / "diagnosis")
    answer = result.answers["shortcuts"][0]
    return {"level": answer.level, "verdict": answer.verdict, "effects": answer.to_json()["grids"][:1]}


def marked(folder: Path, number: int, nuclei: Path | None) -> list[dict[str, Any]]:
    """Train on planted and on clean data, and ask for shortcuts."""
    pieces = None if nuclei is None else planted.nuclei(nuclei)
    rows = []
    for place in range(number):
        corner = list(planted.CORNERS)[place % 4]
        for is_planted in (True, False):
            root = folder / f"{'nuclei' if pieces else 'shapes'}_{'planted' if is_planted else 'clean'}_{place}"
            planted.write_marked(root, seed=place, planted=is_planted, corner=corner, pieces=pieces)
            path = trained(root, 250, place)
            found = named(path, root)
            row = {"data": root.name, "planted": is_planted, "corner": corner, "right": told_apart(path, root), **found}
            row["named"] = found["level"] == "warning"
            row["place named"] = corner in found["verdict"]
            rows.append(row)
            print(
                json.dumps({key: row[key] for key in ("data", "right", "named", "place named", "verdict")}), flush=True
            )
    return rows


def mosaic(folder: Path, images: int, steps: int = 500) -> dict[str, Any]:
    """Train on a mosaic, and count how often each map points at the patch."""
    root = folder / "mosaic"
    places = planted.write_mosaic(root, seed=0)
    path = root / "model.safetensors"
    if not path.exists():
        trained(root, steps)
    predictor = Predictor.load(path, "cpu")
    pixels, masks = read(root, "test")
    study = SimpleNamespace(request=SimpleNamespace(seed=0), progress=lambda _what: lambda _done, _total: None)
    hits: dict[str, list[tuple[bool, bool, float, bool]]] = {}
    for place, (image, mask) in enumerate(zip(pixels[:images], masks[:images], strict=True)):
        row, column = (int(value) for value in np.argwhere(mask > 0).mean(0).round())
        region = region_at(predictor, image, column, row)
        if region.index != mask[row, column]:
            continue
        top, left = places[f"images/test/{place:03}.png"]
        patch = np.zeros(mask.shape, np.bool_)
        patch[top : top + planted.PATCH, left : left + planted.PATCH] = True
        if region.base - region.held(removed(image, patch.astype(np.float32), plain(image))).probability < 0.5:
            continue  # the network takes this class to be the one that needs no patch
        shown, _ = tested_maps(study, region, time.monotonic() + 60)  # type: ignore[arg-type]
        for entry in shown:
            outside = np.where(region.mask, -np.inf, entry.values)
            whole, beside = (bool(patch.ravel()[values.argmax()]) for values in (entry.values, outside))
            chance = float(patch.sum() / (~region.mask).sum())
            hits.setdefault(entry.name, []).append((whole, beside, chance, entry.trusted))
    return {
        "right": told_apart(path, root),
        "maps": {
            name: dict(zip(("hits", "hits outside of the region", "chance", "passed"), np.mean(found, 0), strict=True))
            | {"regions": len(found)}
            for name, found in hits.items()
        },
    }


def main() -> None:
    """Print one line a training, and the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nuclei", type=Path)
    parser.add_argument("--marked", type=int, default=4)
    parser.add_argument("--mosaic", type=int, default=30)
    wanted = parser.parse_args()
    if wanted.mosaic:
        print(json.dumps(mosaic(wanted.folder, wanted.mosaic), indent=1), flush=True)
    rows = marked(wanted.folder, wanted.marked, wanted.nuclei) if wanted.marked else []
    for is_planted, words in ((True, "named"), (False, "false alarms")):
        chosen = [row for row in rows if row["planted"] == is_planted]
        print(words, sum(row["named"] for row in chosen), "of", len(chosen))


if __name__ == "__main__":
    main()
