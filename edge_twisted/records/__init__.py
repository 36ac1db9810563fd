# SPDX-License-Identifier: Apache-2.0
"""
Stored documents: how they are read and written, and the facts that outlive them.

`documents` turns rows of a store into documents and writes changed states back; `evictions` keeps
the facts about documents that were removed from this server; `facts` names all spaces of facts.
Statements (`database/`) and sync (`replication/`) both write through this room.  The ways in are
`documents.DocumentWriter` and `documents.load_state`.  The room may import `documents/` and
`store/`.
"""
