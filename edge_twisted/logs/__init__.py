# SPDX-License-Identifier: Apache-2.0
"""
Logs: what happened, for people on a terminal, for machines as JSON lines, and for auditors.

Purpose: one router takes every event of ``twisted.logger``, twistd's own included, decides by level
and part who wants it, renders it once, removes secrets, and hands the line to the outputs: console,
rotating files, memory for ``GET /logs``.  The audit log is apart: it has its own fields, its own
files, and no levels.

Invariants: an output that fails, a disk that is full, a reader that stalls costs lines, never the
server and never another output; whatever leaves this room went through `redaction`; nothing is
opened before `service.LoggingService.startService`.
"""
