-- Which blocks of the open day may hold what is looked for: of some blocks, in 64 spans, one row here, and what it knows of them
-- in sieve_part. sieve.go says how. Blocks that no row speaks of are read.
CREATE TABLE sieve (
  first INTEGER PRIMARY KEY, -- seq of its first and its last block
  last  INTEGER NOT NULL,
  low   INTEGER NOT NULL,    -- least and greatest id in them
  high  INTEGER NOT NULL,
  parts INTEGER NOT NULL,    -- rows of sieve_part: first * 64 and those behind it
  body  BLOB NOT NULL        -- its spans
);
CREATE INDEX sieve_last ON sieve(last);
CREATE TABLE sieve_part (
  id   INTEGER PRIMARY KEY,
  body BLOB NOT NULL
);
-- Nobody who changes or erases what a block holds has to think of its sieve, which would tell that it was there.
CREATE TRIGGER sieve_changed AFTER UPDATE OF rows ON block BEGIN DELETE FROM sieve WHERE last >= OLD.seq AND first <= OLD.seq; END;
CREATE TRIGGER sieve_closed AFTER DELETE ON block BEGIN DELETE FROM sieve WHERE last <= OLD.seq; END;
CREATE TRIGGER sieve_gone AFTER DELETE ON sieve BEGIN DELETE FROM sieve_part WHERE id >= OLD.first * 64 AND id < OLD.first * 64 + OLD.parts; END;
