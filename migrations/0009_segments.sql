-- The overlay at full size: what is older than the tail stands in immutable segments in KV (ADR 0015). segmented_seq: changes
-- up to here are in segments, those above are the tail; filtered_seq: changes up to here are in filters of the issuer alone.
ALTER TABLE issuers ADD COLUMN segmented_seq INTEGER NOT NULL DEFAULT 0 CHECK (segmented_seq BETWEEN 0 AND 9007199254740991);
ALTER TABLE issuers ADD COLUMN filtered_seq INTEGER NOT NULL DEFAULT 0 CHECK (filtered_seq BETWEEN 0 AND 9007199254740991);

-- has_tail: 1 = the issuer may have changes above segmented_seq; without it there are none. The heartbeat looks at no others.
ALTER TABLE issuers ADD COLUMN has_tail INTEGER NOT NULL DEFAULT 0 CHECK (has_tail IN (0, 1));
CREATE INDEX issuers_with_tail ON issuers (id) WHERE has_tail = 1;
UPDATE issuers SET has_tail = 1 WHERE id IN (SELECT issuer FROM changes);

CREATE TRIGGER changes_insert_tail AFTER INSERT ON changes
BEGIN
  UPDATE issuers SET has_tail = 1 WHERE id = NEW.issuer AND has_tail = 0;
END;

CREATE TRIGGER changes_update_tail AFTER UPDATE ON changes
WHEN NEW.seq <> OLD.seq
BEGIN
  UPDATE issuers SET has_tail = 1 WHERE id = NEW.issuer AND has_tail = 0;
END;

-- Tail, cut and pruning walk the changes of an issuer in the order of their seq.
CREATE INDEX changes_by_seq ON changes (issuer, seq);

-- kind: 0 = items of any issuer (issuer is NULL), 1 = a filter of one. stale: 1 = items in it are kept for longer than its
-- values, so it has to be written anew. last_seq: the highest seq in it, 0 = it is empty.
CREATE TABLE segments (
  version INTEGER PRIMARY KEY CHECK (version BETWEEN 1 AND 9007199254740991),
  kind INTEGER NOT NULL CHECK (kind IN (0, 1)),
  issuer INTEGER REFERENCES issuers (id),
  bits INTEGER NOT NULL CHECK (bits BETWEEN 0 AND 16),
  probes INTEGER NOT NULL CHECK (probes BETWEEN 0 AND 32),
  seed INTEGER NOT NULL CHECK (seed BETWEEN 0 AND 4294967295),
  count INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  keep_until INTEGER NOT NULL,
  stale INTEGER NOT NULL DEFAULT 0 CHECK (stale IN (0, 1)),
  CHECK ((kind = 1) = (issuer IS NOT NULL))
) STRICT;

-- Artefacts about serials in a sixteenth of the hashes are unusable below floor.
CREATE TABLE range_floors (
  issuer INTEGER NOT NULL REFERENCES issuers (id),
  sixteenth INTEGER NOT NULL CHECK (sixteenth BETWEEN 0 AND 15),
  floor INTEGER NOT NULL,
  PRIMARY KEY (issuer, sixteenth)
) STRICT, WITHOUT ROWID;

-- segmenting: names the run that may commit, and the segment that it writes; segmenting_until: Unix ms, 0 = nobody is at work.
ALTER TABLE publisher ADD COLUMN segmenting INTEGER NOT NULL DEFAULT 0 CHECK (segmenting BETWEEN 0 AND 9007199254740991);
ALTER TABLE publisher ADD COLUMN segmenting_until INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER publisher_segmenting BEFORE UPDATE ON publisher
BEGIN
  SELECT RAISE(ABORT, 'publisher: segmenting never falls') WHERE NEW.segmenting < OLD.segmenting;
END;

CREATE TRIGGER issuers_segmented BEFORE UPDATE ON issuers
BEGIN
  SELECT RAISE(ABORT, 'issuers: segmented_seq and filtered_seq never fall')
    WHERE NEW.segmented_seq < OLD.segmented_seq OR NEW.filtered_seq < OLD.filtered_seq;
  SELECT RAISE(ABORT, 'issuers: has_tail stays while there is one')
    WHERE NEW.has_tail = 0 AND EXISTS (SELECT 1 FROM changes WHERE issuer = NEW.id AND seq > NEW.segmented_seq);
END;

-- A longer validity stretches what is kept: values in KV would end too soon, and a run under way has read the old times.
CREATE TRIGGER issuers_stretched AFTER UPDATE ON issuers
WHEN NEW.longest_validity > OLD.longest_validity
BEGIN
  UPDATE segments SET stale = 1 WHERE stale = 0 AND (issuer IS NULL OR issuer = NEW.id);
  UPDATE publisher SET segmenting = segmenting + 1, segmenting_until = 0;
END;

CREATE TRIGGER segments_insert BEFORE INSERT ON segments
WHEN EXISTS (SELECT 1 FROM segments WHERE version = NEW.version)
BEGIN
  SELECT RAISE(ABORT, 'segments: a version is never used twice');
END;

CREATE TRIGGER segments_update BEFORE UPDATE ON segments
BEGIN
  SELECT RAISE(ABORT, 'segments: what is written stays')
    WHERE NEW.version <> OLD.version OR NEW.kind <> OLD.kind OR NEW.issuer IS NOT OLD.issuer OR NEW.bits <> OLD.bits
      OR NEW.probes <> OLD.probes OR NEW.seed <> OLD.seed OR NEW.count <> OLD.count OR NEW.last_seq <> OLD.last_seq
      OR NEW.keep_until <> OLD.keep_until OR NEW.stale < OLD.stale;
END;

CREATE TRIGGER segments_delete BEFORE DELETE ON segments
WHEN (OLD.stale = 1 OR OLD.keep_until > unixepoch())
  AND NOT EXISTS (SELECT 1 FROM segments s WHERE s.version > OLD.version AND s.kind = OLD.kind AND s.issuer IS OLD.issuer)
  AND NOT EXISTS (SELECT 1 FROM issuers i WHERE i.id = OLD.issuer AND i.floor >= OLD.last_seq)
BEGIN
  SELECT RAISE(ABORT, 'segments: not deleted before keep_until, unless a newer one or a floor stands for it');
END;

CREATE TRIGGER range_floors_update BEFORE UPDATE ON range_floors
BEGIN
  SELECT RAISE(ABORT, 'range_floors: floor never falls') WHERE NEW.floor < OLD.floor;
END;

CREATE TRIGGER range_floors_delete BEFORE DELETE ON range_floors
WHEN OLD.floor > (SELECT floor FROM issuers WHERE id = OLD.issuer)
BEGIN
  SELECT RAISE(ABORT, 'range_floors: not deleted before the floor of the issuer');
END;
