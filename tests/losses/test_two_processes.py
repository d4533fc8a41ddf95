from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from maskwright.core.channels import class_channels
from maskwright.core.classes import IGNORE
from maskwright.core.plan import LossPlan
from maskwright.losses import LOSSES, across_processes, weighted_sum

if TYPE_CHECKING:
    from pathlib import Path

# One process of two: half the batch, and the mean of the gradients, as DistributedDataParallel takes it.
WORKER = """
import os
import sys
import torch
from torch import distributed
from maskwright.core.channels import class_channels
from maskwright.core.plan import LossPlan
from maskwright.losses import weighted_sum
rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
results = []
for case in torch.load(f"{folder}/cases.pt"):
    logits = case["logits"].chunk(2)[rank].clone().requires_grad_()
    scale = torch.ones((), dtype=logits.dtype, requires_grad=True)
    plan = LossPlan(terms=case["terms"], class_weights=case["weights"])
    loss = weighted_sum(plan, class_channels(logits.shape[1])[0])(logits * scale, case["target"].chunk(2)[rank])
    loss.backward()
    distributed.all_reduce(scale.grad)
    results.append((loss.detach(), scale.grad / 2))
torch.save(results, f"{folder}/{rank}.pt")
distributed.barrier()
os._exit(0)  # threads of gloo may abort the end of a process, which is not tested here
"""


def cases() -> list[dict[str, object]]:
    random = torch.Generator().manual_seed(0)
    found = []
    for classes in (1, 3):
        logits = torch.randn(4, classes, 3, 5, generator=random)
        target = torch.randint(0, max(classes, 2), (4, 3, 5), generator=random)
        target[0] = IGNORE
        target[2:][target[2:] == 1] = 0  # class 1 is seen by the first process only
        common = {"logits": logits, "weights": [0.5, 1.5, 1.0][: max(classes, 2)]}
        found += [{**common, "target": target, "terms": {name: 1.0}} for name in LOSSES]
        nothing = target.clone()
        nothing[2:] = IGNORE
        found.append({**common, "target": nothing, "terms": dict.fromkeys(LOSSES, 1.0)})
    return found


def test_one_process_changes_nothing() -> None:
    tensor = torch.ones(3)
    assert across_processes(tensor) is tensor


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch was built without torch.distributed")
def test_two_processes_are_one_with_twice_the_batch(tmp_path: Path) -> None:
    torch.save(cases(), tmp_path / "cases.pt")
    command = [sys.executable, "-c", WORKER]
    workers = [subprocess.Popen([*command, str(rank), str(tmp_path)]) for rank in (0, 1)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    results = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for index, case in enumerate(cases()):
        scale = torch.ones((), requires_grad=True)
        plan = LossPlan(terms=case["terms"], class_weights=case["weights"])
        loss = weighted_sum(plan, class_channels(case["logits"].shape[1])[0])(case["logits"] * scale, case["target"])
        loss.backward()
        for rank in (0, 1):
            value, gradient = results[rank][index]
            torch.testing.assert_close(value, loss.detach(), rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(gradient, scale.grad, rtol=1e-6, atol=1e-6)
