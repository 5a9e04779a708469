-- What changed lately: the source of the overlay root, and the lease of its one writer.

-- One row a serial: a later change of the same serial raises seq and keep_until.
CREATE TABLE changes (
  issuer INTEGER NOT NULL REFERENCES issuers (id),
  hash INTEGER NOT NULL,
  serial BLOB NOT NULL,
  seq INTEGER NOT NULL,
  keep_until INTEGER NOT NULL,
  PRIMARY KEY (issuer, hash, serial)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER changes_insert BEFORE INSERT ON changes
WHEN EXISTS (
  SELECT 1 FROM changes
  WHERE issuer = NEW.issuer AND hash = NEW.hash AND serial = NEW.serial AND seq > NEW.seq
)
BEGIN
  SELECT RAISE(ABORT, 'changes: seq never falls');
END;

CREATE TRIGGER changes_update BEFORE UPDATE ON changes
BEGIN
  SELECT RAISE(ABORT, 'changes: seq and keep_until never fall')
    WHERE NEW.seq < OLD.seq OR NEW.keep_until < OLD.keep_until;
END;

CREATE TRIGGER changes_delete BEFORE DELETE ON changes
WHEN OLD.keep_until > unixepoch()
BEGIN
  SELECT RAISE(ABORT, 'changes: not deleted before keep_until');
END;

-- version: the highest ever reserved, whether or not it was put. restored: a root with a higher one was seen in KV, so this
-- database was restored from a backup, and the issuers are still to be frozen.
CREATE TABLE publisher (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  lease TEXT,
  lease_until INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 0,
  published_version INTEGER NOT NULL DEFAULT 0,
  put_at INTEGER NOT NULL DEFAULT 0,
  published_at INTEGER NOT NULL DEFAULT 0,
  restored INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO publisher (id) VALUES (1);

CREATE TRIGGER publisher_update BEFORE UPDATE ON publisher
BEGIN
  SELECT RAISE(ABORT, 'publisher: version never falls')
    WHERE NEW.version < OLD.version OR NEW.published_version < OLD.published_version;
END;

CREATE TRIGGER publisher_delete BEFORE DELETE ON publisher
BEGIN
  SELECT RAISE(ABORT, 'publisher: its one row stays');
END;
