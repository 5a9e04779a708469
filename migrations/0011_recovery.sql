-- missed: how often a bundle that was built was asked for and KV did not have it; the build that puts it back resets it. A
-- slot that is missed is due, the most missed first.
ALTER TABLE slots ADD COLUMN missed INTEGER NOT NULL DEFAULT 0 CHECK (missed >= 0);

INSERT INTO counters (name, value) VALUES ('bundles_missed', 0);
