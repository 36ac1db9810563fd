# SPDX-License-Identifier: Apache-2.0
"""
Replication: what sessions of the mesh ask of the documents, performed on a store.

The way in is `stored_documents.StoredDocuments`, which implements
`edge_twisted.mesh.ports.requests.Documents`.  `stream_requests` and `repair_requests` read for
peers, `batches` merges what peers sent (`item_checks`, `merges`, `merge_writer`), `knowledge`
remembers what is complete here, `scopes` says what subscriptions mean.  The room may import the
rooms below it (`records`, `store`, `database`, `dql`, `documents`) and the messages of `mesh`; it
knows no link and no session.
"""
