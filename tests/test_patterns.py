"""quillian.patterns against Python's re: the same spans, refused where the two would differ."""

import doctest
import random
import re
import sys
from collections.abc import Mapping

import pytest
import quillian.patterns
from quillian.errors import InvalidError
from quillian.patterns import PatternSet
from quillian.regular import translate

pytest.importorskip("ahocorasick")
pytest.importorskip("re2")

ATOMS = ["a", "b", "ab", ".", "é", "_", "1", " ", "#", "^"]
ATOMS += ["[ab]", "[^a]", "[a-c_]", "[^\\s1]", "[\\d-]", "[]x]", "\\n", "\\x61", "\\.", "\\["]
ATOMS += ["\\d", "\\w", "\\s", "\\D", "\\W", "\\S", "\\b", "\\B"]
REFUSED = ["a$", "(?=a)", "(?<!a)b", r"(a)\1", "(?i)a", "(?>a)", "(?#a)b", "(?P=a)", "(?P<1>a)"]
REFUSED += ["a*", "", "(|a)b|", "x(a?)*", r"(\b)+a", r"\Aa?", "a**", "a*+", "a{,3}", "a{2"]
REFUSED += [r"[\S]", r"\u0061", r"\07", r"\N{DIGIT ONE}", "[[]", "[b-a]", "(a", "a)", "*a"]
REFUSED += ["a{1001}", "((a{1000}){1000}){9}"]
REPEATS = ["", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,3}?", "{2,}"]


def expression(source: random.Random, depth: int = 3) -> str:
    if depth == 0 or source.random() < 0.3:
        return source.choice(ATOMS)
    parts = [expression(source, depth - 1) for _ in range(source.randint(1, 3))]
    if source.random() < 0.3:
        return f"({'?:' * source.randint(0, 1)}{'|'.join(parts)}){source.choice(REPEATS)}"
    return "".join(f"{part}{source.choice(REPEATS)}" for part in parts)


def text(source: random.Random, length: int) -> str:
    return "".join(source.choice("aabb1 _é\n.\v[€x-") for _ in range(length))


def by_re(
    literals: Mapping[str, str], expressions: Mapping[str, str], subject: str
) -> list[tuple[int, int, str]]:
    """The oracle: one re.finditer per pattern."""
    compiled = {name: re.compile(re.escape(literal)) for name, literal in literals.items()}
    compiled |= {name: re.compile(x, re.ASCII) for name, x in expressions.items()}
    return sorted(
        (*match.span(), name) for name, one in compiled.items() for match in one.finditer(subject)
    )


def test_examples_in_docstrings_run() -> None:
    result = doctest.testmod(quillian.patterns)
    assert (result.attempted, result.failed) == (2, 0)


def test_spans_equal_those_of_re_on_random_expressions() -> None:
    source = random.Random(1)
    accepted = 0
    for _ in range(1500):
        one = expression(source)
        try:
            patterns = PatternSet({}, {"x": one})
        except InvalidError:
            continue
        accepted += 1
        for length in (0, 3, 12, 40):
            subject = text(source, length)
            found = [tuple(place) for place in patterns.find(subject)]
            assert found == by_re({}, {"x": one}, subject), (one, subject)
    assert accepted > 500


def test_many_patterns_find_what_each_finds_alone() -> None:
    source = random.Random(2)
    literals = {f"l{i}": text(source, source.randint(1, 3)) for i in range(20)}
    expressions = {"word": r"\w+", "number": r"[0-9]+", "pair": r"(a|b) ?(a|b)", "end": r"x\Z"}
    patterns = PatternSet(literals, expressions)
    subjects = [text(source, length) for length in (0, 1, 5, 50, 500)]
    for subject, found in zip(subjects, patterns.find_many(subjects), strict=True):
        assert [tuple(place) for place in found] == by_re(literals, expressions, subject)


def test_literal_does_not_overlap_itself_but_others() -> None:
    patterns = PatternSet({"aa": "aa", "aaa": "aaa", "again": "aa"})
    found = [tuple(place) for place in patterns.find("aaaaa")]
    assert found == by_re({"aa": "aa", "aaa": "aaa", "again": "aa"}, {}, "aaaaa")


@pytest.mark.parametrize("one", REFUSED)
def test_what_the_engines_read_differently_is_refused(one: str) -> None:
    with pytest.raises(InvalidError, match="want"):
        PatternSet({}, {"x": one})


def test_refusal_says_where_and_why() -> None:
    with pytest.raises(InvalidError, match=r"write \\Z, at 2 in 'ab\$'"):
        translate("ab$")


def test_names_and_literals_are_checked() -> None:
    with pytest.raises(InvalidError, match="each name once"):
        PatternSet({"a": "x"}, {"a": "y"})
    with pytest.raises(InvalidError, match="at least one character"):
        PatternSet({"a": ""})
    with pytest.raises(InvalidError, match="surrogates"):
        PatternSet({}, {"a": "b"}).find("\ud800")
    assert PatternSet().find("anything") == []


def test_nothing_is_catastrophic() -> None:
    """Backtracking would need 2^5000 steps here."""
    patterns = PatternSet({}, {"a": r"(a+)+b", "b": r"(a|aa)+\Z", "c": r"(\w+\s?)+!"})
    assert [tuple(x) for x in patterns.find("a" * 5000)] == [(0, 5000, "b")]


def test_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    with pytest.raises(ImportError, match=r"quillian\[patterns\]"):
        PatternSet({}, {"a": "b"})
