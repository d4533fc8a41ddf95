from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.report.report_samples import (
    Page,
    absent,
    calibration,
    class_scores,
    full_data,
    make_data,
    make_example,
    make_fingerprint,
    make_history,
    make_scores,
)

from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import Plan
from maskwright.metrics.label_metrics import LABEL_METRICS
from maskwright.metrics.scores import Estimate
from maskwright.report.page import render, write_report

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.report.content import ReportData

EVIL = "<script>alert('x')</script>\"&'"
SECTIONS = ("examples", "confusion", "confidence", "curves", "plan", "data", "environment")


def sections(page: Page) -> set[str]:
    return {str(entry.get("id")) for entry in page.all("section")}


def test_the_whole_page_is_well_formed() -> None:
    page = Page(render(full_data()))
    assert sections(page) == {"summary", "findings", "classes", "means", *SECTIONS}
    assert len(page.all("h1")) == len(page.all("title")) - len(page.all("svg")) - _cell_titles(page) == 1


def _cell_titles(page: Page) -> int:
    """Count the tooltips of cells and dots, each of which is a title of its own."""
    cells = [entry for entry in page.all("rect") if entry.get("class") in {"hit", "miss"}]
    full = [entry for entry in page.all("circle") if entry.get("class") == "point" and float(str(entry["r"])) > 2.8]
    return len(cells) + len(full)


@pytest.mark.parametrize("data", [full_data(), make_data(scores=replace(make_scores(), classes=(), confusion=()))])
def test_every_link_inside_the_page_has_its_target(data: ReportData) -> None:
    page = Page(render(data))
    ids = {entry["id"] for _, entry in page.tags if "id" in entry}
    targets = [str(entry["href"]) for entry in page.all("a")]
    assert targets
    assert {target.removeprefix("#") for target in targets} <= ids


def test_nothing_is_loaded_from_anywhere() -> None:
    text = render(full_data())
    page = Page(text)
    addresses = [str(entry[key]) for _, entry in page.tags for key in ("src", "href") if key in entry]
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert "@import" not in text
    assert "url(" not in text


def test_the_policy_allows_this_script_and_no_other() -> None:
    text = render(full_data())
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = str(Page(text).all("meta")[1]["content"])
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy


def test_whatever_the_user_wrote_stays_text() -> None:
    data = full_data()
    fingerprint = make_fingerprint(EVIL, faults=data.fingerprint.faults if data.fingerprint else ())
    data = replace(
        data,
        title=EVIL,
        split=EVIL,
        classes=Classes.named([EVIL, "crack", "ghost"]),
        scores=make_scores(class_scores(EVIL, 0.3), class_scores("crack"), absent("ghost"), calibration=calibration()),
        plan=Plan(reasons={"model.name": EVIL}),
        fingerprint=replace(fingerprint, root=EVIL, layout=EVIL),
        examples=(make_example(EVIL), make_example("b.png")),
        environment={EVIL: EVIL},
    )
    text = render(data)
    page = Page(text)
    assert len(page.all("script")) == 1
    assert "alert(" not in "".join(
        str(value) for tag, entry in page.tags if tag == "script" for value in entry.values()
    )
    assert EVIL not in text
    assert page.text.count(EVIL) >= 10
    assert page.all("img")[0]["alt"] == f"image of {EVIL}"


def test_the_numbers_are_those_of_the_scores() -> None:
    data = full_data()
    page = Page(render(data))
    crack = data.scores.classes[1]
    assert "Mean IoU on held-out test images 80.0%" in page.text
    assert "95% interval 78.0% to 82.0%" in page.text
    assert "IoU per image 80.0%" in page.text
    assert "Pixel accuracy 90.0%" in page.text
    assert "ECE 8.0%" in page.text
    assert "ECE 1.0%" in page.text
    shown = [str(entry["data-sort"]) for entry in page.all("td") if "data-sort" in entry]
    expected = [crack[key] for key in ("iou", "dice", "precision", "recall", "boundary_iou", "hd95", "nsd")]
    assert shown[9:18] == [str(crack.pixels), str(crack.images), *(str(entry.value) for entry in expected)]


def test_the_summary_names_the_conditions() -> None:
    text = Page(render(full_data())).text
    for words in (
        "40 images, split test",
        "swiftnet, from scratch",
        "40 steps in 1 min 20 s, without",
        "40 images, 3 classes",
    ):
        assert words in text


def test_background_does_not_hide_what_one_looks_for() -> None:
    classes = class_scores("background", 0.99), class_scores("crack", 0.6), class_scores("hole", 0.5)
    assert "IoU of crack 60.0%" in Page(render(make_data(scores=make_scores(*classes[:2])))).text
    three = make_data("background", "crack", "hole", scores=make_scores(*classes))
    assert "IoU without background 55.0%" in Page(render(three)).text
    assert "without background" not in Page(render(make_data("road", "crack", "hole"))).text


