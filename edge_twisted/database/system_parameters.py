# SPDX-License-Identifier: Apache-2.0
"""
System parameters: their types, bounds and defaults; ALTER SYSTEM and SHOW.

The store keeps the values that were set; the others have their defaults.  Names are
case-insensitive and shown in lower case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import ClassVar

from attrs import frozen

from edge_twisted.documents.json_text import from_text, to_text
from edge_twisted.documents.values import MISSING, Value
from edge_twisted.dql import syntax
from edge_twisted.dql.compiler import Environment, RowScope, compile_expression
from edge_twisted.dql.errors import DqlError
from edge_twisted.dql.patterns.like import ilike, like
from edge_twisted.errors import Culprit, EdgeError
from edge_twisted.records.facts import PARAMETERS
from edge_twisted.store.interface import Snapshot, UnitOfWork

_MAX_INT = 2**63 - 1
SYNC_SCOPES = ("AllPeers", "BigPeerOnly", "SmallPeersOnly", "LocalPeerOnly")


@frozen
class UnknownParameter(EdgeError):
    """No system parameter has this name; SHOW ALL lists them."""

    code: ClassVar[str] = "unknown_parameter"
    culprit = Culprit.CALLER
    name: str

    def __str__(self) -> str:
        return f"unknown parameter '{self.name}'"


@frozen
class InvalidParameterValue(EdgeError):
    """The value has the wrong type or is out of bounds; `expected` names the valid ones."""

    code: ClassVar[str] = "invalid_parameter_value"
    culprit = Culprit.CALLER
    name: str
    expected: str

    def __str__(self) -> str:
        return f"invalid value for parameter '{self.name}': expected {self.expected}"


@frozen(kw_only=True)
class SystemParameter:
    """A system parameter: its lower-case name, its default, and the test of its values."""

    name: str
    default: Value
    expected: str
    accepts: Callable[[Value], bool]


def _boolean(name: str, default: bool) -> SystemParameter:
    return SystemParameter(
        name=name,
        default=default,
        expected="true or false",
        accepts=lambda value: isinstance(value, bool),
    )


def _integer(name: str, default: int, low: int = 0, high: int = _MAX_INT) -> SystemParameter:
    def accepts(value: Value) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    limits = f"from {low} to {high}" if high < _MAX_INT else f"of at least {low}"
    return SystemParameter(
        name=name, default=default, expected=f"an integer {limits}", accepts=accepts
    )


def _choice(name: str, default: str, *choices: str) -> SystemParameter:
    return SystemParameter(
        name=name,
        default=default,
        expected=" or ".join(f"'{choice}'" for choice in choices),
        accepts=lambda value: value in choices,
    )


def _object(name: str) -> SystemParameter:
    return SystemParameter(
        name=name,
        default={},
        expected="an object",
        accepts=lambda value: isinstance(value, dict),
    )


def _are_scopes(value: Value) -> bool:
    return isinstance(value, dict) and all(scope in SYNC_SCOPES for scope in value.values())


_DAY_MS = 86_400_000

#: Every parameter, in the order in which SHOW ALL lists them.
SYSTEM_PARAMETERS: Mapping[str, SystemParameter] = MappingProxyType(
    {
        parameter.name: parameter
        for parameter in (
            _integer("days_between_reaping", 1, 1, 365),
            _boolean("disable_replication_gc_on_evict", False),
            _integer("document_size_hard_limit_bytes", 5_242_880, 1024, 256 * 2**20),
            _integer("document_size_soft_limit_bytes", 262_144, 1024, 256 * 2**20),
            _integer("dql_concurrent_request_limit", 0, 0, 1_000_000),
            _integer("dql_concurrent_request_wait_timeout_ms", 60_000, 0, _DAY_MS),
            _object("dql_default_directives"),
            _boolean("dql_enable_preview_mode", False),
            _boolean("dql_index_default_include_missing", True),
            _choice("dql_object_default", "REGISTER", "REGISTER", "MAP"),
            _integer("dql_request_history_log_dump_limit", _MAX_INT),
            _object("dql_request_history_qualifiers"),
            _integer("dql_request_history_size", 4096, 0, 1_000_000),
            _integer("dql_request_timeout_seconds", 0, 0, 86_400),
            _boolean("dql_restrict_subscriptions", True),
            _boolean("dql_select_strict_mode", True),
            _integer("dql_slow_request_warn_seconds", 60, 0, 86_400),
            _integer("dql_statement_cache_size", 4096, 0, 1_000_000),
            _boolean("dql_strict_mode", False),
            _boolean("dql_use_legacy_projection", True),
            _boolean("metrics_exporter_virtual_collection_enabled", False),
            _integer("tombstone_reap_batch_size", 10_000, 1, 1_000_000),
            _boolean("tombstone_ttl_enabled", True),
            _integer("tombstone_ttl_hours", 168, 1, 876_000),
            SystemParameter(
                name="user_collection_sync_scopes",
                default={},
                expected="an object of collection name to one of " + ", ".join(SYNC_SCOPES),
                accepts=_are_scopes,
            ),
        )
    }
)


def find_parameter(name: str) -> SystemParameter:
    """
    Return the parameter of that name, in whatever case it is written.

    :raises UnknownParameter: there is none; SHOW ALL lists them.
    """
    parameter = SYSTEM_PARAMETERS.get(name.lower())
    if parameter is None:
        raise UnknownParameter(name)
    return parameter


class ParameterValues:
    """
    The values of all system parameters at one moment.

    The store keeps `changed`, the values that were set; the constructor takes them back.
    """

    def __init__(self, changed: Mapping[str, Value] = MappingProxyType({})) -> None:
        # A value that an older release accepted and this one does not falls back to the default.
        self._changed = {
            name: value
            for name, value in changed.items()
            if name in SYSTEM_PARAMETERS and SYSTEM_PARAMETERS[name].accepts(value)
        }
        #: Values that every statement reads, looked up once.
        self.reads_strictly = self.boolean("dql_strict_mode") and self.boolean(
            "dql_select_strict_mode"
        )
        #: Whether undeclared fields are written as REGISTERs.
        self.writes_strictly = self.boolean("dql_strict_mode") and (
            self.boolean("dql_select_strict_mode") or self["dql_object_default"] == "REGISTER"
        )
        self.soft_bytes = self.integer("document_size_soft_limit_bytes")
        self.hard_bytes = self.integer("document_size_hard_limit_bytes")
        self.timeout_seconds = self.integer("dql_request_timeout_seconds") or None
        self.history_size = self.integer("dql_request_history_size")
        self.slow_seconds = self.integer("dql_slow_request_warn_seconds")
        self.concurrent_requests = self.integer("dql_concurrent_request_limit")
        self.directives = self.mapping("dql_default_directives")
        #: Equal for equal default directives.
        self.directives_key = repr(sorted(self.directives.items())) if self.directives else ""

    @property
    def changed(self) -> Mapping[str, Value]:
        """The values that were set, by lower-case name."""
        return MappingProxyType(self._changed)

    def __getitem__(self, name: str) -> Value:
        """Return the value of a parameter by its lower-case name."""
        if name in self._changed:
            return self._changed[name]
        return SYSTEM_PARAMETERS[name].default

    def boolean(self, name: str) -> bool:
        """Return the value of the boolean parameter of this lower-case name."""
        return self[name] is True

    def integer(self, name: str) -> int:
        """Return the value of the integer parameter of this lower-case name."""
        value = self[name]
        assert isinstance(value, int)
        return value

    def mapping(self, name: str) -> Mapping[str, Value]:
        """Return the value of the object parameter of this lower-case name."""
        value = self[name]
        assert isinstance(value, dict)
        return value

    def with_value(self, name: str, value: Value) -> ParameterValues:
        """
        Return these values with the one of a parameter set, whose name may be in any case.

        :raises UnknownParameter: no parameter has that name.
        :raises InvalidParameterValue: the value is of the wrong type or out of bounds.
        """
        parameter = find_parameter(name)
        if not parameter.accepts(value):
            raise InvalidParameterValue(parameter.name, parameter.expected)
        return ParameterValues({**self._changed, parameter.name: value})

    def without(self, names: Iterable[str]) -> ParameterValues:
        """
        Return these values with those of `names` back at their defaults.

        :raises UnknownParameter: no parameter has one of these names.
        """
        gone = {find_parameter(name).name for name in names}
        return ParameterValues({k: v for k, v in self._changed.items() if k not in gone})


Row = dict[str, Value]


def load_parameters(snapshot: Snapshot) -> ParameterValues:
    """Return the system parameters that a store keeps, with defaults for those never set."""
    kept = snapshot.facts(PARAMETERS)
    return ParameterValues({key.decode("utf-8"): from_text(value) for key, value in kept})


def alter_parameters(
    statement: syntax.SetParameter | syntax.ResetParameter,
    values: ParameterValues,
    env: Environment,
    unit: UnitOfWork,
) -> tuple[ParameterValues, Row]:
    """
    Run ALTER SYSTEM in a unit of work; return the new parameters, and those named as a row.

    The row is parameter name -> new value.

    :raises UnknownParameter, InvalidParameterValue: the statement is wrong; nothing changed.
    """
    if isinstance(statement, syntax.ResetParameter):
        names = [find_parameter(statement.name).name] if statement.name else list(SYSTEM_PARAMETERS)
        changed = values.without(names)
    elif statement.value is None:
        names = [find_parameter(statement.name).name]
        changed = values.without(names)
    else:
        names = [find_parameter(statement.name).name]
        value = compile_expression(statement.value, RowScope(()))(None, env)
        changed = values.with_value(statement.name, None if value is MISSING else value)
    for name in names:
        kept = to_text(changed[name]) if name in changed.changed else None
        unit.put_fact(PARAMETERS, name.encode("utf-8"), kept)
    return changed, {name: changed[name] for name in names}


def show_parameters(
    statement: syntax.ShowParameter | syntax.ShowAll, values: ParameterValues
) -> Row:
    """
    Return the row of SHOW: parameter name -> value, in the order of `SYSTEM_PARAMETERS`.

    :raises UnknownParameter: no parameter has that name.
    :raises DqlError: the pattern of LIKE is wrong.
    """
    if isinstance(statement, syntax.ShowParameter):
        name = find_parameter(statement.name).name
        return {name: values[name]}
    names = list(SYSTEM_PARAMETERS)
    if statement.pattern is not None:
        matches = ilike if statement.ignore_case else like
        escape = statement.escape if statement.escape is not None else "\\"
        try:
            names = [n for n in names if matches(n, statement.pattern, escape) is True]
        except DqlError as error:
            raise error.at(statement.span) from None
    return {name: values[name] for name in names}
