-- What judging reads of the transactions of a block, and what was decided of them: without evidence and replies, so that all
-- messages of a week are judged again in a second or two. judging.go says how. A block without a row here was written before,
-- or its stories were changed since: they are read instead, which takes ten times as long.
CREATE TABLE judging (
  seq  INTEGER PRIMARY KEY, -- that of stories
  low  INTEGER NOT NULL,    -- least and greatest id in it
  high INTEGER NOT NULL,
  body BLOB NOT NULL
);
-- Nobody who changes or erases what is kept of a message has to think of its copy.
CREATE TRIGGER judging_changed AFTER UPDATE OF body ON stories BEGIN DELETE FROM judging WHERE seq = OLD.seq; END;
CREATE TRIGGER judging_erased AFTER DELETE ON stories BEGIN DELETE FROM judging WHERE seq = OLD.seq; END;
