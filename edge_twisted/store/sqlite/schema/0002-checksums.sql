-- compat: 2
-- A checksum of each document as it is stored (checksums.py), NULL where none was made yet: rows
-- of before get theirs when they are written again, or from the scrubber.  A server that does not
-- know the column would leave stale ones behind, so it must not write here.
ALTER TABLE documents ADD COLUMN checksum INTEGER;

-- Documents whose bytes are not what was written, moved here as they are until they are whole
-- again or given up (quarantine.py); `found` is when, in ms since 1970.
CREATE TABLE quarantine (
    row INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL,
    id BLOB NOT NULL,
    lsn INTEGER,
    digest INTEGER,
    attachments INTEGER,
    received INTEGER,
    literal INTEGER,
    body BLOB,
    state BLOB,
    checksum INTEGER,
    found INTEGER NOT NULL
);
CREATE UNIQUE INDEX quarantine_by_id ON quarantine (collection, id);
