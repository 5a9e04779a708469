-- Rows of certificates that are past their retention are written over by new ones instead of being deleted (ADR 0017).
-- bulk_at: when many certificates were last recorded at once: somebody may need rows to write over. spare: 1 = the walk over the
-- certificates has just left some for that.
ALTER TABLE issuers ADD COLUMN bulk_at INTEGER NOT NULL DEFAULT 0 CHECK (bulk_at >= 0);
ALTER TABLE issuers ADD COLUMN spare INTEGER NOT NULL DEFAULT 0 CHECK (spare IN (0, 1));

-- As it was, for a row that stays the same certificate.
DROP TRIGGER certificates_update;
CREATE TRIGGER certificates_update BEFORE UPDATE ON certificates
WHEN NEW.issuer = OLD.issuer AND NEW.hash = OLD.hash AND NEW.serial = OLD.serial
BEGIN
  SELECT RAISE(ABORT, 'certificates: rev grows with every change') WHERE NEW.rev <= OLD.rev;
  SELECT RAISE(ABORT, 'certificates: revoked is final') WHERE OLD.status = 1 AND NEW.status <> 1;
  SELECT RAISE(ABORT, 'certificates: a hold is released or becomes revoked') WHERE OLD.status = 2 AND NEW.status = 0;
  SELECT RAISE(ABORT, 'certificates: good is not released') WHERE OLD.status = 0 AND NEW.status = 3;
  SELECT RAISE(ABORT, 'certificates: released stays released until revoked or held') WHERE OLD.status = 3 AND NEW.status = 0;
  SELECT RAISE(ABORT, 'certificates: a known notAfter never changes')
    WHERE OLD.not_after <> 0 AND NEW.not_after <> OLD.not_after;
END;

-- Another certificate in the row: as strict as pruning is, which is stricter than certificates_delete. Within one digit of the
-- hash, and not while digits move, so that whoever guards or notes what becomes of a digit need not know of two.
CREATE TRIGGER certificates_recycle BEFORE UPDATE ON certificates
WHEN NEW.issuer <> OLD.issuer OR NEW.hash <> OLD.hash OR NEW.serial <> OLD.serial
BEGIN
  SELECT RAISE(ABORT, 'certificates: the key never changes before the row is past its retention')
    WHERE NEW.issuer <> OLD.issuer OR NEW.hash >> 28 <> OLD.hash >> 28 OR OLD.not_after = 0 OR NOT EXISTS (
      SELECT 1 FROM issuers i WHERE i.id = OLD.issuer AND i.moving = 0 AND i.final_at = 0
        AND OLD.not_after + json_extract(i.policy, '$.retainSeconds') < unixepoch()
        AND (OLD.status IN (0, 3) OR json_extract(i.policy, '$.unknown') <> 'good'));
  SELECT RAISE(ABORT, 'certificates: another row has that key')
    WHERE EXISTS (SELECT 1 FROM certificates WHERE issuer = NEW.issuer AND hash = NEW.hash AND serial = NEW.serial);
  SELECT RAISE(ABORT, 'certificates: rev grows with every change') WHERE NEW.rev <= OLD.rev;
END;

DROP TRIGGER certificates_reserved;
CREATE TRIGGER certificates_reserved BEFORE UPDATE ON certificates
WHEN NEW.reserved > OLD.reserved AND NEW.issuer = OLD.issuer AND NEW.hash = OLD.hash AND NEW.serial = OLD.serial
BEGIN
  SELECT RAISE(ABORT, 'certificates: what was recorded is not reserved again');
END;
