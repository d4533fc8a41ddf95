from __future__ import annotations

from dataclasses import replace

from tests.report.report_samples import fault, make_fingerprint

from maskwright.core.classes import Classes
from maskwright.core.plan import Plan
from maskwright.report.facts import class_facts, data_facts, decisions, fault_groups, split_names, written


def test_reasons_come_first_and_no_value_is_lost() -> None:
    plan = Plan(reasons={"optim.lr": "found by the range test", "augment": "few images"})
    reasoned, rest = decisions(plan)
    assert [(entry.label, entry.key, entry.value, entry.why) for entry in reasoned[:1]] == [
        ("Learning rate", "optim.lr", "0.002", "found by the range test")
    ]
    assert reasoned[1].label == "Augment"
    assert "zoom 0.5, 1.5" in reasoned[1].value
    keys = {entry.key for entry in rest}
    assert "optim.weight_decay" in keys
    assert "seed" in keys
    assert "optim.lr" not in keys
    assert not any(key.startswith("augment.") for key in keys)
    assert all(
        getattr(getattr(plan, key.split(".")[0]), key.split(".")[1], plan) is not plan for key in keys if "." in key
    )


def test_a_reason_for_no_value_is_still_told() -> None:
    (entry,), _ = decisions(Plan(reasons={"tuning.rounds": "none were asked for"}))
    assert (entry.label, entry.value) == ("Rounds", "-")


def test_values_are_written_for_people() -> None:
    assert written(None) == "-"
    assert written({}) == "-"
    assert written(value=True) == "yes"
    assert written(0) == "0"
    assert written(value=False) == "no"
    assert written(0.00012345) == "0.0001234"
    assert written((256, 512)) == "256, 512"
    assert written({"dice": 1.0, "focal": 0.5}) == "dice 1, focal 0.5"
    assert written("adamw") == "adamw"


def test_what_the_data_looks_like() -> None:
    facts = dict(data_facts(make_fingerprint("a")))
    assert facts["Sizes (width x height)"] == "480 x 320 (38), 320 x 480 (2)"
    assert facts["Channels"] == "3"
    assert facts["Splits"] == "train 30, test 10"
    assert facts["Unlabelled pixels"] == "3.4%"
    assert facts["Near-duplicates"] == "2 images"
    bare = dict(data_facts(replace(make_fingerprint("a"), splits={}, groups=0, near_duplicates=0)))
    assert "Splits" not in bare
    assert "Groups" not in bare
    assert bare["Near-duplicates"] == "none"


def test_how_large_the_classes_are() -> None:
    fingerprint = make_fingerprint("a", "b")
    assert split_names(fingerprint) == ["train", "test"]
    first = class_facts(fingerprint, Classes.named(["a", "b"]))[0]
    assert (first.share, first.images, first.objects) == ("50.0%", ("30", "10"), "70")
    assert first.size == "3.0 (2.0 to 4.0)"
    assert first.thickness is None


def test_regions_of_a_class_are_not_shown_beside_annotated_objects() -> None:
    fingerprint = make_fingerprint("a", "b")
    stuff, things = fingerprint.class_stats
    annotated = replace(fingerprint, class_stats=(stuff, replace(things, annotated=True)))
    rows = class_facts(annotated, Classes.named(["a", "b"]))
    assert [(row.objects, row.size) for row in rows] == [(None, None), ("70", "3.0 (2.0 to 4.0)")]


def test_faults_are_gathered_by_kind_with_a_common_cure() -> None:
    faults = [fault(f"{index}.png") for index in range(7)] + [fault("x.png", severity="warning", cure="look")]
    first, second = fault_groups(faults, "/data/cracks")
    assert (first.kind, first.severity, first.more, first.cure) == ("unpaired", "error", 0, "delete it")
    others = "images/1.png, images/2.png, images/3.png, images/4.png, images/5.png and 1 more"
    assert first.first == (("images/0.png", "has no mask", others, ""),)
    assert (second.severity, second.more, second.cure) == ("warning", 0, "look")


def test_different_cures_stay_with_their_files() -> None:
    (group,) = fault_groups([fault("a.png", cure="one"), fault("b.png", cure="two")], "/elsewhere")
    assert group.cure == ""
    assert group.first == (
        ("/data/cracks/images/a.png", "has no mask", "", "one"),
        ("/data/cracks/images/b.png", "has no mask", "", "two"),
    )
