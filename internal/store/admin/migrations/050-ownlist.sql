-- Whom recipients themselves want to hear of, or not. The revision is one row, and grows with each change.
CREATE TABLE own_list (
  rcpt   TEXT NOT NULL,   -- local@domain in lower case
  sender TEXT NOT NULL,   -- user@domain or @domain, in lower case
  kind   TEXT NOT NULL,   -- allow, block
  time   $INT NOT NULL,   -- microseconds of UTC
  PRIMARY KEY (rcpt, sender)
);
CREATE TABLE own_list_revision (
  one    $INT PRIMARY KEY CHECK (one = 1),
  number $INT NOT NULL
);
