-- Issuers and responders. docs/storage.md describes every table with its owner and lifetime.
-- Times are Unix seconds unless the name ends in _ms. Sequences are max(seq + 1, unix milliseconds * 1000), below 2^53.

CREATE TABLE issuers (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64 AND name NOT GLOB '*[^a-z0-9-]*'),
  ski TEXT NOT NULL UNIQUE CHECK (ski NOT GLOB '*[^0-9a-f]*'),
  certificate BLOB NOT NULL,
  hashes TEXT NOT NULL,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  policy TEXT NOT NULL CHECK (json_valid(policy)),
  enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  frozen INTEGER NOT NULL DEFAULT 0 CHECK (frozen IN (0, 1)),
  config_rev INTEGER NOT NULL,
  seq INTEGER NOT NULL CHECK (seq BETWEEN 1 AND 9007199254740991),
  floor INTEGER NOT NULL,
  horizon INTEGER NOT NULL DEFAULT 0,
  longest_validity INTEGER NOT NULL,
  unknown_signed INTEGER NOT NULL CHECK (unknown_signed IN (0, 1)),
  published INTEGER NOT NULL DEFAULT 0,
  k INTEGER NOT NULL DEFAULT 0 CHECK (k BETWEEN 0 AND 24),
  k_next INTEGER CHECK (k_next BETWEEN 1 AND 24 AND k_next > k),
  growth_seq INTEGER NOT NULL DEFAULT 0,
  prune_from INTEGER NOT NULL DEFAULT 0,
  pruned_at INTEGER NOT NULL DEFAULT 0,
  CHECK (floor <= seq AND config_rev <= seq AND published <= seq AND growth_seq <= seq)
) STRICT;

-- INSERT OR REPLACE would delete the row in the way without asking the triggers of DELETE.
CREATE TRIGGER issuers_insert BEFORE INSERT ON issuers
BEGIN
  SELECT RAISE(ABORT, 'issuers.name is taken') WHERE EXISTS (SELECT 1 FROM issuers WHERE name = NEW.name);
  SELECT RAISE(ABORT, 'issuers.ski is taken') WHERE EXISTS (SELECT 1 FROM issuers WHERE ski = NEW.ski);
  SELECT RAISE(ABORT, 'issuers.id is taken') WHERE EXISTS (SELECT 1 FROM issuers WHERE id = NEW.id);
END;

CREATE TRIGGER issuers_update BEFORE UPDATE ON issuers
BEGIN
  SELECT RAISE(ABORT, 'issuers: id and ski never change') WHERE NEW.id <> OLD.id OR NEW.ski <> OLD.ski;
  SELECT RAISE(ABORT, 'issuers: seq never falls') WHERE NEW.seq < OLD.seq;
  SELECT RAISE(ABORT, 'issuers: floor never falls') WHERE NEW.floor < OLD.floor;
  SELECT RAISE(ABORT, 'issuers: horizon never falls') WHERE NEW.horizon < OLD.horizon;
  SELECT RAISE(ABORT, 'issuers: longest_validity never falls') WHERE NEW.longest_validity < OLD.longest_validity;
  SELECT RAISE(ABORT, 'issuers: unknown_signed never falls') WHERE NEW.unknown_signed < OLD.unknown_signed;
  SELECT RAISE(ABORT, 'issuers: published never falls') WHERE NEW.published < OLD.published;
  SELECT RAISE(ABORT, 'issuers: k never falls') WHERE NEW.k < OLD.k;
  SELECT RAISE(ABORT, 'issuers.name is taken')
    WHERE EXISTS (SELECT 1 FROM issuers WHERE name = NEW.name AND id <> OLD.id);
END;

CREATE TRIGGER issuers_delete BEFORE DELETE ON issuers
BEGIN
  SELECT RAISE(ABORT, 'issuers: never deleted, disable it');
END;

-- The public part of a responder, and its private key when custody is wrapped (AES-256-GCM, see src/signing/key-custody.ts).
CREATE TABLE responders (
  id INTEGER PRIMARY KEY,
  issuer INTEGER NOT NULL REFERENCES issuers (id),
  name TEXT NOT NULL,
  certificate BLOB,
  key_hash BLOB NOT NULL CHECK (length(key_hash) = 20),
  algorithm TEXT NOT NULL,
  custody TEXT NOT NULL CHECK (custody IN ('wrapped', 'secret')),
  secret_name TEXT,
  wrapped_key BLOB,
  spki BLOB NOT NULL,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  retired INTEGER NOT NULL DEFAULT 0 CHECK (retired IN (0, 1)),
  UNIQUE (issuer, name),
  CHECK ((custody = 'secret') = (secret_name IS NOT NULL)),
  CHECK ((custody = 'wrapped') = (wrapped_key IS NOT NULL))
) STRICT;

CREATE TRIGGER responders_insert BEFORE INSERT ON responders
BEGIN
  SELECT RAISE(ABORT, 'responders.name is taken')
    WHERE EXISTS (SELECT 1 FROM responders WHERE issuer = NEW.issuer AND name = NEW.name);
  SELECT RAISE(ABORT, 'responders.id is taken') WHERE EXISTS (SELECT 1 FROM responders WHERE id = NEW.id);
END;
