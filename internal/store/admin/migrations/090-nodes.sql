-- Nodes that share these control data, and how each is, as it says itself.
CREATE TABLE node (
  name TEXT PRIMARY KEY,
  beat $INT NOT NULL,   -- microseconds of UTC, by the clock of this store: when it said so
  body TEXT NOT NULL    -- JSON
);
