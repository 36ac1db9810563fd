# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 - tables, one row a line
"""YAML as such: what is accepted, what is refused, and where that is said."""

from __future__ import annotations

import pytest

from edge_twisted.config.problems import MAX_PROBLEMS, FilePosition
from edge_twisted.config.reporter import Reporter
from edge_twisted.config.yaml.compose import MAX_NODES, compose
from edge_twisted.config.yaml.nodes import MAX_DEPTH, YamlDocument, plain


def composed(text: str) -> tuple[YamlDocument | None, list[str]]:
    reporter = Reporter("f")
    document = compose(text, reporter)
    return document, [str(problem).removeprefix("f:") for problem in reporter.problems]


def value_of(text: str) -> object:
    document, problems = composed(text)
    assert problems == []
    assert document is not None
    return plain(document.root)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only a comment\n", None),
        ("---\na: 1\n...\n", {"a": 1}),
        ("%YAML 1.2\n---\na: 1", {"a": 1}),
        ("a: 1\r\nb:\r\n  - x\r\n", {"a": 1, "b": ["x"]}),
        ("a: &x [1]\nb: *x\n", {"a": [1], "b": [1]}),
        ("a: &x 1\nb: &x 2\nc: *x\n", {"a": 1, "b": 2, "c": 2}),
        ("a: &x\n  b: &x 1\n  c: *x\n", {"a": {"b": 1, "c": 1}}),
        ("a: {<<: {b: 1, c: 2}, c: 3}", {"a": {"c": 3, "b": 1}}),
        ("a: {c: 3, <<: [{b: 1}, {b: 2, d: 4}]}", {"a": {"c": 3, "b": 1, "d": 4}}),
        ("x: &x {b: 1}\na: {<<: *x}", {"x": {"b": 1}, "a": {"b": 1}}),
        ('a: {"<<": 1}', {"a": {"<<": 1}}),
        ("a: {<<: {<<: {b: 1}}}", {"a": {"b": 1}}),
    ],
)
def test_what_yaml_means(text: str, value: object) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "3:1: a: the key appears twice; keep one of the two"),
        ("a: {b: 1, 'b': 2}", '1:11: a.b: the key appears twice; keep one of the two'),
        ("<<: {a: 1}\n<<: {b: 1}", '2:1: ["<<"]: the key appears twice; keep one of the two'),
        ("a: {<<: 1}", 'a["<<"]: `<<` takes an object, or a list of objects; refer to one by its '
            "anchor: `<<: *name`"),
        ("a: {<<: [1]}", 'a["<<"]: `<<` takes an object, or a list of objects; refer to one by its '
            "anchor: `<<: *name`"),
        ("a: [1, *b]", "1:8: a[1]: no anchor of this name comes before it; quote a text that begins "
            "with `*`"),
        ("a: &b [1, *b]", "1:11: a[1]: this alias is inside what it refers to; spell it out"),
        ("a: &b {<<: *b}", '1:12: a["<<"]: this alias is inside what it refers to; spell it out'),
        ("a: !!str 1", "1:4: a: tags (`!...`) are not accepted; write the plain value"),
        ("a: !x [!y 1]", "1:8: a[0]: tags (`!...`) are not accepted; write the plain value"),
        ("a: ! 1", "1:4: a: tags (`!...`) are not accepted; write the plain value"),
        ("!!map {a: 1}", "1:1: tags (`!...`) are not accepted; write the plain value"),
        ("!!python/object:os.system x", "1:1: tags (`!...`) are not accepted; write the plain value"),
        ("a: !e!x 1", "1:4: a: tags (`!...`) are not accepted; quote a text that begins with `!`"),
        ("a: 1\n---\nb: 2", "2:1: a second document begins here; keep one document in the file"),
        ("a: 1\n...\nb: 2", "3:1: something follows the end of the document; close each bracket "
            "once, and write everything into one document"),
        ("---\n---\n", "2:1: a second document begins here; keep one document in the file"),
        ("? [a]\n: 1", "1:3: a key must be text; put it in quotes"),
        ("1: a", "1:1: a key must be text; put it in quotes"),
        ("true: a", "1:1: a key must be text; put it in quotes"),
        ("null: a", "1:1: a key must be text; put it in quotes"),
        ("a: .inf", "1:4: a: infinity and not-a-number are not accepted; write a finite number, or "
            "quote a text"),
        ("a: " + "9" * 5000, "1:4: a: a whole number has at most 64 bits; write a smaller one, or "
            "quote a text"),
        ("a: -9223372036854775809", "1:4: a: a whole number has at most 64 bits; write a smaller "
            "one, or quote a text"),
        ("a: 1e400", "1:4: a: the number is too large; write a smaller one, or quote a text"),
    ],
)  # fmt: skip
def test_what_is_refused_where_the_rest_can_be_read(text: str, problem: str) -> None:
    assert any(problem in line for line in composed(text)[1]), composed(text)[1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: b: c", "1:5: a `:` cannot be here; quote a text that has `: ` in it, and indent the "
            "keys of one object alike"),
        ("a:\n  b: 1\n c: 2", "3:2: this line is no key of the object that it is indented as"),
        ("a:\n\t- x", "2:1: a: a tab cannot indent in YAML; indent with spaces"),
        ("a: 1\n\tb: 2", "2:1: a: a tab cannot indent in YAML; indent with spaces"),
        ("a: @x", "1:4: a: a plain text cannot begin with `@`; put the text in quotes"),
        ("a: `x", "1:4: a: a plain text cannot begin with ```; put the text in quotes"),
        ("a: %x", "1:4: a: a plain text cannot begin with `%`; put the text in quotes"),
        ("a: * x", "1:5: a: no name follows this `*` or `&`; quote a text that begins with `*` or"),
        ("a:\n  b: [1, 2\n", "3:1: a.b: this list or object in brackets is not closed, or a comma is "
            "missing (it began in line 2); write a comma between entries and close it"),
        ("a: 'x\n", "a: the file ends inside quotes (it began in line 1); close them where the text"),
        ("{a: 1}}", "1:7: something follows the end of the document"),
        ('a: "\\q"', "a: this `\\` escape does not exist in YAML; write `\\\\` for a backslash"),
        ('a: "\\ud800"', "a: this escape stands for no character; write the character itself"),
        ("a: > text", "a: text follows `|` or `>` on the same line; begin the text on the next"),
        ("%YAML 3.0\n---\na: 1", "1:1: this version of YAML is not known; remove the %YAML line"),
        ("- a\nb: c", "2:1: this line is no item of the list that it is indented as"),
        ("a:\nb\nc: 1", "2:1: a: this key has no `:`; write `key: value`, or quote a text of several lines"),
        ("a: [,]", "1:5: a: a value is missing here; write it, or remove the comma"),
    ],
)  # fmt: skip
def test_what_is_no_yaml_is_explained_at_its_place(text: str, problem: str) -> None:
    document, problems = composed(text)
    assert document is None
    assert len(problems) == 1
    assert problem in problems[0]


