# SPDX-License-Identifier: Apache-2.0
"""Every function of the language by name; aggregates are in `AGGREGATES`, ``CAST`` in `CASTS`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from attrs import frozen

from edge_twisted.documents.values import Operand
from edge_twisted.dql.dates.calendar import PARTS
from edge_twisted.dql.functions import (
    arrays,
    conditional,
    dates,
    durations,
    json_text,
    numeric,
    objects,
    padding,
    request,
    strings,
    types,
)
from edge_twisted.dql.patterns.regexp import regexp_like


@frozen(kw_only=True)
class Function:
    """
    A function of the language.

    ``implementation`` takes the values of the arguments, `min_args` to ``max_args`` of them
    (None: any number), after a `FunctionContext` if ``needs_context``, after what it tells of its
    steps if ``takes_long``.  It raises nothing but `EvaluationError`, and what its steps do.
    """

    name: str
    min_args: int
    max_args: int | None
    implementation: Callable[..., Operand]
    #: Equal arguments give equal results at any time: calls of constants are constants.
    deterministic: bool = True
    needs_context: bool = False
    #: One call may take more than a millisecond, and must be interruptible in itself.
    takes_long: bool = False
    #: The result may be far larger than the arguments: too much work for the reactor thread,
    #: and too large to keep in a plan.
    grows: bool = False
    #: The position of an argument that names a part of dates; its names, in lower case.
    parts: tuple[int, Collection[str]] | None = None

    def accepts(self, count: int) -> bool:
        """Return whether the function may be called with ``count`` arguments."""
        return self.min_args <= count and (self.max_args is None or count <= self.max_args)

    @property
    def expected(self) -> str:
        """The numbers of arguments that the function takes, in words: ``2 or 3 arguments``."""
        fewest, most = self.min_args, self.max_args
        if most is None:
            return f"at least {fewest} argument{'s' * (fewest != 1)}"
        if fewest == most:
            return f"{fewest} argument{'s' * (fewest != 1)}" if fewest else "no arguments"
        return f"{fewest} {'or' if most == fewest + 1 else 'to'} {most} arguments"


def find_function(name: str) -> Function | None:
    """Return the function of the language that goes by ``name`` in any case, or None."""
    return FUNCTIONS.get(name.lower())


#: name: (implementation, fewest arguments, most arguments or None for any number).
_PURE: Final[Mapping[str, tuple[Callable[..., Operand], int, int | None]]] = {
    "coalesce": (conditional.coalesce, 1, None),
    "ifmissingornull": (conditional.coalesce, 1, None),
    "nvl": (conditional.nvl, 2, 3),
    "ifmissing": (conditional.ifmissing, 1, None),
    "ifnull": (conditional.ifnull, 1, None),
    "ismissing": (conditional.ismissing, 1, 1),
    "isnull": (conditional.isnull, 1, 1),
    "ismissingornull": (conditional.ismissingornull, 1, 1),
    "nullif": (conditional.nullif, 2, 2),
    "missingif": (conditional.missingif, 2, 2),
    "decode": (conditional.decode, 3, None),
    "type": (types.type_of, 1, 1),
    "json_type": (types.json_type, 1, 1),
    "is_boolean": (types.is_boolean, 1, 1),
    "is_number": (types.is_number, 1, 1),
    "is_string": (types.is_string, 1, 1),
    "serialize_json": (json_text.serialize_json, 1, 1),
    "deserialize_json": (json_text.deserialize_json, 1, 1),
    "abs": (numeric.absolute, 1, 1),
    "ceil": (numeric.ceiling, 1, 1),
    "floor": (numeric.floor, 1, 1),
    "concat": (padding.concat, 1, None),
    "contains": (strings.contains, 2, 2),
    "starts_with": (strings.starts_with, 2, 2),
    "ends_with": (strings.ends_with, 2, 2),
    "lower": (strings.lower, 1, 1),
    "upper": (strings.upper, 1, 1),
    "char_length": (strings.char_length, 1, 1),
    "character_length": (strings.char_length, 1, 1),
    "byte_length": (strings.byte_length, 1, 1),
    "substr": (strings.substr, 2, 3),
    "pos": (strings.pos, 2, 2),
    "split": (strings.split, 2, 2),
    "joinstr": (strings.joinstr, 2, None),
    "trim": (strings.trim, 1, 2),
    "ltrim": (strings.ltrim, 1, 2),
    "rtrim": (strings.rtrim, 1, 2),
    "lpad": (padding.lpad, 2, 3),
    "rpad": (padding.rpad, 2, 3),
    "repeat": (padding.repeat, 2, 2),
    "regexp_like": (regexp_like, 2, None),
    "array_contains": (arrays.array_contains, 2, 2),
    "array_contains_null": (arrays.array_contains_null, 1, 1),
    "array_length": (arrays.array_length, 1, 1),
    "object_keys": (objects.object_keys, 1, 1),
    "object_values": (objects.object_values, 1, 1),
    "object_length": (objects.object_length, 1, 1),
    "object_set": (objects.object_set, 3, 4),
    "object_unset": (objects.object_unset, 2, 3),
    "object_concat": (objects.object_concat, 1, None),
    "object_rename": (objects.object_rename, 3, 3),
    "object_size": (objects.object_size, 1, 1),
    "date_add": (dates.date_add, 3, 5),
    "date_sub": (dates.date_sub, 3, 5),
    "date_diff": (dates.date_diff, 3, 3),
    "date_part": (dates.date_part, 2, 3),
    "date_trunc": (dates.date_trunc, 2, 4),
    "date_format": (dates.date_format, 2, 3),
    "date_cast": (dates.date_cast, 1, 2),
    "date_range": (dates.date_range, 4, 6),
    "tz_offset": (dates.tz_offset, 1, 2),
    "duration_cast": (durations.duration_cast, 1, 2),
    "duration_format": (durations.duration_format, 1, 2),
}
#: As above; these take a `FunctionContext` first, and change from one statement to the next.
_CONTEXTUAL: Final[Mapping[str, tuple[Callable[..., Operand], int, int | None]]] = {
    "clock": (dates.clock, 0, 2),
    "request_info": (request.request_info, 0, 0),
}
_LONG: Final = frozenset({"date_range"})
_GROWING: Final = frozenset({"date_range", "lpad", "repeat", "rpad", "split"})

_PARTS: Final[Mapping[str, tuple[int, Collection[str]]]] = {
    "date_add": (1, PARTS),
    "date_sub": (1, PARTS),
    "date_diff": (2, PARTS),
    "date_part": (1, dates.COMPONENTS),
    "date_range": (2, PARTS),
    "date_trunc": (1, PARTS),
}

#: The functions by name, in lower case.
FUNCTIONS: Final[Mapping[str, Function]] = {
    name: Function(
        name=name,
        min_args=fewest,
        max_args=most,
        implementation=implementation,
        deterministic=name in _PURE,
        needs_context=name in _CONTEXTUAL,
        takes_long=name in _LONG,
        grows=name in _GROWING,
        parts=_PARTS.get(name),
    )
    for name, (implementation, fewest, most) in {**_PURE, **_CONTEXTUAL}.items()
}
