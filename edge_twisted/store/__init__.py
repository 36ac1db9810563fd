# SPDX-License-Identifier: Apache-2.0
"""
The room of stores: where documents, facts, indexes and blobs live, durably.

Its way in is `interface`: a `Store` runs units of work (`UnitOfWork`) and reads (`Snapshot`), and
has the blobs (`blobs.interface`).  There are two of them: `sqlite.store` for servers, and
`memory.store` for tests and simulations, which is also the plainest statement of what a store
does.  Both pass `tests.support.store_contract`.  This room imports `documents` and `errors`, and
no other room has threads or SQLite.  How the SQLite store works, and in which module:

**One writer.**  All changes of a database are made by one thread over one
connection (`sqlite.writer`).  A unit of work (`sqlite.unit`) is a function of the caller.  What it
writes waits in a layer of its own (`sqlite.layers`), so that a unit that fails is undone by
dropping its layer.  The writer knows totals, counters and indexes by heart (`sqlite.state`).

**Group commit.**  A commit costs an fsync, which takes as long as many units.  So units are
gathered while the reactor brings more (`sqlite.submissions`), run one after the other in one
physical transaction (`sqlite.group`), and answered together after its fsync (`sqlite.answers`).
Each unit that changes documents has its own lsn.

**Readers.**  Long reads run on a few threads, each with a connection of its own
(`sqlite.readers`); reads of microseconds run on the reactor's thread with one more connection.
Streams (`sqlite.streams`) hand out batches as they are asked for.  `sqlite.scans`,
`sqlite.selection` and `sqlite.prefilter` have the statements; `keys` makes index keys, and
`sqlite.indexes` keeps and builds indexes.

**Snapshots.**  SQLite's write-ahead log lets each read see one commit while the writer goes on:
`sqlite.snapshot`.  An old snapshot keeps the log from being copied into the file, so streams are
bounded in number and in idle time.

**Facts.**  Small values of other rooms that must be as durable as documents, and change together
with them: `UnitOfWork.put_fact`.  They take no lsn.

**Log.**  What changed after an lsn is read from the index of documents on (collection, lsn):
`sqlite.log`.  There is no second table to truncate.

**Checksums.**  Each document has one (`sqlite.checksums`), which every read verifies.  What was
found damaged is reported (`sqlite.damage`) and moved into quarantine (`sqlite.quarantine`), from
where it comes back when a peer sends it again.  The scrubber (`scrubber`, `sqlite.scrub`,
`blobs.verification`) reads everything slowly, to find damage before a client does.

**Housekeeping.**  `housekeeping` has old tombstones reaped (`sqlite.reaper`) and unnamed blobs
collected (`blobs.ledger`), both in small steps.

**Files.**  `sqlite.files` has the layout of the folder, `sqlite.opening` opens or creates it,
`sqlite.migrations` upgrades the schema, `sqlite.tools` has backup, check and repair.
"""
