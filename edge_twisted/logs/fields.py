# SPDX-License-Identifier: Apache-2.0
"""
Names of log fields: one name per concept, everywhere.

The names are part of the published format, which scripts read.  Other events may add fields.
"""

from __future__ import annotations

from typing import Final

# -- on every line ----------------------------------------------------------------------------

TIME: Final = "time"
LEVEL: Final = "level"
MESSAGE: Final = "message"
#: The namespace of the logger, such as ``edge_twisted.mesh.session.session.Session``.
LOGGER: Final = "logger"
#: The text of a failure with its traceback.
FAILURE: Final = "failure"

#: Number of similar lines that were left out since the last one.
LEFT_OUT: Final = "left_out"

#: All names.  `outcome` is how a session ended, in one word; `lsn` a commit of the store.
PUBLISHED: Final = frozenset(
    {
        TIME, LEVEL, MESSAGE, LOGGER, FAILURE, LEFT_OUT,
        # Requests, and the audit log.
        "event", "request_id", "identity", "client", "method", "path", "verb", "collections",
        "status", "duration_ms", "bytes_in", "bytes_out",
        # Store and mesh.
        "lsn", "peer", "document_id", "collection", "outcome",
    }
)  # fmt: skip

# -- read by the router, never written to a line ----------------------------------------------

#: True on an event of level debug that belongs to ``verbose``, the level below debug.
VERBOSE: Final = "log_verbose"
#: The kind of an event that may come in floods: see `repeats`.
REPEATS: Final = "log_repeats"
