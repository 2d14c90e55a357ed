"""The regular expressions on which RE2 and Python's `re` agree, checked and translated.

RE2 runs in time linear in the text, whatever the pattern, but a few signs mean something else
there.  This parser takes the subset where both find the same spans, compared with
`re.compile(expression, re.ASCII)`, and refuses the rest by name:

    literals, `.`, `[...]`, `|`, `(...)`, `(?:...)`, `(?P<name>...)`
    `*  +  ?  {n}  {n,}  {n,m}`, each also lazy, with counts up to 1000
    `^  \\A  \\Z  \\b  \\B`, the classes `\\d \\w \\s \\D \\W \\S`, and `\\n \\t \\r \\f \\v \\xhh`

Refused: `$` (Python lets it stand before a last newline; write `\\Z`), lookaround, backreferences,
flags, and whatever can match nothing or repeat nothing, where the engines move on differently.
"""

import re

from .errors import InvalidError

REPEATS_MAX = 1000  # RE2's own limit.
SPACE = "\\t-\\r "  # RE2's \s lacks the vertical tab.
CLASSES = {"d": "0-9", "w": "0-9A-Za-z_", "s": SPACE}
ANCHORS = {"A": "\\A", "Z": "\\z", "b": "\\b", "B": "\\B"}
CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}


def translate(expression: str) -> str:
    """The expression for RE2.  Raises InvalidError, saying where, if it is not in the subset."""
    parser = _Parser(expression)
    text, empty = parser.alternatives()
    if parser.at < len(expression):
        raise parser.refused("unbalanced parenthesis")
    if empty:
        raise parser.refused("it can match nothing")
    try:
        re.compile(expression, re.ASCII)
    except re.error as error:
        raise InvalidError(f"want a regular expression, got {expression!r}: {error}") from None
    return text


class _Parser:
    """Recursive descent; every rule returns its RE2 text and whether it can match nothing."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.at = 0

    def refused(self, why: str) -> InvalidError:
        where = f"at {self.at} in {self.expression!r}"
        return InvalidError(
            f"want an expression of the common subset of re and RE2: {why}, {where}"
        )

    def peek(self) -> str:
        return self.expression[self.at : self.at + 1]

    def take(self) -> str:
        sign = self.peek()
        if not sign:
            raise self.refused("it ends too early")
        self.at += 1
        return sign

    def took(self, text: str) -> bool:
        if not self.expression.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def alternatives(self) -> tuple[str, bool]:
        text, empty = self.sequence()
        while self.took("|"):
            more, more_empty = self.sequence()
            text, empty = f"{text}|{more}", empty or more_empty
        return text, empty

    def sequence(self) -> tuple[str, bool]:
        text, empty = "", True
        while self.peek() not in ("", "|", ")"):
            atom, atom_empty = self.repeated()
            text, empty = text + atom, empty and atom_empty
        return text, empty

    def repeated(self) -> tuple[str, bool]:
        text, empty = self.atom()
        least, repeat = self.quantifier()
        if not repeat:
            return text, empty
        if empty:
            raise self.refused("it repeats what can match nothing")
        if self.took("?"):
            repeat += "?"
        elif (self.peek() and self.peek() in "*+") or self.quantifier()[1]:
            raise self.refused("a repeat of a repeat")
        return text + repeat, least == 0

    def quantifier(self) -> tuple[int, str]:
        """The least count and the text of a quantifier here, or (1, "")."""
        for sign, least in (("*", 0), ("+", 1), ("?", 0)):
            if self.took(sign):
                return least, sign
        if self.peek() != "{":
            return 1, ""
        counts, closed, _ = self.expression[self.at + 1 :].partition("}")
        low, comma, high = counts.partition(",")
        numbers = [low, *([high] if high else [])]
        if not closed or not all(x.isascii() and x.isdigit() for x in numbers):
            raise self.refused("write a literal brace as \\{")
        if any(int(x) > REPEATS_MAX for x in numbers) or (high and int(high) < int(low)):
            raise self.refused(f"want counts in order, up to {REPEATS_MAX}")
        self.at += len(counts) + 2
        return int(low), f"{{{low}{comma}{high}}}"

    def atom(self) -> tuple[str, bool]:
        sign = self.take()
        if sign == "(":
            return self.group()
        if sign == "[":
            return self.bracket(), False
        if sign == "\\":
            return self.escape()
        if sign == ".":
            return sign, False
        if sign == "^":
            return "\\A", True
        self.at -= 1
        if sign == "$":
            raise self.refused("$ may stand before a last newline, write \\Z")
        if sign in "*+?{":
            raise self.refused("nothing to repeat")
        self.at += 1
        return _literal(sign), False

    def group(self) -> tuple[str, bool]:
        if self.took("?P<"):
            while self.take() != ">":
                pass
        elif not self.took("?:") and self.peek() == "?":
            raise self.refused("only (?:...) and (?P<name>...) are groups here")
        text, empty = self.alternatives()
        if not self.took(")"):
            raise self.refused("missing )")
        return f"(?:{text})", empty

    def escape(self) -> tuple[str, bool]:
        sign = self.take()
        if sign in ANCHORS:
            return ANCHORS[sign], True
        if sign.lower() in CLASSES:
            return f"[{'^' if sign.isupper() else ''}{CLASSES[sign.lower()]}]", False
        return _literal(self.character(sign)), False

    def character(self, sign: str) -> str:
        """What an escaped sign stands for."""
        if sign in CONTROLS:
            return CONTROLS[sign]
        if sign == "x":
            digits = self.take() + self.take()
            if not all(x in "0123456789abcdefABCDEF" for x in digits):
                raise self.refused("want \\x and two digits")
            return chr(int(digits, 16))
        if sign.isalnum() and sign.isascii():
            raise self.refused(f"\\{sign} is not in the subset")
        return sign

    def bracket(self) -> str:
        text = "[^" if self.took("^") else "["
        first = True
        while first or self.peek() != "]":
            text += self.member()
            first = False
        self.at += 1
        return text + "]"

    def member(self) -> str:
        """A character, a range or a class inside brackets."""
        low = self.one()
        if len(low) != 1:
            return low
        if self.peek() != "-" or self.expression[self.at + 1 : self.at + 2] == "]":
            return _literal(low)
        self.at += 1
        high = self.one()
        if len(high) != 1 or high < low:
            raise self.refused("want a range from a lower to a higher character")
        return f"{_literal(low)}-{_literal(high)}"

    def one(self) -> str:
        """The next character, or the text of a class, which is longer than one."""
        sign = self.take()
        if sign == "[" or (sign in "-&~|" and self.peek() == sign):
            raise self.refused("write \\[ and doubled signs in brackets with backslashes")
        if sign != "\\":
            return sign
        sign = self.take()
        if sign in CLASSES:
            return CLASSES[sign]
        if sign.lower() in CLASSES or sign in ANCHORS:
            raise self.refused(f"\\{sign} inside brackets")
        return self.character(sign)


def _literal(sign: str) -> str:
    """The character for RE2, inside brackets or out."""
    plain = sign.isalnum() or sign == "_" or ord(sign) > 127
    return sign if plain else f"\\x{{{ord(sign):x}}}"
