-- compat: 1
-- The first schema.  The number after "compat" is the lowest schema version that a server must
-- know to open a file of this version; raise it when an older server would damage the file.

-- Who writes here, and how far it has come.  `device` and `inode` say which file this was when
-- it was last opened: a copy is a file of its own, and takes a new epoch.
CREATE TABLE site (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    site BLOB NOT NULL CHECK (length(site) = 16),
    epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    clock INTEGER NOT NULL,
    lsn INTEGER NOT NULL,
    catalog INTEGER NOT NULL,
    device INTEGER,
    inode INTEGER
);

CREATE TABLE collections (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    live INTEGER NOT NULL,
    lsn INTEGER NOT NULL,
    reaped_lsn INTEGER NOT NULL,
    digest_sum INTEGER NOT NULL,
    digest_xor INTEGER NOT NULL
);

-- Live documents and tombstones.  The row number is composed (rowids.py): each collection has a
-- range of rows for its live documents, so that a scan reads neighbours and no other collection,
-- and one for its tombstones, where rows ascend by receipt, so that the reaper finds the oldest first.
-- The body, as JSONB, comes before the state because filters read it; `literal` is 0 where the
-- text that it was made from had the mark of `edge_twisted.documents.json_text`.
CREATE TABLE documents (
    row INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL,
    id BLOB NOT NULL,
    lsn INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    attachments INTEGER NOT NULL,
    received INTEGER,
    literal INTEGER NOT NULL,
    body BLOB,
    state BLOB NOT NULL
);
CREATE UNIQUE INDEX documents_by_id ON documents (collection, id);
CREATE INDEX documents_by_lsn ON documents (collection, lsn);

-- Secondary indexes.  `progress` is the last row that the building of the index has passed, NULL
-- when it is complete.  A dropped one keeps its number until its entries are gone.
CREATE TABLE indexes (
    number INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL,
    name TEXT NOT NULL,
    keys TEXT NOT NULL,
    include_missing INTEGER NOT NULL,
    progress INTEGER,
    exact INTEGER NOT NULL,
    dropped INTEGER NOT NULL
);
CREATE UNIQUE INDEX indexes_by_name ON indexes (collection, name) WHERE NOT dropped;

CREATE TABLE entries (
    number INTEGER NOT NULL,
    key BLOB NOT NULL,
    row INTEGER NOT NULL,
    PRIMARY KEY (number, key, row)
) WITHOUT ROWID;

CREATE TABLE facts (
    space TEXT NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (space, key)
) WITHOUT ROWID;

-- Which rows of `documents` name which blobs.
CREATE TABLE mentions (
    attachment TEXT NOT NULL,
    row INTEGER NOT NULL,
    PRIMARY KEY (attachment, row)
) WITHOUT ROWID;
CREATE INDEX mentions_by_row ON mentions (row);