def test_positions_count_characters_from_one() -> None:
    document, _ = composed('é: [1, {"ü": \U0001f600}]\r\nb:\r\n  c: 2\r\n')
    assert document is not None
    assert document.value_position(("é", 0)) == FilePosition(1, 5)
    assert document.key_position(("é", 1, "ü")) == FilePosition(1, 9)
    assert document.value_position(("é", 1, "ü")) == FilePosition(1, 14)
    assert document.key_position(("b", "c")) == FilePosition(3, 3)
    assert document.value_position(("b",)) == FilePosition(3, 3)
    assert document.value_position(("b", "none", 0)) == FilePosition(3, 3)


def test_what_is_merged_keeps_its_own_place() -> None:
    document, _ = composed("x: &x {a: 1}\nb: {<<: *x}\n")
    assert document is not None
    assert document.key_position(("b", "a")) == FilePosition(1, 8)


@pytest.mark.parametrize("open_", ["[", "{a: ", "- ", "? "])
@pytest.mark.parametrize("count", [MAX_DEPTH + 1, 900, 1_100, 100_000])
def test_absurd_nesting_is_refused_at_once(open_: str, count: int) -> None:
    problems = composed(open_ * count)[1]
    assert [line for line in problems if "deeper than" in line]


def test_nesting_up_to_the_limit_is_fine() -> None:
    assert composed("[" * MAX_DEPTH + "]" * MAX_DEPTH)[1] == []


def test_nesting_by_aliases_counts() -> None:
    chain = "\n".join(f"- &a{i} [*a{i - 1}]" for i in range(1, MAX_DEPTH + 1))
    problems = composed(f"- &a0 [1]\n{chain}")[1]
    assert len(problems) == 1
    assert "with this alias the file nests deeper" in problems[0]


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    document, problems = composed("\n".join(lines))
    assert document is None
    assert len(problems) == 1
    assert f"more than {MAX_NODES} values, aliases expanded; shorten it" in problems[0]


def test_a_bomb_of_merge_keys_is_refused() -> None:
    base = "b: &b {" + ", ".join(f"k{i}" for i in range(5000)) + "}"
    document, problems = composed(f"{base}\na: {{<<: [{', '.join(['*b'] * 5000)}]}}")
    assert document is None
    assert "aliases expanded" in problems[0]


def test_a_flood_of_problems_is_bounded() -> None:
    problems = composed("\n".join(["a: 1"] * (MAX_PROBLEMS + 5)))[1]
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1] == (
        f" further problems than these {MAX_PROBLEMS} are not shown; mend these first"
    )
