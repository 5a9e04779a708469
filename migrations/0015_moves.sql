-- Moves of certificates of an issuer from one database to another (ADR 0016), a row at the source and one at the target.

-- id: the same at both. outgoing: 1 = here is the source. peer: number of the other database. digits: mask, as in issuers.
-- phase of the source: 1 begun, 2 copying, 3 verifying, 4 barred (leaving), 5 claimed by the target, 6 given up (away), 7 purging,
-- 8 done; 9 = given up before the claim. Of the target: 2 arriving, 5 claimed, 8 and 9. step: raised by every transaction of the
-- move that writes rows, and each names the one that it goes on from: who was overtaken writes nothing. hash, serial: where the
-- walk stands. begun_ms, claimed_ms, settled_ms: when a root that says so was published, 0 = not yet; ended_ms: 0 = under way.
CREATE TABLE moves (
  id TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
  issuer INTEGER NOT NULL REFERENCES issuers (id),
  outgoing INTEGER NOT NULL CHECK (outgoing IN (0, 1)),
  peer INTEGER NOT NULL CHECK (peer BETWEEN 0 AND 15),
  digits INTEGER NOT NULL CHECK (digits BETWEEN 1 AND 65535),
  phase INTEGER NOT NULL CHECK (phase BETWEEN 1 AND 9),
  step INTEGER NOT NULL DEFAULT 1,
  hash INTEGER NOT NULL DEFAULT -1,
  serial BLOB NOT NULL DEFAULT x'',
  copied INTEGER NOT NULL DEFAULT 0,
  verified INTEGER NOT NULL DEFAULT 0,
  repaired INTEGER NOT NULL DEFAULT 0,
  purged INTEGER NOT NULL DEFAULT 0,
  busy_ms INTEGER NOT NULL DEFAULT 0,
  started_ms INTEGER NOT NULL,
  begun_ms INTEGER NOT NULL DEFAULT 0,
  claimed_ms INTEGER NOT NULL DEFAULT 0,
  settled_ms INTEGER NOT NULL DEFAULT 0,
  ended_ms INTEGER NOT NULL DEFAULT 0,
  problem TEXT,
  CHECK (phase <> 8 OR ended_ms > 0), CHECK (ended_ms = 0 OR phase >= 8)
) STRICT, WITHOUT ROWID;

-- One at a time for an issuer, in or out. Without one, the look of the triggers below finds no row and reads none.
CREATE UNIQUE INDEX moves_open ON moves (issuer) WHERE ended_ms = 0;

CREATE TRIGGER moves_update BEFORE UPDATE ON moves
BEGIN
  SELECT RAISE(ABORT, 'moves: what moves where never changes')
    WHERE NEW.id <> OLD.id OR NEW.issuer <> OLD.issuer OR NEW.outgoing <> OLD.outgoing OR NEW.peer <> OLD.peer
      OR NEW.digits <> OLD.digits;
  SELECT RAISE(ABORT, 'moves: phase and step never fall') WHERE NEW.phase < OLD.phase OR NEW.step < OLD.step;
  SELECT RAISE(ABORT, 'moves: what the target has claimed stays moved') WHERE OLD.phase BETWEEN 5 AND 8 AND NEW.phase = 9;
END;

-- What is written while it is copied, one row a write: ids are never used twice, so that only what was seen is removed.
CREATE TABLE moved (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  issuer INTEGER NOT NULL,
  hash INTEGER NOT NULL,
  serial BLOB NOT NULL
) STRICT;

CREATE TRIGGER certificates_insert_moved AFTER INSERT ON certificates
WHEN EXISTS (
  SELECT 1 FROM moves WHERE issuer = NEW.issuer AND ended_ms = 0 AND outgoing = 1 AND phase < 5 AND (digits >> (NEW.hash >> 28)) & 1)
BEGIN
  INSERT INTO moved (issuer, hash, serial) VALUES (NEW.issuer, NEW.hash, NEW.serial);
END;

-- A row may get another key, where one that has ended makes room for a new one.
CREATE TRIGGER certificates_update_moved AFTER UPDATE ON certificates
WHEN EXISTS (
  SELECT 1 FROM moves WHERE issuer = NEW.issuer AND ended_ms = 0 AND outgoing = 1 AND phase < 5
    AND ((digits >> (NEW.hash >> 28)) | (digits >> (OLD.hash >> 28))) & 1)
BEGIN
  INSERT INTO moved (issuer, hash, serial) SELECT NEW.issuer, NEW.hash, NEW.serial FROM moves
    WHERE issuer = NEW.issuer AND ended_ms = 0 AND (digits >> (NEW.hash >> 28)) & 1;
  INSERT INTO moved (issuer, hash, serial) SELECT OLD.issuer, OLD.hash, OLD.serial FROM moves
    WHERE issuer = OLD.issuer AND ended_ms = 0 AND (digits >> (OLD.hash >> 28)) & 1
      AND (OLD.hash <> NEW.hash OR OLD.serial <> NEW.serial);
END;

CREATE TRIGGER certificates_delete_moved AFTER DELETE ON certificates
WHEN EXISTS (
  SELECT 1 FROM moves WHERE issuer = OLD.issuer AND ended_ms = 0 AND outgoing = 1 AND phase < 5 AND (digits >> (OLD.hash >> 28)) & 1)
BEGIN
  INSERT INTO moved (issuer, hash, serial) VALUES (OLD.issuer, OLD.hash, OLD.serial);
END;

CREATE TRIGGER issuers_moved BEFORE UPDATE ON issuers
WHEN NEW.away <> OLD.away AND EXISTS (SELECT 1 FROM certificates WHERE issuer = NEW.id)
BEGIN
  SELECT RAISE(ABORT, 'issuers: only what is barred is given up') WHERE (NEW.away & ~OLD.away & ~OLD.leaving) <> 0;
  SELECT RAISE(ABORT, 'issuers: only what has arrived is claimed') WHERE (OLD.away & ~NEW.away & ~OLD.arriving) <> 0;
END;
