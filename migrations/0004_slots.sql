-- Re-signing. A slot is what one bundle holds; a row exists for every slot of every era (k, and k_next while doubling).
-- again: 1 = a lease expired and was taken over, one more build is owed after the next; 2 = owed now.
CREATE TABLE slots (
  issuer INTEGER NOT NULL REFERENCES issuers (id),
  k INTEGER NOT NULL CHECK (k BETWEEN 0 AND 24),
  slot INTEGER NOT NULL CHECK (slot >= 0 AND slot < (1 << k)),
  changed_seq INTEGER NOT NULL DEFAULT 0,
  built_seq INTEGER NOT NULL DEFAULT 0,
  added INTEGER NOT NULL DEFAULT 0,
  added_since INTEGER NOT NULL DEFAULT 0,
  added_seq INTEGER NOT NULL DEFAULT 0,
  this_update INTEGER NOT NULL DEFAULT 0,
  next_update INTEGER NOT NULL DEFAULT 0,
  refresh_at INTEGER NOT NULL DEFAULT 0,
  built_at INTEGER NOT NULL DEFAULT 0,
  entries INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0,
  lease TEXT,
  lease_until INTEGER NOT NULL DEFAULT 0,
  again INTEGER NOT NULL DEFAULT 0 CHECK (again IN (0, 1, 2)),
  failures INTEGER NOT NULL DEFAULT 0,
  last_error TEXT,
  PRIMARY KEY (issuer, k, slot)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER slots_update BEFORE UPDATE ON slots
BEGIN
  SELECT RAISE(ABORT, 'slots: changed_seq and built_seq never fall')
    WHERE NEW.changed_seq < OLD.changed_seq OR NEW.built_seq < OLD.built_seq;
END;
