# SPDX-License-Identifier: Apache-2.0
"""
What the first name of a path means, before anything is planned.

A term goes by its alias.  The name of its collection means the term too, as long as no other term
goes by it: ``t.n`` is ``u.n`` in ``FROM t u``.  Alone, ``t`` could be the document or a field of
it, so there it is refused.  `resolve_names` puts the name that a term goes by in place of the
collection's, so that nobody downstream meets the other; `qualify` gives paths that can only be
one field the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from attrs import evolve

from edge_twisted.dql import syntax
from edge_twisted.dql.errors import SemanticError

Node_ = TypeVar("Node_", bound=syntax.Node)
_NOTHING_BOUND: frozenset[str] = frozenset()


def free_paths(
    root: syntax.Node, bound: frozenset[str] = _NOTHING_BOUND
) -> Iterator[tuple[syntax.Path, bool]]:
    """
    Yield every path below a node, and whether its first name is a bound variable there.

    `bound` are the variables of ANY, EVERY, ARRAY and OBJECT around the node.
    """
    stack: list[tuple[syntax.Node, frozenset[str]]] = [(root, bound)]
    while stack:
        node, here = stack.pop()
        if isinstance(node, syntax.Path):
            yield node, node.names[0] in here
            continue
        inner = here
        if isinstance(node, syntax.Quantified | syntax.ArrayRange | syntax.ObjectRange):
            binding = node.binding
            inner = here.union({binding.name} | ({binding.index} if binding.index else set()))
        for child in node.children():
            # The source of a binding does not see its variables.
            if isinstance(child, syntax.Binding):
                stack.append((child.source, here))
            else:
                stack.append((child, inner))


def resolve_names(node: Node_, terms: Sequence[syntax.Term]) -> Node_:
    """
    Return a statement, or a part of one, in which every path says which term it means.

    :raises SemanticError: a path begins with the name of a collection that two terms are of, or
        is nothing but the name of a collection that has an alias.
    """
    hidden = _hidden(terms)
    if not hidden:
        return node
    plain = _plain_names(node)

    def change(path: syntax.Path) -> syntax.Path:
        found = hidden.get(path.names[0])
        if not found:
            return path
        if len(path.names) > 1 and len(found) == 1:
            return evolve(path, names=(found[0], *path.names[1:]))
        return path if id(path) in plain else _refuse(path, found)

    return _renamed(_with_wildcards(node, hidden), change)


def qualify(
    node: syntax.Expression, term: str | None, bound: frozenset[str] = _NOTHING_BOUND
) -> syntax.Expression:
    """
    Return an expression that equals another where both are the same thing of every row.

    With a `term`, the only one of the statement, ``x`` becomes ``term.x``.  `bound` are the
    variables around the expression; a variable is not the field of its name, and becomes a
    parameter with a name that no text can give it.
    """
    changes: dict[int, syntax.Expression] = {}
    for path, is_bound in free_paths(node, bound):
        if is_bound:
            changes[id(path)] = syntax.Parameter(" " + "\0".join(path.names))
        elif term is not None and path.names[0] != term:
            changes[id(path)] = evolve(path, names=(term, *path.names))
    return _replaced(node, changes) if changes else node


def below(node: syntax.Expression, term: str) -> syntax.Expression:
    """Return a condition on a document as one on a term: every name in it is a field."""
    changes: dict[int, syntax.Expression] = {
        id(path): evolve(path, names=(term, *path.names))
        for path, is_bound in free_paths(node)
        if not is_bound
    }
    return _replaced(node, changes) if changes else node


def _hidden(terms: Sequence[syntax.Term]) -> dict[str, list[str]]:
    """Return the names of collections that go by another name, with those of their terms."""
    found: dict[str, list[str]] = {}
    names = {term.name for term in terms}
    for term in terms:
        collection = term.collection.name
        if term.alias is not None and collection not in names:
            found.setdefault(collection, []).append(term.name)
    return found


def _plain_names(root: syntax.Node) -> set[int]:
    """Return the paths of a statement that are names of fields, or of outputs, and no values."""
    found: set[int] = set()
    outputs: set[str] = set()
    for node in root.walk():
        match node:
            case syntax.Omission(path=path) | syntax.Apply(path=path):
                found.add(id(path))
            case syntax.Assignment(path=path) | syntax.FieldDeclaration(path=path):
                found.add(id(path))
            case syntax.Update(removals=removals):
                found.update(map(id, removals))
            case syntax.Projected(alias=str(alias)):
                outputs.add(alias)
            case syntax.SortKey(expression=syntax.Path(names=(name,)) as path) if name in outputs:
                found.add(id(path))
    return found


def _refuse(path: syntax.Path, terms: Sequence[str]) -> syntax.Path:
    name = path.names[0]
    if len(terms) > 1:
        shown = " and ".join(terms)
        raise SemanticError(
            f"{name} is the collection of several terms, {shown}: write the name of one", path.span
        )
    (term,) = terms
    raise SemanticError(
        f"{name} is the collection that is called {term} here: write {term} for the document, "
        f"{term}.{name} for its field",
        path.span,
    )


def _with_wildcards(node: Node_, hidden: dict[str, list[str]]) -> Node_:
    """Return the same with ``t.*`` as ``u.*``."""

    def change(each: syntax.Node) -> syntax.Node:
        match each:
            case syntax.Wildcard(qualifier=str(name)) if len(hidden.get(name, ())) == 1:
                return evolve(each, qualifier=hidden[name][0])
        return each

    if not any(isinstance(each, syntax.Wildcard) and each.qualifier for each in node.walk()):
        return node
    return syntax.map_tree(node, change)  # type: ignore[return-value]


def _renamed(node: Node_, change: Callable[[syntax.Path], syntax.Path]) -> Node_:
    changes: dict[int, syntax.Expression] = {}
    for path, is_bound in free_paths(node):
        if not is_bound and (new := change(path)) is not path:
            changes[id(path)] = new
    return _replaced(node, changes) if changes else node


def _replaced(node: Node_, changes: dict[int, syntax.Expression]) -> Node_:
    # A path has no children, so `map_tree` hands over the very node.
    return syntax.map_tree(node, lambda each: changes.get(id(each), each))  # type: ignore[return-value]