def test_groups_are_named_where_there_are_any() -> None:
    data = make_data(scores=make_scores(class_scores("background"), class_scores("crack"), groups=3))
    assert "40 images in 3 groups, split test" in Page(render(data)).text


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("val", "Confusion Mean IoU on validation images"),
        ("train", "Confusion Mean IoU on training images"),
        ("all", "Confusion Mean IoU on all images in the folder"),
        ("site B", "Confusion Mean IoU on images of site B"),
        ("", "Confusion Mean IoU on images 80.0%"),
    ],
)
def test_the_headline_says_what_was_judged(split: str, words: str) -> None:
    assert words in Page(render(make_data(split=split))).text


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("test", "Confusion Mean IoU on one held-out test image "),
        ("all", "Confusion Mean IoU on one image in the folder "),
        ("site B", "Confusion Mean IoU on one image of site B "),
        ("", "Confusion Mean IoU on one image "),
    ],
)
def test_the_headline_says_that_it_was_one_image(split: str, words: str) -> None:
    data = make_data(split=split)
    page = Page(render(replace(data, scores=replace(data.scores, images=1))))
    assert words in page.text
    assert "1 images" not in page.text


def test_the_first_lines_say_of_which_scenes_alone_the_score_speaks() -> None:
    data = make_data()
    page = Page(render(replace(data, scores=replace(data.scores, scope="Only <these> scenes."))))
    assert page.text.index("Only <these> scenes.") < page.text.index("Before you trust it")
    assert "No warnings" not in page.text


def test_the_least_there_can_be() -> None:
    page = Page(render(make_data()))
    assert sections(page) == {"summary", "findings", "classes", "means", "confusion"}
    assert "No warnings: every class is found" in page.text


def test_a_task_without_classes_has_no_table_of_them() -> None:
    page = Page(render(make_data(scores=replace(make_scores(), classes=(), confusion=()))))
    assert sections(page) == {"summary", "findings", "means"}
    assert "No warnings: the interval is narrow" in page.text


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("examples", {"examples": ()}),
        ("curves", {"history": ()}),
        ("plan", {"plan": None}),
        ("data", {"fingerprint": None}),
        ("environment", {"environment": {}}),
    ],
)
def test_any_part_may_be_missing(section: str, changes: dict[str, Any]) -> None:
    page = Page(render(replace(full_data(), **changes)))
    assert {"summary", "findings", "classes", "means", *SECTIONS} - sections(page) == {section}
    assert f"#{section}" not in {entry.get("href") for entry in page.all("a")}


def test_one_class_has_no_confusion_matrix() -> None:
    data = make_data("crack", scores=make_scores(class_scores("crack")))
    assert "confusion" not in sections(Page(render(data)))


def test_eighty_classes_fit_the_page() -> None:
    names = [f"class {index}" for index in range(80)]
    data = make_data(*names, fingerprint=make_fingerprint(*names), history=make_history())
    text = render(data)
    page = Page(text)
    assert len(text) < 3_000_000
    assert all(page.text.count(name) >= 3 for name in names)


def test_undefined_values_are_dashes_that_say_why() -> None:
    scores = make_scores(absent("a"), absent("b"), confusion=((0, 0), (0, 0)))
    scores = replace(scores, mean=dict.fromkeys(scores.mean, Estimate(None, None, None)))
    page = Page(render(make_data("a", "b", scores=scores)))
    dashes = [entry for entry in page.all("span") if entry.get("class") == "missing"]
    assert len(dashes) == 1 + 2 * 7 + 11
    assert {entry["title"] for entry in dashes} == {"not in the data"}
    assert "confusion" not in sections(page)
    assert "Pixel accuracy \N{EN DASH}" in page.text


def test_an_interval_may_be_missing() -> None:
    scores = make_scores(class_scores("a"), class_scores("b"))
    data = make_data("a", "b", scores=replace(scores, mean={**scores.mean, "iou": Estimate(0.5, None, None)}))
    assert "no interval" in Page(render(data)).text


def test_every_metric_is_defined_on_the_page() -> None:
    text = Page(render(make_data())).text
    assert all(metric.description in text for metric in LABEL_METRICS)


def test_few_images_are_called_every_image() -> None:
    few = make_scores(class_scores("background"), class_scores("crack"), images=2)
    shown = (make_example("a.png"), make_example("b.png"))
    assert "Every image scored" in Page(render(make_data(scores=few, examples=shown))).text
    many = Page(render(make_data(examples=(*shown, make_example("c.png"))))).text
    assert many.index("The worst images") < many.index("b.png") < many.index("The best images") < many.index("c.png")
    assert "An image" in Page(render(make_data(examples=shown[:1]))).text


def test_the_same_data_give_the_same_page() -> None:
    assert render(full_data()) == render(full_data())


def test_the_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "run" / "report.html"
    data = full_data()
    write_report(path, data)
    assert path.read_text(encoding="utf-8") == render(data)
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_a_file_name_in_no_encoding_does_not_stop_the_page(tmp_path: Path) -> None:
    data: ReportData = make_data(examples=(make_example("bad\udcff.png"),))
    write_report(tmp_path / "report.html", data)
    assert "bad\\udcff.png" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(MaskwrightError, match=r"report\.html could not be written"):
        write_report(tmp_path / "report.html", make_data())
