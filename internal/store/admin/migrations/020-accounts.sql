-- Users, and what proves them. What is a user's goes with him. No column holds a secret that lets anybody in: password is a PHC
-- string, totp is sealed with a key that is not here, digests are SHA-256 of what has 80 bits of chance or more.
CREATE TABLE account (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,
  display    TEXT NOT NULL,
  mail       TEXT NOT NULL,
  role       TEXT NOT NULL,
  domains    TEXT NOT NULL, -- JSON; nothing: all
  disabled   $INT NOT NULL,
  epoch      $INT NOT NULL, -- sessions of an earlier one are over
  created    $INT NOT NULL, -- microseconds of UTC, as all times here
  login      $INT NOT NULL, -- the last; 0 for none
  login_from TEXT NOT NULL,
  password   TEXT NOT NULL, -- nothing: none
  totp       $BLOB,
  step       $INT NOT NULL  -- of the last code of TOTP that was taken
);
CREATE TABLE account_recovery (
  account TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  digest  $BLOB NOT NULL,
  PRIMARY KEY (account, digest)
);
CREATE TABLE account_passkey (
  id      $BLOB PRIMARY KEY,
  account TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  name    TEXT NOT NULL,
  data    $BLOB NOT NULL,
  created $INT NOT NULL,
  used    $INT NOT NULL
);
CREATE INDEX account_passkey_account ON account_passkey (account);
CREATE TABLE account_session (
  digest  $BLOB PRIMARY KEY,
  id      TEXT NOT NULL UNIQUE,
  account TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  epoch   $INT NOT NULL,
  created $INT NOT NULL,
  seen    $INT NOT NULL,
  proved  $INT NOT NULL,
  address TEXT NOT NULL,
  agent   TEXT NOT NULL,
  how     TEXT NOT NULL,
  pending $INT NOT NULL, -- 1: waits for its second factor, and is none yet
  data    $BLOB
);
CREATE INDEX account_session_account ON account_session (account, created);
CREATE TABLE account_token (
  digest    $BLOB PRIMARY KEY,
  id        TEXT NOT NULL UNIQUE,
  account   TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  name      TEXT NOT NULL,
  rights    TEXT NOT NULL, -- JSON; nothing: those of the user
  domains   TEXT NOT NULL,
  created   $INT NOT NULL,
  expires   $INT NOT NULL,
  used      $INT NOT NULL,
  used_from TEXT NOT NULL
);
CREATE INDEX account_token_account ON account_token (account, created);
CREATE TABLE account_code (
  account TEXT PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
  digest  $BLOB NOT NULL UNIQUE,
  expires $INT NOT NULL
);
