-- How often entries of allow and block lists were met, by node. An entry of the policy is here while it is in force at its node;
-- one of a recipient's own list once it was met.
CREATE TABLE list_entry (
  id    $ID,
  node  TEXT NOT NULL,
  list  TEXT NOT NULL,   -- the check: access.client, access.sender, access.author, access.own
  kind  TEXT NOT NULL,   -- allow, block
  rcpt  TEXT NOT NULL,   -- of an own list local@domain in lower case, else ''
  value TEXT NOT NULL,   -- as findings name it
  since $INT NOT NULL,   -- microseconds of UTC: counted from then on
  last  $INT NOT NULL,   -- the last hit; 0 for none
  seen  $INT NOT NULL,   -- when its node told of it for the last time
  UNIQUE (list, rcpt, value, kind, node)
);
CREATE TABLE list_hit (
  entry $INT NOT NULL REFERENCES list_entry (id) ON DELETE CASCADE,
  day   $INT NOT NULL,   -- of UTC, from 1970-01-01 on
  n     $INT NOT NULL,
  PRIMARY KEY (entry, day)
);
