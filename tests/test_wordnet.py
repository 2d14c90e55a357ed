"""WordNet's data files, on a small folder in their format (tests/wordnet)."""

import shutil
from pathlib import Path

import pytest
from quillian.errors import BadRecordError, NotFoundError
from quillian.reading import Edge, Item, find_folder, read_wordnet, refuse

FOLDER = Path(__file__).parent / "wordnet"


@pytest.fixture(scope="module")
def records() -> list[Item | Edge]:
    return list(read_wordnet(FOLDER, on_bad=refuse))


@pytest.fixture(scope="module")
def items(records: list[Item | Edge]) -> dict[str, Item]:
    return {x.id: x for x in records if isinstance(x, Item)}


@pytest.fixture(scope="module")
def edges(records: list[Item | Edge]) -> set[tuple[str, str, str]]:
    return {(x.source, x.type, x.target) for x in records if isinstance(x, Edge)}


def test_synset_becomes_an_item_with_its_words_and_gloss(items: dict[str, Item]) -> None:
    dog = items["dog.n.01"]
    assert dog.text is not None
    assert dog.text.startswith("dog, domestic dog, Canis familiaris: a member of the genus Canis")
    assert (dog.name, dog.aliases) == ("dog", ("domestic dog", "Canis familiaris"))
    assert (dog.kind, dog.source) == ("noun", "wordnet")
    assert dog.data == {"topic": "animal", "offset": 2084071}


def test_ids_count_the_senses_of_a_word(items: dict[str, Item]) -> None:
    assert {"bark.n.04", "pack.n.06", "hot.a.01", "coldly.r.01"} <= set(items)


def test_capitals_stay_in_names_and_leave_ids(items: dict[str, Item]) -> None:
    assert items["paris.n.01"].name == "Paris"


def test_satellite_keeps_its_letter_and_is_an_adjective(items: dict[str, Item]) -> None:
    assert items["galore.s.01"].kind == "adjective"
    assert items["galore.s.01"].name == "galore"  # The file says galore(ip).


def test_pointers_are_spelled_out(edges: set[tuple[str, str, str]]) -> None:
    assert {
        ("dog.n.01", "hypernym", "canine.n.02"),
        ("canine.n.02", "hyponym", "dog.n.01"),
        ("dog.n.01", "member_holonym", "pack.n.06"),
        ("france.n.01", "part_meronym", "paris.n.01"),
        ("hot.a.01", "antonym", "cold.a.01"),
        ("hot.a.01", "attribute", "temperature.n.01"),
        ("baking.s.01", "similar_to", "hot.a.01"),
        ("bark.n.04", "derivationally_related", "bark.v.04"),
    } <= edges


def test_every_pointer_leads_to_an_item(
    items: dict[str, Item], edges: set[tuple[str, str, str]]
) -> None:
    assert len(items) == 20
    assert len(edges) == 28
    assert {end for source, _, target in edges for end in (source, target)} <= set(items)


def test_broken_line_and_dangling_pointer_are_named(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "wordnet")
    with (folder / "data.verb").open("a") as file:
        file.write("01047763 32 v 01 bark 0 001 @ 99999999 v 0000 01 + 02 00 | dangling\n")
    bad: list[BadRecordError] = []
    list(read_wordnet(folder, on_bad=bad.append))
    assert [str(x) for x in bad] == [
        "data.verb:31: pointer @ leads to no synset: v 99999999",
    ]
    with pytest.raises(BadRecordError, match=r"data\.verb:31"):
        list(read_wordnet(folder, on_bad=refuse))


def test_line_that_is_no_synset_is_named(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "wordnet")
    with (folder / "data.verb").open("a") as file:
        file.write("gibberish\n")
    bad: list[BadRecordError] = []
    found = list(read_wordnet(folder, on_bad=bad.append))
    assert [x.place for x in bad] == ["data.verb:31"]
    assert "not a synset" in str(bad[0])
    assert sum(isinstance(x, Item) for x in found) == 20


def test_missing_wordnet_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(
        NotFoundError, match=r"data\.noun is missing; install Debian's wordnet-base"
    ):
        find_folder(tmp_path)
