# SPDX-License-Identifier: Apache-2.0
"""Rules for `auth`: hashes of keys, names of permission sets, DQL conditions."""

from __future__ import annotations

from edge_twisted.config.problems import KeyPath, quoted
from edge_twisted.config.rules.view import ConfigView
from edge_twisted.config.wording import nearest, one_of

_IDENTITIES = ("auth", "identities")
_HASH = "must be the `Secure Public Hash` that `edge-server api-key generate` prints"
_SETS = ("auth", "permission_sets")


def check_auth(view: ConfigView) -> None:
    """Report violations of the rules for `auth` that the schema cannot express."""
    #: `CredentialForm.same_key` -> the first identity that has the key.
    owners: dict[str, str] = {}
    for name in view.mapping(*_IDENTITIES):
        _credential(view, name, owners)
        _permissions(view, (*_IDENTITIES, name, "permissions"))
    for name in view.mapping(*_SETS):
        rules = (*_SETS, name, "permissions", "collections")
        for collection in view.mapping(*rules):
            _condition(view, (*rules, collection, "read"))
            _condition(view, (*rules, collection, "write"))


def _credential(view: ConfigView, name: str, owners: dict[str, str]) -> None:
    path = (*_IDENTITIES, name, "credential", "api_key")
    text = view.text(*path)
    if text is None:
        return
    form = view.checks.credential(text)
    if form.reason is not None:
        what, _, right = form.reason.partition("; ")
        view.problem(path, what, right or _HASH)
    elif form.same_key is not None:
        owner = owners.setdefault(form.same_key, name)
        if owner != name:
            what = f"this is the key of the identity {quoted(owner)} too"
            view.problem(path, what, "generate a key for each identity")


def _permissions(view: ConfigView, path: KeyPath) -> None:
    known = view.value(*_SETS)
    if not isinstance(known, dict):
        return
    places = [(*path, index) for index, _ in enumerate(view.items(*path))] or [path]
    for place in places:
        name = view.text(*place)
        if name is None or name in known:
            continue
        near = nearest(name, known)
        right = f"must be one of {one_of(known)}" if known else "add it to auth.permission_sets"
        hint = f"; did you mean {near}?" if near else ""
        view.problem(place, f"there is no permission set {quoted(name)}", right + hint)


def _condition(view: ConfigView, path: KeyPath) -> None:
    text = view.text(*path)
    if text is not None:
        right = "must be true, false, or a DQL condition"
        view.queries(path, view.checks.condition(text, str(path[-2])), right)
