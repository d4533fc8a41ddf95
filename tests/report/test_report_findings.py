from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.report.report_samples import (
    UNDEFINED,
    absent,
    calibration,
    class_scores,
    estimate,
    fault,
    make_data,
    make_fingerprint,
    make_scores,
)

from maskwright.metrics.scores import Estimate
from maskwright.report.findings import findings

if TYPE_CHECKING:
    from maskwright.report.content import ReportData


def texts(data: ReportData) -> list[str]:
    return [entry.text for entry in findings(data)]


def scored(*classes: Any, **changes: Any) -> ReportData:
    return make_data(scores=make_scores(*classes, **changes))


def with_mean(mean: Estimate, **changes: Any) -> ReportData:
    scores = make_scores(class_scores("a"), class_scores("b"), **changes)
    return make_data("a", "b", scores=replace(scores, mean={**scores.mean, "iou": mean}))


def test_a_sound_result_needs_no_words() -> None:
    assert texts(make_data()) == []


def test_training_images_are_a_warning_and_validation_images_a_note() -> None:
    (warning,) = findings(make_data(split="train"))
    assert (warning.level, "trained on" in warning.text) == ("warning", True)
    (note,) = findings(make_data(split="val"))
    assert (note.level, "slightly too good" in note.text) == ("note", True)
    (note,) = findings(make_data(split="all"))
    assert (note.level, "too good" in note.text) == ("note", True)


def test_a_wide_interval_names_what_it_rests_on() -> None:
    wide = Estimate(0.5, 0.4, 0.6)
    assert texts(with_mean(wide, images=12)) == [
        "The interval is wide (40.0% to 60.0%): it is based on only 12 images."
    ]
    assert "only 40 images in 3 groups." in texts(with_mean(wide, groups=3))[0]
    assert texts(with_mean(Estimate(0.5, 0.46, 0.55))) == []


def test_no_interval_and_no_value() -> None:
    assert texts(with_mean(Estimate(0.5, None, None), images=1)) == [
        "There is no interval for the mean IoU: it needs at least four images or groups that differ, and "
        "the scores are based on 1 image."
    ]
    assert texts(with_mean(UNDEFINED)) == ["No mean IoU could be computed: the scored images have no labelled pixels."]


def test_a_length_has_no_width_that_is_too_wide_and_no_points() -> None:
    """Only shares have a scale: 10 px are much on one image and little on another."""
    scores = make_scores(class_scores("a"), class_scores("b"), headline="hd95")
    wide = replace(scores, mean={**scores.mean, "hd95": Estimate(5.0, 1.0, 60.0)})
    falling = [{"step": step, "val_hd95": 9.0 - step} for step in (1, 2, 3)]
    assert texts(make_data("a", "b", scores=wide, history=falling)) == []


def test_a_task_without_classes_is_judged_by_its_headline_alone() -> None:
    scores = make_scores(class_scores("a"), headline="iou")
    assert texts(make_data("a", scores=replace(scores, classes=(), confusion=()))) == []


def test_a_class_without_recall_and_precision_is_not_called_missed() -> None:
    bare = replace(class_scores("a"), values={"iou": estimate(0.1)})
    assert texts(scored(bare)) == []


def test_a_class_that_is_missed_is_named_with_its_share() -> None:
    assert texts(scored(class_scores("pole", recall=estimate(0.4)))) == [
        "Class pole is found in only 40% of its pixels."
    ]
    assert texts(scored(class_scores("pole", recall=estimate(0.5)))) == []


def test_a_class_that_is_never_found() -> None:
    nothing = Estimate(0.0, 0.0, 0.0)
    assert texts(scored(class_scores("pole", recall=nothing, precision=UNDEFINED))) == ["Class pole is never found."]


def test_a_class_that_is_made_up() -> None:
    found = texts(scored(class_scores("car", precision=estimate(0.46))))
    assert found == ["Of the pixels predicted as car, only 46% are car."]


def test_many_weak_classes_are_summed_up() -> None:
    weak = [class_scores(f"c{k}", recall=estimate(0.10 + k / 100), precision=estimate(0.2)) for k in range(7)]
    found = texts(scored(*weak))
    assert found[0] == "Class c0 is found in only 10% of its pixels."
    assert found[4] == "3 more classes are found in less than half of their pixels."
    assert found[9].startswith("The same holds for 3 more classes")
    assert len(found) == 10


def test_an_unseen_class_is_a_warning() -> None:
    found = findings(scored(class_scores("a"), absent("ghost")))
    assert [(entry.level, entry.text) for entry in found] == [
        ("warning", "Class ghost does not occur in the scored images: how well it is found is unknown.")
    ]


def test_classes_seen_in_few_images() -> None:
    rare = class_scores("rare", images=2)
    assert texts(scored(rare)) == ["Scored on fewer than 5 images: rare (2). Their scores are unreliable."]
    assert texts(scored(rare, images=4)) == []


def test_confidence_counts_as_it_will_be_given() -> None:
    raw = scored(class_scores("a"), calibration=calibration(scaled=False, ece=0.14))
    assert texts(raw) == ["Probabilities are poorly calibrated: they are off by 14% on average (ECE)."]
    assert texts(scored(class_scores("a"), calibration=calibration(ece=0.14))) == []


def test_a_temperature_that_does_harm_is_said() -> None:
    worse = replace(calibration(ece=0.026), ece_scaled=0.035)
    (text,) = texts(scored(class_scores("a"), calibration=worse))
    assert text.endswith("raises the calibration error on these images: 2.6% without it, 3.5% with it.")
    as_good = replace(worse, ece_scaled=0.0262)
    assert texts(scored(class_scores("a"), calibration=as_good)) == []


def test_records_that_could_not_be_used() -> None:
    faults = (fault("a.png"), fault("b.png"), fault("c.png", severity="warning"))
    found = texts(make_data(fingerprint=make_fingerprint("a", faults=faults)))
    assert found == ["2 records of the data could not be used; see the faults in the data below."]


def test_a_score_that_was_still_rising() -> None:
    rising = [{"step": step, "val_iou": step / 10} for step in (1, 2, 3)]
    assert texts(make_data(history=rising))[0].startswith(
        "Validation IoU was still improving at the end (by 10.0 points since the validation before)"
    )
    settled = [{"step": step, "val_iou": value} for step, value in ((1, 0.1), (2, 0.4), (3, 0.405))]
    assert texts(make_data(history=settled)) == []
    fallen = [{"step": step, "val_iou": value} for step, value in ((1, 0.5), (2, 0.1), (3, 0.4))]
    assert texts(make_data(history=fallen)) == []


def test_warnings_come_before_notes() -> None:
    data = make_data(split="val", scores=make_scores(class_scores("pole", recall=estimate(0.4))))
    assert [entry.level for entry in findings(data)] == ["warning", "note"]


def test_notes_on_the_judging_are_passed_on_as_sentences() -> None:
    data = replace(make_data(split="test"), notes=("an image was left out: a.png",))
    assert "An image was left out: a.png." in texts(data)
