"""The sections of a diagnosis, in the order of the page."""

from __future__ import annotations

from maskwright.workflows.diagnose_parts.belief import belief
from maskwright.workflows.diagnose_parts.cost import cost
from maskwright.workflows.diagnose_parts.explanation import explanation
from maskwright.workflows.diagnose_parts.fit import fit
from maskwright.workflows.diagnose_parts.more_data import more_data
from maskwright.workflows.diagnose_parts.new_groups import new_groups
from maskwright.workflows.diagnose_parts.prior import prior
from maskwright.workflows.diagnose_parts.robustness import robustness
from maskwright.workflows.diagnose_parts.section import Section
from maskwright.workflows.diagnose_parts.shift import shift
from maskwright.workflows.diagnose_parts.shortcuts import shortcuts
from maskwright.workflows.diagnose_parts.trials import balance, starts
from maskwright.workflows.diagnose_parts.where import where

SECTIONS: dict[str, Section] = {
    "where": Section(
        "Where it is wrong", ("border", "frame", "sizes", "confusions", "groups", "kinds", "worst"), where
    ),
    "fit": Section("What it learnt", ("fit", "imbalance", "labels", "gradients", "transfer"), fit, share=2),
    "more-data": Section("Would more labels help?", ("more-data", "label-next"), more_data, share=8, asked=True),
    "new-groups": Section("How does it do elsewhere?", ("new-groups",), new_groups, share=8, asked=True),
    "starts": Section("Which start is best?", ("starts",), starts, share=8, asked=True),
    "balance": Section("What helps rare classes?", ("balance",), balance, share=8, asked=True),
    "belief": Section("Can it be believed?", ("belief", "calibration", "risk"), belief, share=2),
    "shift": Section("Does new data look like the training data?", ("shift", "update"), shift),
    "robustness": Section("Robustness", ("robustness",), robustness, share=4),
    "shortcuts": Section("Shortcuts", ("shortcuts",), shortcuts, share=2),
    "explanation": Section("Why this mask", ("explanation", "receptive-field"), explanation, share=2),
    "prior": Section("Do rules about masks help?", ("prior",), prior),
    "cost": Section("What it costs", ("cost", "options"), cost, share=2),
}
