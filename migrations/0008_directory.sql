-- The directory of issuers at large: issuers that have not changed for long stand in immutable pages in KV, one for each CertID
-- hash algorithm (place in SHA-1, SHA-256, SHA-384, SHA-512) and first octet of the key hash, and the overlay root names the pages.

-- By key hash, so that a page can be made from a few rows.
CREATE TABLE issuer_keys (
  algorithm INTEGER NOT NULL CHECK (algorithm BETWEEN 0 AND 3),
  key_hash BLOB NOT NULL CHECK (length(key_hash) BETWEEN 1 AND 64),
  issuer INTEGER NOT NULL REFERENCES issuers (id),
  PRIMARY KEY (algorithm, key_hash, issuer)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER issuers_keys AFTER INSERT ON issuers
BEGIN
  INSERT INTO issuer_keys (algorithm, key_hash, issuer)
  SELECT a.value->>1, unhex(h.value->>1), NEW.id
  FROM json_each('[["SHA-1",0],["SHA-256",1],["SHA-384",2],["SHA-512",3]]') a
  JOIN json_each(NEW.hashes) h ON h.key = a.value->>0;
END;

INSERT INTO issuer_keys (algorithm, key_hash, issuer)
SELECT a.value->>1, unhex(h.value->>1), i.id
FROM issuers i JOIN json_each('[["SHA-1",0],["SHA-256",1],["SHA-384",2],["SHA-512",3]]') a
JOIN json_each(i.hashes) h ON h.key = a.value->>0;

CREATE TRIGGER issuers_hashes BEFORE UPDATE ON issuers
WHEN NEW.hashes <> OLD.hashes
BEGIN
  SELECT RAISE(ABORT, 'issuers: hashes never change');
END;

-- version: of the page that stands in KV. One without a row has never been written: nobody stands in it.
CREATE TABLE directory_pages (
  algorithm INTEGER NOT NULL CHECK (algorithm BETWEEN 0 AND 3),
  octet INTEGER NOT NULL CHECK (octet BETWEEN 0 AND 255),
  version INTEGER NOT NULL,
  written_ms INTEGER NOT NULL,
  PRIMARY KEY (algorithm, octet)
) STRICT, WITHOUT ROWID;

-- version: the highest ever reserved for pages, used or not. Whoever writes pages reserves one first, and they count only if no
-- other was reserved since.
CREATE TABLE directory (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL DEFAULT 0,
  paged_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO directory (id) VALUES (1);

CREATE TRIGGER directory_update BEFORE UPDATE ON directory
BEGIN
  SELECT RAISE(ABORT, 'directory: version never falls') WHERE NEW.version < OLD.version;
END;

CREATE TRIGGER directory_pages_update BEFORE UPDATE ON directory_pages
BEGIN
  SELECT RAISE(ABORT, 'directory_pages: version never falls') WHERE NEW.version < OLD.version;
END;

-- The issuer's pages know it up to here; above it, the root has to name the issuer itself.
ALTER TABLE issuers ADD COLUMN paged_seq INTEGER NOT NULL DEFAULT 0 CHECK (paged_seq <= seq);
CREATE INDEX issuers_recent ON issuers (id) WHERE seq > paged_seq;

-- A page says nothing of an issuer that changed without its seq.
CREATE TRIGGER issuers_unpaged AFTER UPDATE ON issuers
WHEN NEW.seq = OLD.seq AND NEW.paged_seq > 0 AND (NEW.k <> OLD.k OR NEW.floor <> OLD.floor
  OR NEW.config_rev <> OLD.config_rev OR NEW.enabled <> OLD.enabled OR NEW.frozen <> OLD.frozen)
BEGIN
  UPDATE issuers SET paged_seq = 0 WHERE id = NEW.id;
  UPDATE directory SET version = version + 1;
END;
