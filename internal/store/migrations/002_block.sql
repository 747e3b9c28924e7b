-- The open day: events in blocks, as they came, known to no index. When the day is over, each block becomes rows of event,
-- rcpt and part, in one transaction, and goes; its stories stay where they are.
CREATE TABLE block (
  seq  INTEGER PRIMARY KEY,  -- that of stories
  low  INTEGER NOT NULL,     -- least and greatest id in it
  high INTEGER NOT NULL,
  top  INTEGER NOT NULL,     -- greatest id of this block and those before it
  rows BLOB NOT NULL         -- columns.go says how
);
CREATE TABLE stories (
  seq   INTEGER PRIMARY KEY, -- in the order of writing
  shape INTEGER NOT NULL,
  body  BLOB NOT NULL        -- one behind the other; codec.go says how
);
-- What names the fields of stories, so that a later version reads them.
CREATE TABLE shape (
  id     INTEGER PRIMARY KEY,
  prefix BLOB NOT NULL
);
ALTER TABLE event ADD COLUMN block INTEGER; -- where its story is; NULL: in the table story, as the first version wrote
ALTER TABLE event ADD COLUMN at INTEGER;    -- octet of the block's stories
-- Trigrams of addresses and subjects: finds candidates, which the row confirms.
CREATE VIRTUAL TABLE part USING fts5(text, content='', columnsize=0, detail='none', tokenize='trigram');
-- Rows that part does not know.
CREATE TABLE unparted (id INTEGER PRIMARY KEY);
INSERT INTO unparted SELECT id FROM event LIMIT 1;
