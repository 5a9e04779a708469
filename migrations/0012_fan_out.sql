-- Fan-out of re-signing over a queue. A slot that is planned has a lease whose name begins with "plan:"; whoever takes it from
-- the queue gives it a lease of its own. plan: the one row about the last plan and the last messages, in Unix milliseconds,
-- 0 = never. due: slots due then; planned: of these, sent in messages. lost_ms: some were sent and taken by nobody in time;
-- refused_ms: the queue did not take all of it; handled_ms, dead_ms: the last message, the last dead letter.
CREATE TABLE plan (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  planned_ms INTEGER NOT NULL DEFAULT 0,
  due INTEGER NOT NULL DEFAULT 0,
  planned INTEGER NOT NULL DEFAULT 0,
  messages INTEGER NOT NULL DEFAULT 0,
  lost_ms INTEGER NOT NULL DEFAULT 0,
  refused_ms INTEGER NOT NULL DEFAULT 0,
  handled_ms INTEGER NOT NULL DEFAULT 0,
  dead_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO plan (id) VALUES (1);

INSERT INTO counters (name, value)
VALUES ('slots_planned', 0), ('slots_overtaken', 0), ('messages_sent', 0), ('messages_handled', 0), ('messages_dead', 0);
