-- Public keys by which users come in by SSH. They go with their user.
CREATE TABLE account_sshkey (
  id          TEXT PRIMARY KEY,
  account     TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  name        TEXT NOT NULL,
  kind        TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  data        $BLOB NOT NULL,
  created     $INT NOT NULL, -- microseconds of UTC
  used        $INT NOT NULL, -- 0 for never
  used_from   TEXT NOT NULL,
  UNIQUE (account, fingerprint)
);
