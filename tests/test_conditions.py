"""Conditions that people type become the dictionaries that filters take."""

from typing import Any

import pytest
from quillian.conditions import parse_conditions
from quillian.errors import InvalidError


@pytest.mark.parametrize(
    ("term", "condition"),
    [
        ("topic=animal", {"topic": {"$eq": "animal"}}),
        ("pop >= 2.5", {"pop": {"$gte": 2.5}}),
        ("pop<3", {"pop": {"$lt": 3}}),
        ("a.b!=true", {"a.b": {"$ne": True}}),
        ("text~=wolf", {"text": {"$contains": "=wolf"}}),
        ('mark="<b>"', {"mark": {"$eq": "<b>"}}),
        ("text~wolf", {"text": {"$contains": "wolf"}}),
        ("kind=5", {"kind": {"$eq": "5"}}),
        ('code="007"', {"code": {"$eq": "007"}}),
        ("gone=null", {"gone": {"$eq": None}}),
        ("formula=a=b", {"formula": {"$eq": "a=b"}}),
        ("list=[1]", {"list": {"$eq": "[1]"}}),
        ("x=NaN", {"x": {"$eq": "NaN"}}),
    ],
)
def test_term_becomes_a_condition(term: str, condition: dict[str, Any]) -> None:
    assert parse_conditions([term]) == condition


def test_all_terms_must_hold() -> None:
    both = {"$and": [{"a": {"$gt": 1}}, {"a": {"$lt": 3}}]}
    assert parse_conditions(["a>1", "a<3"]) == both
    assert parse_conditions([]) is None


@pytest.mark.parametrize("term", ["age==40", "age>>40", "kind==noun", "age=<40", "a<>4"])
def test_sign_of_another_language_is_refused(term: str) -> None:
    with pytest.raises(InvalidError, match=r"is no comparison; want one of = != > >= < <= ~"):
        parse_conditions([term])


@pytest.mark.parametrize("term", ["", "topic", "=animal", "a b=c"])
def test_term_without_a_field_or_a_sign_is_refused(term: str) -> None:
    with pytest.raises(InvalidError, match="want FIELD and one of"):
        parse_conditions([term])
