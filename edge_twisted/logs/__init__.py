# SPDX-License-Identifier: Apache-2.0
"""
Logs: lines for people on a terminal, JSON lines for machines, and the audit log.

The way in is `service.LoggingService`.  One router takes every event of ``twisted.logger``, those
of twistd included, chooses the outputs by level and part, renders the event once, removes secrets,
and gives the line to the outputs: console, rotating files, memory for ``GET /logs``.  The audit
log is separate: it has its own fields, its own files, and no levels.

Invariants: an output that fails, a full disk or a stalled reader costs lines, never the server and
never another output; every line goes through `redaction`; nothing is opened before
`LoggingService.startService`.  The room imports `config` and `errors`.
"""
