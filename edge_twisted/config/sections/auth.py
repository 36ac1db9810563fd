# SPDX-License-Identifier: Apache-2.0
"""The section `auth` of a valid file as a value."""

from __future__ import annotations

from collections.abc import Mapping

from edge_twisted.config.model import Auth, CollectionRule, FineGrained, IdentityConfig, Permissions
from edge_twisted.config.sections.section import Section
from edge_twisted.config.yaml.nodes import Plain


def auth(section: Section) -> Auth:
    """Build the identities, each with the permissions of its sets."""
    sets = {name: _permissions(each) for name, each in section.sections("permission_sets").items()}
    identities = section.sections("identities")
    return Auth(identities=tuple(_identity(name, each, sets) for name, each in identities.items()))


def _identity(name: str, section: Section, sets: Mapping[str, Permissions]) -> IdentityConfig:
    chosen = section.value("permissions")
    names = chosen if isinstance(chosen, list) else [chosen]
    return IdentityConfig(
        id=section.text("id") if "id" in section else name,
        api_key_hash=section.section("credential").text("api_key"),
        permissions=tuple(sets[str(each)] for each in dict.fromkeys(map(str, names))),
    )


def _permissions(section: Section) -> Permissions:
    match section.value("permissions"):
        case "full":
            return "full"
        case "data":
            return "data"
        case "read_only":
            return "read_only"
    fine = section.section("permissions")
    endpoints = fine.texts("endpoints") if "endpoints" in fine else None
    rules = None
    if "collections" in fine:
        rules = {name: _rule(each) for name, each in fine.sections("collections").items()}
    return FineGrained(endpoints=endpoints, collections=rules)


def _rule(section: Section) -> CollectionRule:
    return CollectionRule(
        read=_condition(section.value("read")), write=_condition(section.value("write"))
    )


def _condition(value: Plain) -> bool | str:
    return value if isinstance(value, bool | str) else False
