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

# -- requests, and the audit log --------------------------------------------------------------

EVENT: Final = "event"
REQUEST_ID: Final = "request_id"
IDENTITY: Final = "identity"
CLIENT: Final = "client"
METHOD: Final = "method"
PATH: Final = "path"
VERB: Final = "verb"
COLLECTIONS: Final = "collections"
STATUS: Final = "status"
DURATION_MS: Final = "duration_ms"
BYTES_IN: Final = "bytes_in"
BYTES_OUT: Final = "bytes_out"

# -- store and mesh ---------------------------------------------------------------------------

LSN: Final = "lsn"
PEER: Final = "peer"
DOCUMENT_ID: Final = "document_id"
COLLECTION: Final = "collection"
#: How a session ended, in one word.
OUTCOME: Final = "outcome"

# -- repeated events -------------------------------------------------------------------------

#: Number of similar lines that were left out since the last one.
LEFT_OUT: Final = "left_out"

#: All of these names.
PUBLISHED: Final = frozenset(
    {
        TIME, LEVEL, MESSAGE, LOGGER, FAILURE,
        EVENT, REQUEST_ID, IDENTITY, CLIENT, METHOD, PATH, VERB, COLLECTIONS, STATUS, DURATION_MS,
        BYTES_IN, BYTES_OUT,
        LSN, PEER, DOCUMENT_ID, COLLECTION, OUTCOME,
        LEFT_OUT,
    }
)  # fmt: skip

# -- read by the router, never written to a line ----------------------------------------------

#: True on an event of level debug that belongs to ``verbose``, the level below debug.
VERBOSE: Final = "log_verbose"
#: The kind of an event that may come in floods: see `repeats`.
REPEATS: Final = "log_repeats"
