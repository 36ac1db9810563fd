# SPDX-License-Identifier: Apache-2.0
"""
The document model: values and their order, ids, clocks, versions, and the CRDT state of documents.

The room is pure: no I/O, no clock, no randomness.  Its way in is `state.DocumentState`, one
document as a replica holds it: `writes` changes a state, `state.merge` merges two, `encoding`
stores one, `deltas` sends what changed.  Everything else serves these four: `versions` says which
writes a replica has seen, `entries`, `nodes` and `counters` are the parts of a state, `values` the
order of values.  ``docs/decisions/0001-document-state.md`` gives the reasons and a worked example.
The room may import only `edge_twisted.errors`.
"""
