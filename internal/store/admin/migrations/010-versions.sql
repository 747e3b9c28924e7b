-- Versions of the policy. A row never changes; the newest 1,000 stay. The head is one row, and says which is in force.
CREATE TABLE policy_version (
  number  $INT PRIMARY KEY,
  time    $INT NOT NULL,   -- microseconds of UTC
  author  TEXT NOT NULL,
  comment TEXT NOT NULL,
  kind    TEXT NOT NULL,   -- publish, takeover, rollback, undo
  again   $INT NOT NULL,   -- the version whose text it has again; 0: its own
  undid   $INT NOT NULL,   -- the version that it was made to leave; 0: none
  digest  TEXT NOT NULL,   -- of the text
  text    $BLOB NOT NULL
);
CREATE TABLE policy_head (
  one     $INT PRIMARY KEY CHECK (one = 1),
  number  $INT NOT NULL,
  epoch   $INT NOT NULL,   -- grows with each change
  confirm $INT NOT NULL,   -- until when somebody must confirm; 0: nobody must
  back    $INT NOT NULL    -- the version that comes back where it has to; 0: none
);
-- What people changed and did not publish yet.
CREATE TABLE policy_draft (
  owner TEXT PRIMARY KEY,
  base  $INT NOT NULL,
  seq   $INT NOT NULL,
  time  $INT NOT NULL,
  text  $BLOB NOT NULL
);
