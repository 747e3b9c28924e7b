-- The audit log: a chain. hash is SHA-256 over all that the entry says and the hash before it. The number has no gaps.
CREATE TABLE audit (
  number    $INT PRIMARY KEY,
  time      $INT NOT NULL,   -- microseconds of UTC
  node      TEXT NOT NULL,   -- that told it
  actor     TEXT NOT NULL,
  role      TEXT NOT NULL,
  via       TEXT NOT NULL,
  address   TEXT NOT NULL,
  operation TEXT NOT NULL,
  object    TEXT NOT NULL,
  domain    TEXT NOT NULL,
  asked     TEXT NOT NULL,   -- JSON, or nothing
  before    TEXT NOT NULL,
  after     TEXT NOT NULL,
  error     TEXT NOT NULL,
  source    TEXT NOT NULL UNIQUE, -- the entry's own name: what is told twice is written once
  erased    $INT NOT NULL,   -- 0, or when its text went by age
  digest    $BLOB NOT NULL,  -- SHA-256 of the entry's text
  hash      $BLOB NOT NULL   -- SHA-256 of the hash before, the number, and digest
);
CREATE INDEX audit_time ON audit (time);
CREATE INDEX audit_actor ON audit (actor, number);
CREATE INDEX audit_operation ON audit (operation, number);
CREATE INDEX audit_domain ON audit (domain, number);
