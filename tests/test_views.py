"""Selections as HTML, drawings and data frames; what is hostile stays text."""

import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pyarrow
import pytest
import quillian as ql
from quillian import views

HOSTILE = "<script>alert(1)</script>' onload='x\" & \ufffe"


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)


def walked(atlas: ql.Store) -> ql.Selection:
    return atlas.run(ql.Query(ql.Named("rome"), ql.Expand(2), ql.Top(3)))


def test_hostile_ids_names_texts_and_types_are_only_text(store: ql.Store) -> None:
    plain = HOSTILE
    store.add(HOSTILE, id=plain, name=plain)
    store.add("other", id="other")
    store.link("other", plain, plain)
    for found in (store.run(ql.All()), store.run(ql.Query(ql.Named("other"), ql.Expand()))):
        page = found._repr_html_() + found[len(found) - 1]._repr_svg_()
        tags = Tags(page)
        assert "script" not in tags.names
        assert not {name for name in tags.attributes if name.startswith("on")}
        assert "&lt;script&gt;" in page
        for row in found:
            ElementTree.fromstring(row._repr_svg_())


def test_bars_go_with_scores_and_long_tables_are_counted(store: ql.Store) -> None:
    store.add_many(texts=[f"text {i}" for i in range(views.ROWS_MAX + 7)])
    with store.snapshot() as view:
        found = ql.Selection.everything(view).derive(
            "made", view.all_nodes(), np.linspace(2, 1, len(view), dtype=np.float32)
        )
        page = found._repr_html_()
    assert page.count("<tr>") == views.ROWS_MAX + 2
    assert "and 7 more" in page
    assert f"width:{views.BAR_PX}px;height" in page
    assert f"width:{views.BAR_PX // 2}px;height" not in page
    assert "<table>" in store.run(ql.Top(0))._repr_html_()


def test_drawing_has_a_box_per_concept_and_the_types_between(atlas: ql.Store) -> None:
    found = walked(atlas)
    row = next(row for row in found if row.id == "italy")
    svg = ElementTree.fromstring(row._repr_svg_())
    texts = [x.text for x in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[:2] == ["Named", "rome"]
    assert texts[3:5] == ["capital_of", "italy"]
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}rect"))) == 2


def test_arrow_and_pandas_hold_every_column(atlas: ql.Store) -> None:
    found = walked(atlas)
    table = found.to_arrow()
    assert table.column_names == ["id", "score", "name", "text", "hop", "via", "parent"]
    assert table.schema.field("score").type == pyarrow.float32()
    assert table.to_pydict() == found.to_dict()
    assert pyarrow.table(found).equals(table)
    frame = found.to_pandas()
    assert frame["id"].tolist() == [row.id for row in found]
    assert frame["score"].dtype == np.float32
    assert frame["via"].tolist() == found.columns["via"].tolist()


def test_empty_selections_keep_their_types(atlas: ql.Store) -> None:
    nothing = atlas.run(ql.Query(ql.Where(kind="none"), ql.Top(3)))
    assert nothing.to_arrow().schema.field("text").type == pyarrow.string()
    assert len(nothing.to_pandas()) == 0


def test_a_missing_library_is_named(atlas: ql.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ql.InvalidError, match="pip install pyarrow"):
        walked(atlas).to_arrow()
