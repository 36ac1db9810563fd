# SPDX-License-Identifier: Apache-2.0
"""
Describes violations of the schema for people: what is wrong, and what would be right.

A value is quoted only where the schema lists or bounds the right ones, and never if it is secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from edge_twisted.config.problems import quoted
from edge_twisted.config.schema import Schema, resolved
from edge_twisted.config.violations import Violation
from edge_twisted.config.yaml.nodes import Plain

#: Longer texts are not compared with known keys: no key is so long, and comparing is slow.
_LONGEST_MISSPELLING: Final = 64
_YES: Final = frozenset({"yes", "on", "y"})
_NO: Final = frozenset({"no", "off", "n"})
_KINDS: Final[Mapping[str, str]] = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def describe(violation: Violation) -> tuple[str, str]:
    """Return two phrases for a message: what is wrong with a value, and what would be right."""
    return _DESCRIBERS[violation.keyword](violation)


def expected(part: Schema) -> str:
    """Return a phrase for the values that the schema `part` accepts, such as ``text or null``."""
    part = resolved(part)
    if "title" in part:
        return str(part["title"])
    if "anyOf" in part:
        return " or ".join(expected(each) for each in part["anyOf"])
    if "const" in part:
        return str(part["const"])
    if "enum" in part:
        return one_of(part["enum"])
    kinds = part.get("type", ())
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    return " or ".join(_KINDS[name] + _range(part, name) for name in names)


def one_of(choices: Iterable[object]) -> str:
    """Return a phrase for a choice, such as ``a, b or c``; `choices` has at least one element."""
    names = [str(choice) for choice in choices]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the name in `known` that `word` probably misspells; None if none is similar."""
    if len(word) > _LONGEST_MISSPELLING:
        return None
    by_form = {_form(each): each for each in known}
    found = get_close_matches(_form(word), by_form, n=1, cutoff=0.6)
    return by_form[found[0]] if found else None


def kind_of(value: Plain) -> str:
    """Return a phrase for the JSON type of `value`: ``a number``, ``text``, ``an object``."""
    match value:
        case None:
            return "empty"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "an object"


def _alternatives(violation: Violation) -> tuple[str, str]:
    """Describe a value that is of none of the kinds that are accepted."""
    right = f"must be {expected(violation.part)}"
    value = violation.value
    parts = [resolved(part) for part in violation.part["anyOf"]]
    choices = [choice for part in parts for choice in _texts(part)]
    if isinstance(value, str) and choices:
        near = nearest(value, choices)
        hint = f"; did you mean {near}?" if near else ""
        return "is a text that is not known", right + hint
    kinds = tuple(str(part["type"]) for part in parts if "type" in part)
    return f"is {kind_of(value)}", right + _hint(value, kinds)


def _texts(part: Schema) -> list[str]:
    choices = part.get("enum") or [part.get("const")]
    return [choice for choice in choices if isinstance(choice, str)]


def _type(violation: Violation) -> tuple[str, str]:
    wanted = violation.wanted
    kinds = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    right = f"must be {expected(violation.part)}"
    return f"is {kind_of(violation.value)}", right + _hint(violation.value, kinds)


def _hint(value: Plain, kinds: tuple[str, ...]) -> str:
    """Return a remedy for a common mistake, such as `yes` for true, or an empty text."""
    if value is None:
        return "; write a value or remove the key"
    if isinstance(value, str) and "boolean" in kinds:
        word = value.lower()
        if word in _YES | _NO:
            return f"; yes, no, on and off are texts: write {str(word in _YES).lower()}"
    if (
        isinstance(value, str)
        and value.strip("-+").isdecimal()
        and {"integer", "number"} & {*kinds}
    ):
        return "; remove the quotes"
    if isinstance(value, bool | int | float) and "string" in kinds:
        return "; put it in quotes"
    if "array" in kinds and not isinstance(value, dict):
        return "; put it in [ ]"
    return ""


def _enum(violation: Violation) -> tuple[str, str]:
    right = f"must be {expected(violation.part)}"
    if not isinstance(violation.value, str):
        return f"is {kind_of(violation.value)}", right
    near = nearest(violation.value, _texts(violation.part))
    hint = f"; did you mean {near}?" if near else ""
    return f"{_shown(violation)} is not known", right + hint


def _limit(violation: Violation) -> tuple[str, str]:
    direction = "large" if violation.keyword == "maximum" else "small"
    return f"{_shown(violation)} is too {direction}", f"must be {expected(violation.part)}"


def _length(violation: Violation) -> tuple[str, str]:
    text = str(violation.value)
    what = f"has {len(text)} characters" if text else "is empty"
    return what, f"must be {expected(violation.part)}"


def _emptiness(violation: Violation) -> tuple[str, str]:
    return "is empty", f"must be {expected(violation.part)}, with at least one entry"


def _form_of_text(violation: Violation) -> tuple[str, str]:
    right = f"must be {expected(violation.part)}"
    if violation.reason is not None:
        return violation.reason, right
    return f"{_shown(violation)} does not fit", right


def _shown(violation: Violation) -> str:
    if violation.part.get("writeOnly"):
        return "the value"
    value = violation.value
    return quoted(value) if isinstance(value, str) else str(value)


def _form(word: str) -> str:
    return word.lower().replace("-", "_")


def _range(part: Schema, kind: str) -> str:
    if kind == "string":
        least, most = part.get("minLength", 0), part.get("maxLength")
        if most is not None:
            return f" of {least} to {most} characters"
        return " that is not empty" if least else ""
    if kind not in ("integer", "number"):
        return ""
    least, most = part.get("minimum"), part.get("maximum")
    if "exclusiveMinimum" in part:
        return f" above {part['exclusiveMinimum']} and up to {most}"
    return f" from {least} to {most}"


_DESCRIBERS: Final[Mapping[str, Callable[[Violation], tuple[str, str]]]] = {
    "anyOf": _alternatives,
    "type": _type,
    "enum": _enum,
    "const": _enum,
    "minimum": _limit,
    "exclusiveMinimum": _limit,
    "maximum": _limit,
    "minLength": _length,
    "maxLength": _length,
    "minItems": _emptiness,
    "minProperties": _emptiness,
    "pattern": _form_of_text,
    "format": _form_of_text,
}
