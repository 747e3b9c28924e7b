-- What became of a message after its sender was told that it was taken: of mail in the spool. It lies in the file of the day
-- on which it happened, which may be days after that of the message.
CREATE TABLE fate (
  seq  INTEGER PRIMARY KEY,
  id   INTEGER NOT NULL,   -- of the transaction
  what TEXT NOT NULL,
  body TEXT NOT NULL       -- gateway.Fate
);
CREATE INDEX fate_id ON fate(id);
