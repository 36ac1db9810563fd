# SPDX-License-Identifier: Apache-2.0
"""
Stored documents: how they are read and written, and the facts that outlive them.

`documents` turns rows of a store into documents and writes changed states back; `evictions` keeps
what must be remembered of documents that are no longer here; `facts` names all spaces of facts.
Statements (`database/`) and sync (`replication/`) both write through this room. It may import
`documents/` and `store/`.
"""
