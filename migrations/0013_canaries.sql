-- A certificate that does not exist, put on hold and released again all the time, so that how long a change takes to be seen is
-- measured and not hoped for. One an issuer; the certificate itself is a row of certificates like any other.
-- seen_ms: when the last change was seen where the cron runs; 0 = not yet. late: changes not seen within the bound.
CREATE TABLE canaries (
  issuer INTEGER PRIMARY KEY REFERENCES issuers (id),
  serial BLOB NOT NULL CHECK (length(serial) BETWEEN 1 AND 127),
  enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  changed_ms INTEGER NOT NULL DEFAULT 0,
  seq INTEGER NOT NULL DEFAULT 0,
  seen_ms INTEGER NOT NULL DEFAULT 0,
  rounds INTEGER NOT NULL DEFAULT 0,
  late INTEGER NOT NULL DEFAULT 0,
  is_late INTEGER NOT NULL DEFAULT 0 CHECK (is_late IN (0, 1)),
  last_lag_ms INTEGER NOT NULL DEFAULT 0,
  worst_lag_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
