# SPDX-License-Identifier: Apache-2.0
"""
Name resolution: which term the first name of a path means, decided before planning.

A term is called by its alias.  The name of its collection means the term as well, unless another
term has that name: in ``FROM t u``, ``t.n`` is ``u.n``.  A bare ``t`` is refused there, because it
could be the document or a field of it.  `resolve_names` replaces the collection's name by the
term's, so that later stages meet only one of them; `qualify` puts the term's name before paths that
can only be fields of the single term, so that equal expressions compare equal.
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

    Paths come in no particular order.

    :param bound: the variables of ANY, EVERY, ARRAY and OBJECT that surround the node.
    """
    stack: list[tuple[syntax.Node, frozenset[str]]] = [(root, bound)]
    while stack:
        node, here = stack.pop()
        if isinstance(node, syntax.Path):
            yield node, node.names[0] in here
            continue
        inner = here
        if isinstance(
            node,
            syntax.QuantifiedExpression | syntax.ArrayComprehension | syntax.ObjectComprehension,
        ):
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
    Return a statement, or a part, in which every path begins with the name of its term.

    :raises SemanticError: a path begins with the name of a collection that has two terms, or is
        just the name of a collection that has an alias; write the alias.
    """
    hidden = _hidden_names_of(terms)
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

    return _rename(_with_wildcards(node, hidden), change)


def qualify(
    node: syntax.Expression, term: str | None, bound: frozenset[str] = _NOTHING_BOUND
) -> syntax.Expression:
    """
    Return an expression in a form that is equal for expressions of one meaning.

    With `term`, the only term of the statement, ``x`` becomes ``term.x``.  A variable in `bound` is
    not the field of the same name; it becomes a parameter whose name cannot occur in a text.
    """
    changes: dict[int, syntax.Expression] = {}
    for path, is_bound in free_paths(node, bound):
        if is_bound:
            changes[id(path)] = syntax.Parameter(" " + "\0".join(path.names))
        elif term is not None and path.names[0] != term:
            changes[id(path)] = evolve(path, names=(term, *path.names))
    return _replace(node, changes) if changes else node


def below(node: syntax.Expression, term: str) -> syntax.Expression:
    """
    Return a condition on a document as one on a term: with ``term.`` before each path.

    Paths that begin with a bound variable stay as they are.
    """
    changes: dict[int, syntax.Expression] = {
        id(path): evolve(path, names=(term, *path.names))
        for path, is_bound in free_paths(node)
        if not is_bound
    }
    return _replace(node, changes) if changes else node


def _hidden_names_of(terms: Sequence[syntax.Term]) -> dict[str, list[str]]:
    """Return the names of collections that have an alias, with the names of their terms."""
    found: dict[str, list[str]] = {}
    names = {term.name for term in terms}
    for term in terms:
        collection = term.collection.name
        if term.alias is not None and collection not in names:
            found.setdefault(collection, []).append(term.name)
    return found


def _plain_names(root: syntax.Node) -> set[int]:
    """Return the ids of paths that name fields or outputs instead of standing for a value."""
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
            case syntax.ResultExpression(alias=str(alias)):
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
    """Return a node with ``t.*`` replaced by ``u.*``, for each collection t with the alias u."""

    def change(each: syntax.Node) -> syntax.Node:
        match each:
            case syntax.Wildcard(qualifier=str(name)) if len(hidden.get(name, ())) == 1:
                return evolve(each, qualifier=hidden[name][0])
        return each

    if not any(isinstance(each, syntax.Wildcard) and each.qualifier for each in node.walk()):
        return node
    return syntax.map_tree(node, change)  # type: ignore[return-value]


def _rename(node: Node_, change: Callable[[syntax.Path], syntax.Path]) -> Node_:
    changes: dict[int, syntax.Expression] = {}
    for path, is_bound in free_paths(node):
        if not is_bound and (new := change(path)) is not path:
            changes[id(path)] = new
    return _replace(node, changes) if changes else node


def _replace(node: Node_, changes: dict[int, syntax.Expression]) -> Node_:
    # A path has no children, so `map_tree` calls the function with the same object.
    return syntax.map_tree(node, lambda each: changes.get(id(each), each))  # type: ignore[return-value]
