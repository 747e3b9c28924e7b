-- One event: a connection or a transaction. Only what is searched and listed; the story is beside it.
-- Empty texts are NULL, so that the indexes hold only what can be looked for.
CREATE TABLE event (
  id            INTEGER PRIMARY KEY,  -- milliseconds << 20 | node << 12 | sequence: in the order of time
  ts            INTEGER NOT NULL,     -- milliseconds since 1970: when it began
  kind          INTEGER NOT NULL,     -- 0 connection, 1 transaction
  session       INTEGER NOT NULL,     -- id of the connection
  verdict       INTEGER NOT NULL,     -- accept tag quarantine defer reject drop: 0 to 5
  score         REAL NOT NULL,
  size          INTEGER NOT NULL,     -- octets
  took          INTEGER NOT NULL,     -- milliseconds
  transactions  INTEGER NOT NULL,     -- of the connection, begun
  client        BLOB,                 -- 16 octets, IPv4 mapped, so that a network is a range
  listener      TEXT,
  helo          TEXT,
  mail_from     TEXT,                 -- lower case; NULL for connections, '' for the null reverse-path
  from_domain   TEXT,
  header_from   TEXT,                 -- lower case, the address only, where it differs from mail_from
  header_domain TEXT,                 -- where it differs from from_domain
  rcpts         TEXT,                 -- lower case, a space behind each
  message_id    TEXT,                 -- without angle brackets
  subject       TEXT,                 -- as the domain's policy lets it be kept
  reason        TEXT,
  deciding      TEXT,                 -- the check that decided
  policy        TEXT,
  reply         TEXT,
  next_hop      TEXT,
  ending        TEXT                  -- how the connection ended
);
CREATE INDEX event_session ON event(session) WHERE kind = 1;
CREATE INDEX event_verdict ON event(kind, verdict);
CREATE INDEX event_client ON event(client);
CREATE INDEX event_from ON event(mail_from) WHERE mail_from IS NOT NULL;
CREATE INDEX event_from_domain ON event(from_domain) WHERE from_domain IS NOT NULL;
CREATE INDEX event_header ON event(header_from) WHERE header_from IS NOT NULL;
CREATE INDEX event_header_domain ON event(header_domain) WHERE header_domain IS NOT NULL;
CREATE INDEX event_message_id ON event(message_id) WHERE message_id IS NOT NULL;

CREATE TABLE story (
  id       INTEGER PRIMARY KEY,
  record   TEXT NOT NULL,  -- gateway.Record: all that judging reads
  verdict  TEXT NOT NULL,  -- gateway.Verdict
  rest     TEXT NOT NULL,  -- replies, relay, session
  evidence TEXT            -- of each finding, in their order; shown, never judged
);

CREATE TABLE rcpt (
  rcpt    TEXT NOT NULL,     -- lower case
  id      INTEGER NOT NULL,
  outcome INTEGER NOT NULL,
  code    INTEGER NOT NULL,  -- what RCPT was answered
  PRIMARY KEY (rcpt, id)
) WITHOUT ROWID;

-- Counts, so that a view of traffic never reads rows.
CREATE TABLE minute (
  minute INTEGER NOT NULL,   -- since 1970
  metric TEXT NOT NULL,      -- connection, refused, transaction, early
  n      INTEGER NOT NULL,
  PRIMARY KEY (minute, metric)
) WITHOUT ROWID;

-- Connections refused before the banner.
CREATE TABLE early (
  minute INTEGER NOT NULL,
  net    TEXT NOT NULL,      -- 192.0.2.0/24, 2001:db8::/64, or "other" when there were too many
  reason TEXT NOT NULL,
  n      INTEGER NOT NULL,
  PRIMARY KEY (minute, net, reason)
) WITHOUT ROWID;
