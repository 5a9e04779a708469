-- Several databases: an issuer may have its certificates in more than one, by the first hex digit of the hash of their serials
-- (ADR 0016). Masks of 16 bits: bit n stands for the hashes that begin with the digit n.
-- away: not here. leaving: here, but nothing is written any more, another database is about to have them. arriving: not here
-- yet, written by a move alone. moving: 1 = of a digit that is here another database may have the newer claim. fresh: 1 = that is us.
ALTER TABLE issuers ADD COLUMN away INTEGER NOT NULL DEFAULT 0 CHECK (away BETWEEN 0 AND 65535);
ALTER TABLE issuers ADD COLUMN leaving INTEGER NOT NULL DEFAULT 0 CHECK (leaving BETWEEN 0 AND 65535);
ALTER TABLE issuers ADD COLUMN arriving INTEGER NOT NULL DEFAULT 0 CHECK (arriving BETWEEN 0 AND 65535);
ALTER TABLE issuers ADD COLUMN moving INTEGER NOT NULL DEFAULT 0 CHECK (moving IN (0, 1));
ALTER TABLE issuers ADD COLUMN fresh INTEGER NOT NULL DEFAULT 0 CHECK (fresh IN (0, 1));

CREATE TRIGGER issuers_share BEFORE UPDATE ON issuers
BEGIN
  SELECT RAISE(ABORT, 'issuers: only what is here leaves, only what is away arrives')
    WHERE (NEW.leaving & NEW.away) <> 0 OR (NEW.arriving & ~NEW.away) <> 0;
  SELECT RAISE(ABORT, 'issuers: what changes hands raises seq')
    WHERE NEW.seq = OLD.seq AND (NEW.away <> OLD.away OR NEW.moving <> OLD.moving OR NEW.fresh <> OLD.fresh);
END;

-- One look at the issuer for both guards: after final_at its record stands still, and nothing is written of what is elsewhere.
-- What arrives is written in a final issuer too: its record stands still where it comes from.
DROP TRIGGER certificates_insert_final;
CREATE TRIGGER certificates_insert_guard BEFORE INSERT ON certificates
WHEN EXISTS (
  SELECT 1 FROM issuers WHERE id = NEW.issuer
    AND ((final_at > 0 AND NOT (arriving >> (NEW.hash >> 28)) & 1) OR (((away & ~arriving) | leaving) >> (NEW.hash >> 28)) & 1)
)
BEGIN
  SELECT RAISE(ABORT, 'certificates: the issuer is final') WHERE EXISTS (SELECT 1 FROM issuers WHERE id = NEW.issuer AND final_at > 0);
  SELECT RAISE(ABORT, 'certificates: another database has them, or is about to');
END;

DROP TRIGGER certificates_update_final;
CREATE TRIGGER certificates_update_guard BEFORE UPDATE ON certificates
WHEN EXISTS (
  SELECT 1 FROM issuers WHERE id = NEW.issuer
    AND ((final_at > 0 AND NOT (arriving >> (NEW.hash >> 28)) & 1) OR (((away & ~arriving) | leaving) >> (NEW.hash >> 28)) & 1)
)
BEGIN
  SELECT RAISE(ABORT, 'certificates: the issuer is final') WHERE EXISTS (SELECT 1 FROM issuers WHERE id = NEW.issuer AND final_at > 0);
  SELECT RAISE(ABORT, 'certificates: another database has them, or is about to');
END;

-- What is elsewhere by now may go before its time.
DROP TRIGGER certificates_delete;
CREATE TRIGGER certificates_delete BEFORE DELETE ON certificates
WHEN (OLD.not_after = 0 OR OLD.not_after > unixepoch())
  AND NOT EXISTS (
    SELECT 1 FROM issuers WHERE id = OLD.issuer AND moving = 0 AND ((away & ~arriving) >> (OLD.hash >> 28)) & 1)
BEGIN
  SELECT RAISE(ABORT, 'certificates: not deleted before notAfter');
END;
