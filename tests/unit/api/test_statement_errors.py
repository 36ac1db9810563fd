# SPDX-License-Identifier: Apache-2.0
"""What is known of a statement that failed, without parsing a long one on the reactor."""

from __future__ import annotations

from twisted.internet.defer import CancelledError

from edge_twisted.api.statement_errors import StatementSummary, summarize
from edge_twisted.database.errors import StatementForbidden
from edge_twisted.dql.errors import ParseError
from edge_twisted.security.permissions import Permits
from tests.support.dql_examples import answer, memory_database

PADDING = "/* " + "x" * 5_000 + " */ "
DELETE = StatementSummary(query_type="delete", verb="delete", collections=("tasks",))


def test_a_short_one_is_parsed() -> None:
    assert summarize("DELETE FROM tasks", StatementForbidden("x")) == DELETE
    assert summarize("DELETE FORM tasks", ParseError("x")) == StatementSummary()


def test_a_long_one_is_told_by_its_error() -> None:
    """Padding hides nothing from the audit log."""
    nobody = Permits(None, ()).access("execute")
    text = f"{PADDING}DELETE FROM tasks"
    try:
        answer(memory_database(), text, {}, nobody)
    except StatementForbidden as error:
        assert summarize(text, error) == DELETE
    else:
        raise AssertionError("it was not refused")


def test_else_its_first_word_is_all_that_is_known() -> None:
    gone = CancelledError()
    assert summarize(f"{PADDING}-- y\nDELETE FROM tasks", gone).verb == "delete"
    assert summarize(f"({PADDING}", gone) == StatementSummary()
    assert summarize(f"SELECT {PADDING}", ParseError("x")) == StatementSummary()
