-- Revocations by query, one row a run. The cursor moves in the transaction that changes the rows behind it: whoever asks for
-- the same once more goes on where it stands. request: JSON of what was asked for; cursor: the next hash of a serial,
-- 4294967296 = done; busy_ms: spent at the record, which gives the rate.
CREATE TABLE mass_revocations (
  id INTEGER PRIMARY KEY,
  issuer INTEGER NOT NULL REFERENCES issuers (id),
  request TEXT NOT NULL CHECK (json_valid(request)),
  revoked_at INTEGER NOT NULL,
  cursor INTEGER NOT NULL DEFAULT 0 CHECK (cursor BETWEEN 0 AND 4294967296),
  changed INTEGER NOT NULL DEFAULT 0,
  refused INTEGER NOT NULL DEFAULT 0,
  started_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  busy_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TRIGGER mass_revocations_update BEFORE UPDATE ON mass_revocations
BEGIN
  SELECT RAISE(ABORT, 'mass_revocations: what was asked for never changes, the cursor never falls')
    WHERE NEW.issuer <> OLD.issuer OR NEW.request <> OLD.request OR NEW.revoked_at <> OLD.revoked_at
      OR NEW.cursor < OLD.cursor;
END;
