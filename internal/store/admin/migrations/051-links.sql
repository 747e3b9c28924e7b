-- Further addresses that users of the portal see as their own.
CREATE TABLE portal_link (
  id      $ID,
  owner   TEXT NOT NULL,   -- who sees the address: local@domain in lower case
  address TEXT NOT NULL,   -- local@domain in lower case
  time    $INT NOT NULL,   -- when it was proved, in microseconds of UTC
  UNIQUE (owner, address)
);
CREATE INDEX portal_link_address ON portal_link (address);
