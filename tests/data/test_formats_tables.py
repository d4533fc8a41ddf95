"""Tables of class names in every form, and what is wrong with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.drawings import GROUND, ONE, SIDE, TWO, counts, drawn, kinds
from tests.data.layouts import photo, write

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.data.formats.meaning.entries import means_ignore
from maskwright.data.formats.meaning.tables import Entry, find_table, read_table, undisputed_table

PLAIN = (Entry(0, "road"), Entry(1, "traffic light"), Entry(2, "sky"))
NUMBERED = (Entry(3, "road"), Entry(4, "traffic light"), Entry(9, "sky"))
COLORED = (Entry(0, "road", (1, 2, 3)), Entry(1, "traffic light", (0, 0, 0)), Entry(2, "sky", (255, 0, 7)))
BOTH = tuple(Entry(first.id, first.name, second.color) for first, second in zip(NUMBERED, COLORED, strict=True))

FORMS = {
    "a.txt": [
        ("road\ntraffic light\nsky", PLAIN),
        ("\ufeffroad\r\ntraffic light\r\n\r\n# sky is last\r\nsky\r\n", PLAIN),
        ("9 sky\n3 road\n4 traffic light", NUMBERED),
        ("3,road\n4,traffic light\n9,sky", NUMBERED),
        ("3: road\n4: traffic light\n9: sky", NUMBERED),
        ("road=3\ntraffic light=4\nsky=9", NUMBERED),
        ("sky 9\nroad 3\ntraffic light 4", NUMBERED),
        ("name id\nsky 9\nroad 3\ntraffic light 4", NUMBERED),
        ("grade 1\ngrade 2", (Entry(0, "grade 1"), Entry(1, "grade 2"))),
        ("Boeing 737\nAirbus 320", (Entry(0, "Boeing 737"), Entry(1, "Airbus 320"))),
        ("road 1 2 3\ntraffic light 0 0 0\nsky 255 0 7", COLORED),
        ("road,1,2,3\ntraffic light,0,0,0\nsky,255,0,7", COLORED),
        ("road,#010203\ntraffic light,#000000\nsky,#FF0007", COLORED),
        ("3 road #010203\n4 traffic light #000000\n9 sky #ff0007", BOTH),
        ("9 #ff0007 sky\n3 #010203 road\n4 #000000 traffic light", BOTH),
        ("#010203 road\n#000000,traffic light\n#FF0007: sky", COLORED),
        ("3,road # wide\n4,traffic light\n9,sky  # blue, mostly", NUMBERED),
        ("#my classes\nbolt #2\nnut", (Entry(0, "bolt #2"), Entry(1, "nut"))),
        ("1 2 3\troad\n0 0 0\ttraffic light\n255 0 7\tsky", COLORED),
        ("# label:color_rgb:parts:actions\nroad:1,2,3::\ntraffic light:0,0,0::\nsky:255,0,7:a,b:c", COLORED),
        ("road:::\ntraffic light:::\nsky:::", PLAIN),
        ("3,road,1,2,3\n4,traffic light,0,0,0\n9,sky,255,0,7", BOTH),
        ("3 road 1 2 3\n4 traffic light 0 0 0\n9 sky 255 0 7", BOTH),
        ("3,road,\n4,'traffic light',\n9,\"sky\",", NUMBERED),
        ('3   1 2 3  1  1 1  "road"\n4   0 0 0  0.5  0 0  "traffic light"\n9   255 0 7  1  1 1  "sky"', BOTH),
        ("id name\n3 road\n4 traffic light\n9 sky", NUMBERED),
        ("Wert;Klasse\n3;road\n4;traffic light\n9;sky", NUMBERED),
        ("Pixel Value, Class\n3, road\n4, traffic light\n9, sky", NUMBERED),
        ("road\n2 wheeler\nsky\ncar", tuple(map(Entry, range(4), ("road", "2 wheeler", "sky", "car")))),
        ("7\n8\n9", (Entry(0, "7"), Entry(1, "8"), Entry(2, "9"))),
    ],
    "b.txt": [
        ("0,7\n1,8\n2,9", (Entry(0, "7"), Entry(1, "8"), Entry(2, "9"))),
        ("-1,plate\n0,road\n1,sky", (Entry(-1, "plate"), Entry(0, "road"), Entry(1, "sky"))),
    ],
    "a.csv": [
        ("name,r,g,b\nroad,1,2,3\ntraffic light,0,0,0\nsky,255,0,7", COLORED),
        ("Name;Red;Green;Blue\nroad;1;2;3\ntraffic light;0;0;0\nsky;255;0;7", COLORED),
        ("id,name,r,g,b\n3,road,1,2,3\n4,traffic light,0,0,0\n9,sky,255,0,7", BOTH),
        ("class\nroad\ntraffic light\nsky", PLAIN),
        ("Name,Hex\nroad,#010203\ntraffic light,#000000\nsky,#ff0007", COLORED),
        ('name,rgb\nroad,"1,2,3"\ntraffic light,(0 0 0)\nsky,"[255, 0, 7]"', COLORED),
        ('"id";"name"\n"3";"road"\n"4";"traffic light"\n"9";"sky"', NUMBERED),
        ('id,name\n1,"road, wide"\n2,7', (Entry(1, "road, wide"), Entry(2, "7"))),
        ("road\ntraffic light\nsky", PLAIN),
    ],
    "a.json": [
        ('["road", "traffic light", "sky"]', PLAIN),
        ('{"classes": ["road", "traffic light", "sky"]}', PLAIN),
        ('{"3": "road", "4": "traffic light", "9": "sky"}', NUMBERED),
        ('{"road": 3, "traffic light": 4, "sky": 9}', NUMBERED),
        ('[{"name": "sky", "id": "9"}, {"name": "road", "id": "3"}, {"name": "traffic light", "id": "4"}]', NUMBERED),
        ('[{"name": "road", "id": 3}, {"name": "traffic light", "id": 4}, {"name": "sky", "id": 9}]', NUMBERED),
        ('{"road": [1, 2, 3], "traffic light": [0, 0, 0], "sky": [255, 0, 7]}', COLORED),
    ],
    "a.yaml": [
        ("names:\n- road\n- traffic light\n- sky", PLAIN),
        ("names:\n  3: road\n  4: traffic light\n  9: sky", NUMBERED),
        ("train: x\nnames: {3: road, 4: traffic light, 9: sky}", NUMBERED),
    ],
}


@pytest.mark.parametrize(("name", "text", "entries"), [(n, *case) for n, cases in FORMS.items() for case in cases])
def test_forms(tmp_path, name, text, entries):
    (tmp_path / name).write_text(text, encoding="utf-8")
    table = read_table(tmp_path / name)
    assert table.entries == entries
    assert table.numbered == (entries in (NUMBERED, BOTH) or name == "b.txt" or "wide" in text)
    assert table.colored == (entries in (COLORED, BOTH))


@given(st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=9), min_size=1, max_size=9, unique=True))
def test_plain_names_round_trip(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("t") / "classes.txt"
    path.write_text("\n".join(names), encoding="utf-8")
    assert [entry.name for entry in read_table(path).entries] == names


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"1 a\n1 b", "gives id 1 to 'a' and 'b'"),
        ("a.txt", b"a 1 2 3\nb 1 2 3", "gives the colour (1, 2, 3) to 'a' and 'b'"),
        ("a.txt", b"a 1 2 300", "255 is the highest"),
        ("a.txt", b"stra\xdfe", "not UTF-8"),
        ("a.txt", b"0,ground\n1,disc\nsquare", "line 3: 'square' is written differently from most"),
        ("a.txt", b"background\n1,cat\n2,dog", "line 1: 'background' is written differently"),
        ("a.txt", b"3,road,1,2,3\n4,light\n9,sky,255,0,7", "line 2: '4,light' is written differently"),
        ("a.txt", b"road 1 2 3\n# sky\nsky\npole 0 0 0", "line 3: 'sky' is written differently"),
        ("a.txt", b"ground\ndisc\n-1,plate", "line 3: '-1,plate' gives an id, but most lines"),
        ("a.txt", b"| id | name |\n|---|---|\n| 1 | nut |", "line 1: '| id | name |' is a line of a Markdown table"),
        ("a.txt", b"id | name\n---|---\n1 | nut", "is a line of a Markdown table"),
        ("a.txt", b"bolt 2\nnut 1\nground", "'bolt 2' may end in an id or in a part of its name"),
        ("a.txt", b"rust 2\nrust 1", "write every line as id,name"),
        ("a.csv", b"id,name\n0,road\n1,", "line 3: '1,' names no class"),
        ("a.json", b'[{"name": "road", "id": 3}, {"name": "sky"}]', "gives 'sky' no id"),
        ("a.csv", b"name,id\nroad,x", "the id 'x' is not a whole number"),
        ("a.csv", b"name,r,g,b\nroad,x,1,2", "three whole numbers"),
        ("a.json", b"{", "is cut off"),
        ("a.json", b"7", "holds int, not class names"),
        ("a.json", b'{"a": null}', "'a': None, which is not a class"),
        ("a.json", b"[[1]]", "[1], which is not a class name"),
        ("a.yaml", b"names: [", "cannot be read as YAML"),
    ],
)
def test_tables_that_are_none(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MaskwrightError) as caught:
        read_table(tmp_path / name)
    assert words in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_names_that_begin_with_numbers_are_refused_with_a_cure_that_works(tmp_path):
    names = ["background", "3 mm nut", "5 mm nut", "8 mm nut"]
    path = tmp_path / "classes.txt"
    path.write_text("\n".join(names))
    with pytest.raises(MaskwrightError, match="write every line as id,name, such as 1,3 mm nut"):
        read_table(path)
    path.write_text("\n".join(f"{number},{name}" for number, name in enumerate(names)))
    assert read_table(path).entries == tuple(map(Entry, range(4), names))


def test_labelmes_list_begins_at_minus_one(tmp_path):
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ncat\n")
    table = read_table(tmp_path / "labels.txt")
    assert table.entries == (Entry(-1, "__ignore__"), Entry(0, "_background_"), Entry(1, "cat"))
    assert means_ignore("__ignore__")


def test_a_missing_table(tmp_path):
    with pytest.raises(MaskwrightError, match="does not exist"):
        read_table(tmp_path / "gone.txt")


def test_the_first_table_that_holds_something_is_found(tmp_path):
    (tmp_path / "classes.txt").write_text("\n# nothing\n")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\n")
    assert find_table([tmp_path]) is None
    (tmp_path / "labelmap.txt").write_text("road\n")
    found = find_table([tmp_path / "gone", tmp_path])
    assert found is not None
    assert found.path == tmp_path / "labelmap.txt"


@pytest.mark.parametrize("name", ["unlabelled", "Unlabeled", "VOID", "ignore", "don't care", "Dont_Care"])
def test_names_that_mean_ignore(name):
    assert means_ignore(name)


@pytest.mark.parametrize("name", ["background", "avoid", "other", "label", "unknown"])
def test_names_that_do_not(name):
    assert not means_ignore(name)


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("road\nsky\n", "sky\nroad\n", True),
        ("road\nsky\n", "1,road\n2,sky\n", True),
        ("road\nsky\n", "0,Road\n1,sky\n", False),
        ("road\nsky\n", "unlabelled\nroad\nsky\n", False),
        ("road\nsky\n", "sky,1,2,3\nroad,4,5,6\n", False),  # colours tell the class, and their order nothing
    ],
)
def test_two_tables_in_one_folder(tmp_path, first, second, clash):
    (tmp_path / "classes.txt").write_text(first)
    (tmp_path / "labels.txt").write_text(second)
    if clash:
        with pytest.raises(
            MaskwrightError, match=r"classes\.txt and .*labels\.txt give the same names to different ids"
        ):
            undisputed_table([tmp_path])
        (tmp_path / "labels.txt").unlink()
    table = undisputed_table([tmp_path])
    assert table is not None
    assert [entry.name for entry in table.entries] == ["road", "sky"]


@pytest.mark.parametrize("others", [148, 0])
def test_the_table_of_ade20k_leaves_0_unlabelled_and_one_like_it_means_the_background(tmp_path, others):
    names = ["wall", "building, edifice", *(f"class {number}" for number in range(others))]
    rows = [f"{number}\t0.1\t10\t1\t1\t{name}\n" for number, name in enumerate(names, start=1)]
    (tmp_path / "objectInfo150.txt").write_text("".join(["Idx\tRatio\tTrain\tVal\tStuff\tName\n", *rows]))
    for number, split in enumerate(("training", "validation") * 2):
        photo(tmp_path / "images" / split / f"{number}.jpg", number, (SIDE, SIDE))
        write(tmp_path / "annotations" / split / f"{number}.png", drawn(number))
    found = {"wall": 4 * ONE, "building, edifice": 4 * TWO}
    assert counts(tmp_path) == found | {"ignored" if others else "background": 4 * GROUND}
    assert ("'unlabelled' (0) is ignored" in read_dataset(tmp_path).layout) == bool(others)
    assert kinds(tmp_path) == []
