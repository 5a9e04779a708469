-- Of the whole record, raised in the same transaction as the seq of any issuer: of two overlay roots, the one with the lower
-- position knows less, whichever issuers they name. It follows the clock, as seq does, so that a restored database does not
-- hand out a number a second time.
ALTER TABLE publisher ADD COLUMN position INTEGER NOT NULL DEFAULT 1 CHECK (position BETWEEN 1 AND 9007199254740991);

CREATE TRIGGER publisher_position BEFORE UPDATE ON publisher
BEGIN
  SELECT RAISE(ABORT, 'publisher: position never falls') WHERE NEW.position < OLD.position;
END;

CREATE TRIGGER issuers_position_insert AFTER INSERT ON issuers
BEGIN
  UPDATE publisher SET position = max(position + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000);
END;

CREATE TRIGGER issuers_position AFTER UPDATE ON issuers
WHEN NEW.seq <> OLD.seq OR NEW.frozen <> OLD.frozen
BEGIN
  UPDATE publisher SET position = max(position + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000);
END;
