"""Explanations and receipts: recomputed alone and on the snapshot, cited, drawn, and not forged."""

import dataclasses
import itertools
import json
from xml.etree import ElementTree

import pytest
import quillian as ql
from quillian.evidence import believe
from quillian.receipts import Receipt, receipt
from test_believing import worlds


@pytest.mark.parametrize("direction", ["out", "both"])
def test_receipt_gives_the_same_belief_alone_and_on_the_snapshot(
    store: ql.Store, direction: str
) -> None:
    worlds(store, 12, 0.2, 7)
    with store.snapshot() as view:
        for source, target in itertools.product(range(0, 12, 3), range(12)):
            how = {"types": ["t"], "hops": 5, "direction": direction}
            kept = Receipt.from_json(receipt(view, [source], [target], **how).to_json())
            found = believe(view, [source], [target], **how)
            assert kept.version == view.version
            assert kept.recompute() == found
            assert kept.replay(view) == found


def test_receipt_is_refused_when_it_or_the_store_changed(atlas: ql.Store) -> None:
    with atlas.snapshot() as view:
        kept = receipt(view, [view.node("paris")], [view.node("europe")])
    first = kept.associations[0]
    forged = dataclasses.replace(
        kept, associations=(first._replace(p=first.p / 2), *kept.associations[1:])
    )
    with pytest.raises(ql.ConflictError, match="changed"):
        forged.recompute()
    atlas.add("later")
    with atlas.snapshot() as view, pytest.raises(ql.ConflictError, match="snapshot"):
        kept.replay(view)
    assert kept.recompute().lower == pytest.approx(0.98)
    with pytest.raises(ql.InvalidError, match="receipt"):
        Receipt.from_json("[]")


def test_answer_explains_itself(atlas: ql.Store) -> None:
    found = atlas.ask("Which country's capital is Paris?")
    why = found.explain()
    assert why.text().splitlines() == [
        f"France: belief 0.980 to 0.980, as of snapshot {found.version}",
        "\u251c\u2500 path 1, support 0.980",
        "\u2502  \u2514\u2500 paris -capital_of-> france (0.980)",
        "\u2514\u2500 would be overturned without (0.980 falls to 0.000 at most)",
        "   \u2514\u2500 paris -capital_of-> france (0.980)",
    ]
    assert found.receipt is not None
    assert found.receipt.recompute() == found.belief
    with atlas.snapshot() as view:
        assert found.receipt.replay(view) == found.belief

    def lines(tree: dict) -> list[dict]:
        return [tree, *(x for below in tree["below"] for x in lines(below))]

    content = json.loads(why.to_json())
    assert all(x["concepts"] for x in lines(content["tree"]))
    assert content["tree"]["below"][0]["associations"][0]["source"] == "paris"
    drawn = ElementTree.fromstring(why.svg())
    words = [x.text for x in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"paris", "france", "capital_of 0.98", "0.980"} <= set(words)
    with pytest.raises(ql.InvalidError, match="nothing to explain"):
        atlas.ask("Who?").explain()


def test_explain_operator_keeps_rows_and_gives_receipts(atlas: ql.Store) -> None:
    plan = ql.Query(ql.Where(kind="city"), ql.Believe("europe"), ql.Explain("europe"))
    found = atlas.run(plan)
    for row, score in enumerate(found.scores):
        kept = Receipt.from_json(str(found.columns["receipt"][row]))
        assert kept.recompute().lower == pytest.approx(score)
        assert f"{found[row].id} leads to europe" in found.columns["explanation"][row]
