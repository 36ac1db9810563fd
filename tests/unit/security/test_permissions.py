# SPDX-License-Identifier: Apache-2.0
"""What each kind of permission set opens, and that several add up to no more than their union."""

from __future__ import annotations

import pytest

from edge_twisted.config.model import CollectionRule, FineGrained, IdentityConfig, Permissions
from edge_twisted.security.permissions import ENDPOINTS, Permits

DOCUMENTS = {"execute", "attachments_upload", "attachments_download"}
VERBS = {
    "select", "insert", "update", "delete", "evict", "create_index", "drop_index", "explain",
    "profile", "advise", "show", "alter_system",
}  # fmt: skip
OWN = "owner = :identity"


def permits(*permissions: Permissions) -> Permits:
    return Permits.of(IdentityConfig(id="till", api_key_hash="", permissions=permissions))


def fine(*endpoints: str, **rules: CollectionRule) -> FineGrained:
    return FineGrained(endpoints=endpoints or None, collections=rules or None)


def opened(permitted: Permits) -> set[str]:
    return {endpoint for endpoint in ENDPOINTS if permitted.may(endpoint)}


def verbs(permitted: Permits) -> set[str]:
    return {verb for verb in VERBS if permitted.access("execute").may_verb(verb)}


@pytest.mark.parametrize(
    ("permissions", "endpoints", "allowed"),
    [
        ("full", set(ENDPOINTS), VERBS),
        ("data", ENDPOINTS - {"logs"}, VERBS - {"create_index", "drop_index", "alter_system"}),
        (
            "read_only",
            {"execute", "attachments_download", "presence"},
            {"select", "explain", "profile", "show"},
        ),
        (fine(), DOCUMENTS, VERBS - {"create_index", "drop_index", "alter_system"}),
        (fine("presence", "logs"), {"presence", "logs"}, set()),
    ],
)
def test_the_kinds_of_sets(
    permissions: Permissions, endpoints: set[str], allowed: set[str]
) -> None:
    assert opened(permits(permissions)) == endpoints
    assert verbs(permits(permissions)) == allowed


def test_dev_mode_is_everything_and_nobody() -> None:
    everything = Permits.everything()
    assert opened(everything) == ENDPOINTS
    assert verbs(everything) == VERBS
    assert everything.is_full
    assert everything.access("execute").identity is None


def test_no_set_is_nothing() -> None:
    assert opened(permits()) == set()
    access = permits().access("execute")
    assert (access.read("tasks"), access.write("tasks")) == (False, False)
    assert access.read("system:dual") is False


@pytest.mark.parametrize(
    ("permissions", "read", "write"),
    [("full", True, True), ("data", True, True), ("read_only", True, False), (fine(), True, True)],
)
def test_the_collections_of_plain_sets(permissions: Permissions, read: bool, write: bool) -> None:
    access = permits(permissions).access("execute")
    assert (access.read("tasks"), access.write("tasks")) == (read, write)


def test_collections_one_by_one() -> None:
    rules = {
        "tasks": CollectionRule(read=True, write=OWN),
        "secrets": CollectionRule(),
        "*": CollectionRule(read="public"),
    }
    access = permits(fine("execute", **rules)).access("execute")
    assert access.identity == "till"
    assert (access.read("tasks"), access.write("tasks")) == (True, (OWN,))
    assert (access.read("secrets"), access.write("secrets")) == (False, False)
    assert (access.read("other"), access.write("other")) == (("public",), False)


def test_a_collection_that_is_not_named_is_closed() -> None:
    access = permits(fine(tasks=CollectionRule(read=True))).access("execute")
    assert access.read("other") is False


@pytest.mark.parametrize(
    "permissions", [("full",), ("data",), ("read_only",), (fine(tasks=CollectionRule(read=True)),)]
)
def test_system_collections_need_full_but_for_the_harmless_ones(
    permissions: tuple[Permissions, ...],
) -> None:
    access = permits(*permissions).access("execute")
    full = permissions == ("full",)
    for name in ("dual", "indexes", "collections", "data_sync_info"):
        assert access.read(f"system:{name}") is True
        assert access.write(f"system:{name}") is full
    assert access.read("__collections") is True
    for name in ("active_requests", "request_history", "vitals", "anything"):
        assert access.read(f"system:{name}") is full
        assert access.write(f"system:{name}") is full


def test_a_star_does_not_open_system_collections() -> None:
    access = permits(fine(**{"*": CollectionRule(read=True, write=True)})).access("execute")
    assert access.read("system:request_history") is False


def test_sets_add_up() -> None:
    own = fine("execute", tasks=CollectionRule(read=OWN, write=OWN))
    done = fine("execute", tasks=CollectionRule(read="done", write=OWN))
    access = permits(own, done).access("execute")
    assert (access.read("tasks"), access.write("tasks")) == ((OWN, "done"), (OWN,))
    access = permits(own, "read_only").access("execute")
    assert (access.read("tasks"), access.write("tasks")) == (True, (OWN,))
    assert access.write("other") is False
    assert access.may_verb("insert")
    assert permits(own, "full").access("execute").write("tasks") is True


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (("full",), True),
        (("data",), True),
        (("read_only",), True),
        ((fine("execute"),), True),
        ((fine("execute", **{"*": CollectionRule(read=True)}),), True),
        ((fine("execute", tasks=CollectionRule(read=True)),), False),
        ((fine("execute", **{"*": CollectionRule(read=OWN)}),), False),
        ((fine("execute", **{"*": CollectionRule(read=True), "a": CollectionRule()}),), False),
        # What one of them leaves out, another may have.
        (
            (
                fine("execute", **{"*": CollectionRule(read=True), "a": CollectionRule()}),
                fine("execute", a=CollectionRule(read=True)),
            ),
            True,
        ),
        ((fine("presence"),), False),
        ((), False),
    ],
)  # fmt: skip
def test_who_reads_everything(sets: tuple[Permissions, ...], expected: bool) -> None:
    assert permits(*sets).access("execute").reads_all is expected


def test_a_set_adds_nothing_to_endpoints_that_it_does_not_open() -> None:
    presence = fine("presence")  # of every collection, were it to open one that touches them
    narrow = fine("execute", tasks=CollectionRule(read=True))
    permitted = permits(presence, narrow)
    assert opened(permitted) == {"presence", "execute"}
    assert permitted.access("execute").read("other") is False
    assert permitted.access("attachments_download").read("tasks") is False
    assert not permitted.is_full
