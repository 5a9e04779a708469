-- The record of certificates. The triggers are its own defence: they hold whoever writes, with whatever statement.

-- status: 0 good, 1 revoked, 2 hold, 3 released (good again after a hold). reason: CRLReason, NULL = unspecified.
-- Clustered by the hash of the serial, so that a slot is one range scan, and there is no second index to pay for.
CREATE TABLE certificates (
  issuer INTEGER NOT NULL REFERENCES issuers (id),
  hash INTEGER NOT NULL CHECK (hash BETWEEN 0 AND 4294967295),
  serial BLOB NOT NULL CHECK (length(serial) BETWEEN 1 AND 127),
  status INTEGER NOT NULL CHECK (status BETWEEN 0 AND 3),
  revoked_at INTEGER NOT NULL DEFAULT 0 CHECK (revoked_at >= 0),
  reason INTEGER CHECK (reason IN (1, 2, 3, 4, 5, 6, 9, 10)),
  not_before INTEGER NOT NULL DEFAULT 0 CHECK (not_before >= 0),
  not_after INTEGER NOT NULL DEFAULT 0 CHECK (not_after >= 0),
  changed_at INTEGER NOT NULL DEFAULT 0,
  rev INTEGER NOT NULL CHECK (rev BETWEEN 1 AND 9007199254740991),
  PRIMARY KEY (issuer, hash, serial),
  CHECK ((status = 2) = (reason IS 6)),
  CHECK (status IN (1, 2) OR (revoked_at = 0 AND reason IS NULL))
) STRICT, WITHOUT ROWID;

-- Also for INSERT OR REPLACE, which would delete the row in the way without asking certificates_delete.
CREATE TRIGGER certificates_insert BEFORE INSERT ON certificates
WHEN EXISTS (SELECT 1 FROM certificates WHERE issuer = NEW.issuer AND hash = NEW.hash AND serial = NEW.serial)
BEGIN
  SELECT RAISE(IGNORE);
END;

CREATE TRIGGER certificates_update BEFORE UPDATE ON certificates
BEGIN
  SELECT RAISE(ABORT, 'certificates: the key never changes')
    WHERE NEW.issuer <> OLD.issuer OR NEW.hash <> OLD.hash OR NEW.serial <> OLD.serial;
  SELECT RAISE(ABORT, 'certificates: rev grows with every change') WHERE NEW.rev <= OLD.rev;
  SELECT RAISE(ABORT, 'certificates: revoked is final') WHERE OLD.status = 1 AND NEW.status <> 1;
  SELECT RAISE(ABORT, 'certificates: a hold is released or becomes revoked') WHERE OLD.status = 2 AND NEW.status = 0;
  SELECT RAISE(ABORT, 'certificates: good is not released') WHERE OLD.status = 0 AND NEW.status = 3;
  SELECT RAISE(ABORT, 'certificates: released stays released until revoked or held') WHERE OLD.status = 3 AND NEW.status = 0;
  SELECT RAISE(ABORT, 'certificates: a known notAfter never changes')
    WHERE OLD.not_after <> 0 AND NEW.not_after <> OLD.not_after;
END;

CREATE TRIGGER certificates_delete BEFORE DELETE ON certificates
WHEN OLD.not_after = 0 OR OLD.not_after > unixepoch()
BEGIN
  SELECT RAISE(ABORT, 'certificates: not deleted before notAfter');
END;
