-- A day's file as the first version left it (user_version 1).
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
CREATE TABLE minute (
  minute INTEGER NOT NULL,   -- since 1970
  metric TEXT NOT NULL,      -- connection, refused, transaction, early
  n      INTEGER NOT NULL,
  PRIMARY KEY (minute, metric)
) WITHOUT ROWID;
CREATE TABLE early (
  minute INTEGER NOT NULL,
  net    TEXT NOT NULL,      -- 192.0.2.0/24, 2001:db8::/64, or "other" when there were too many
  reason TEXT NOT NULL,
  n      INTEGER NOT NULL,
  PRIMARY KEY (minute, net, reason)
) WITHOUT ROWID;
INSERT INTO event VALUES (1882369032192000001,1795167000000,0,1882369032192000001,0,0.0,0,0,2,X'00000000000000000000FFFFC0000219','mx','x',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'quit');
INSERT INTO event VALUES (1882369033240576003,1795167001000,1,1882369032192000001,0,4.1,10240,420,1,X'00000000000000000000FFFFC0000219','mx','mail.sender.example','ann@sender.example','sender.example',NULL,NULL,'bob@one.example ','1882369033240576003@sender.example','Invoice 4711',NULL,NULL,'4f2a91','250 2.0.0 Ok: queued as 4ABC. Reference 1M7W4-N6D80-003K','192.0.2.10:25',NULL);
INSERT INTO event VALUES (1882369034289152005,1795167002000,1,1882369032192000001,4,4.1,10240,420,1,X'00000000000000000000FFFFC0000219','mx','mail.sender.example','bounce-1@bulk.example','bulk.example',NULL,NULL,'carl@two.example ','1882369034289152005@sender.example','Invoice 4711',NULL,NULL,'4f2a91','250 2.0.0 Ok: queued as 4ABC. Reference 1M7W4-N7CG0-005B','192.0.2.10:25',NULL);
INSERT INTO event VALUES (1882369095106560006,1795167060000,0,1882369095106560006,5,0.0,0,0,0,X'00000000000000000000FFFFC6336409','mx','x',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'quit');
INSERT INTO story VALUES (1882369032192000001,'{"id":"1M7W4-N5E00-001V","session":"1M7W4-N5E00-001V","time":"2026-11-20T09:30:00Z","stage":"connect","listener":"mx","client":"192.0.2.25","helo":"x","from":"","findings":null}','{"outcome":"accept","stage":"connect","score":0,"reply":{"code":0}}','{"policy":"","reply":{"code":0},"took":0,"session":{"client":"192.0.2.25:4000","tls":{},"end":"quit","transactions":2,"accepted":0,"errors":0,"commands":2,"octets":0}}',NULL);
INSERT INTO story VALUES (1882369033240576003,'{"id":"1M7W4-N6D80-003K","session":"1M7W4-N5E00-001V","time":"2026-11-20T09:30:01Z","stage":"data","listener":"mx","client":"192.0.2.25","tls":"TLS1.3","helo":"mail.sender.example","from":"Ann@sender.example","rcpts":[{"to":"bob@one.example","route":"main","code":250}],"size":10240,"header_from":"Ann Sender \u003cAnn@sender.example\u003e","findings":[{"c":"access","s":"connect","r":-1,"is":"pass","took":1234000},{"c":"rdns","s":"connect","r":-1,"is":"fail","why":"rdns.none","args":["192.0.2.25"],"m":[{"n":"no_ptr","v":1}],"took":1234000},{"c":"helo","s":"helo","r":-1,"is":"pass","took":1234000},{"c":"sender","s":"mail","r":-1,"is":"pass","took":1234000},{"c":"rcpt","s":"rcpt","r":0,"is":"pass","took":1234000},{"c":"shape","s":"data","r":-1,"is":"pass","took":1234000},{"c":"clamav","s":"data","r":-1,"is":"pass","took":1234000},{"c":"spamassassin","s":"data","r":-1,"is":"pass","m":[{"n":"spamd","v":3.2},{"n":"rule","v":1.1,"t":"DKIM_ADSP_NXDOMAIN"},{"n":"rule","v":0.5,"t":"HTML_MESSAGE"},{"n":"rule","v":1.6,"t":"MISSING_MID"}],"took":1234000}]}','{"outcome":"accept","stage":"data","score":4.1,"rcpts":[{"outcome":"accept"}],"priced":[{"check":"rdns","measure":"no_ptr","points":2,"line":"checks.rdns.prices.no_ptr = 2 (default)"},{"check":"spamassassin","measure":"spamd","points":2.1,"line":"checks.spamassassin.prices.spamd = 1 (default)"}],"reply":{"code":0}}','{"policy":"4f2a91","reply":{"code":250,"enhanced":"2.0.0","text":"Ok: queued as 4ABC. Reference 1M7W4-N6D80-003K"},"took":420000000,"session":{"client":"192.0.2.25:41000","tls":{},"transactions":1,"accepted":0,"errors":0,"commands":5,"octets":0},"subject":"Invoice 4711","message_id":"\u003c1882369033240576003@sender.example\u003e","relayed":{"result":"delivered","reply":{"code":250,"enhanced":"2.0.0","text":"Ok: queued as 4ABC"},"next_hop":"192.0.2.10:25","said":"250 2.0.0 Ok: queued as 4ABC","at":"dot","took":80000000},"replies":[{"code":250,"enhanced":"2.1.5","text":"Recipient noted"}],"removed":["X-Spam-Status: No"],"scanned_by":["ClamAV 1.4.3/27600","SpamAssassin 4.0.0"]}','[null,[{"n":"dns","t":"25.2.0.192.in-addr.arpa PTR: NXDOMAIN"}],null,[{"n":"dns","t":"sender.example MX: 10 mail.sender.example"}],[{"n":"reply","t":"250 2.1.5 Ok"}],null,[{"n":"scanner","t":"ClamAV 1.4.3/27600"}],[{"n":"rules","t":"DKIM_ADSP_NXDOMAIN,HTML_MESSAGE,MISSING_MID"}]]');
INSERT INTO story VALUES (1882369034289152005,'{"id":"1M7W4-N7CG0-005B","session":"1M7W4-N5E00-001V","time":"2026-11-20T09:30:02Z","stage":"data","listener":"mx","client":"192.0.2.25","tls":"TLS1.3","helo":"mail.sender.example","from":"bounce-1@bulk.example","rcpts":[{"to":"carl@two.example","route":"main","code":250}],"size":10240,"header_from":"Ann Sender \u003cbounce-1@bulk.example\u003e","findings":[{"c":"access","s":"connect","r":-1,"is":"pass","took":1234000},{"c":"rdns","s":"connect","r":-1,"is":"fail","why":"rdns.none","args":["192.0.2.25"],"m":[{"n":"no_ptr","v":1}],"took":1234000},{"c":"helo","s":"helo","r":-1,"is":"pass","took":1234000},{"c":"sender","s":"mail","r":-1,"is":"pass","took":1234000},{"c":"rcpt","s":"rcpt","r":0,"is":"pass","took":1234000},{"c":"shape","s":"data","r":-1,"is":"pass","took":1234000},{"c":"clamav","s":"data","r":-1,"is":"pass","took":1234000},{"c":"spamassassin","s":"data","r":-1,"is":"pass","m":[{"n":"spamd","v":3.2},{"n":"rule","v":1.1,"t":"DKIM_ADSP_NXDOMAIN"},{"n":"rule","v":0.5,"t":"HTML_MESSAGE"},{"n":"rule","v":1.6,"t":"MISSING_MID"}],"took":1234000}]}','{"outcome":"accept","stage":"data","score":4.1,"rcpts":[{"outcome":"accept"}],"priced":[{"check":"rdns","measure":"no_ptr","points":2,"line":"checks.rdns.prices.no_ptr = 2 (default)"},{"check":"spamassassin","measure":"spamd","points":2.1,"line":"checks.spamassassin.prices.spamd = 1 (default)"}],"reply":{"code":0}}','{"policy":"4f2a91","reply":{"code":250,"enhanced":"2.0.0","text":"Ok: queued as 4ABC. Reference 1M7W4-N7CG0-005B"},"took":420000000,"session":{"client":"192.0.2.25:41000","tls":{},"transactions":1,"accepted":0,"errors":0,"commands":5,"octets":0},"subject":"Invoice 4711","message_id":"\u003c1882369034289152005@sender.example\u003e","relayed":{"result":"refused","reply":{"code":250,"enhanced":"2.0.0","text":"Ok: queued as 4ABC"},"next_hop":"192.0.2.10:25","said":"250 2.0.0 Ok: queued as 4ABC","at":"dot","took":80000000},"replies":[{"code":250,"enhanced":"2.1.5","text":"Recipient noted"}],"removed":["X-Spam-Status: No"],"scanned_by":["ClamAV 1.4.3/27600","SpamAssassin 4.0.0"]}','[null,[{"n":"dns","t":"25.2.0.192.in-addr.arpa PTR: NXDOMAIN"}],null,[{"n":"dns","t":"sender.example MX: 10 mail.sender.example"}],[{"n":"reply","t":"250 2.1.5 Ok"}],null,[{"n":"scanner","t":"ClamAV 1.4.3/27600"}],[{"n":"rules","t":"DKIM_ADSP_NXDOMAIN,HTML_MESSAGE,MISSING_MID"}]]');
INSERT INTO story VALUES (1882369095106560006,'{"id":"1M7W4-Q0100-006A","session":"1M7W4-Q0100-006A","time":"2026-11-20T09:31:00Z","stage":"connect","listener":"mx","client":"198.51.100.9","helo":"x","from":"","findings":null}','{"outcome":"drop","stage":"connect","score":0,"reply":{"code":0}}','{"policy":"","reply":{"code":0},"took":0,"session":{"client":"198.51.100.9:4000","tls":{},"end":"quit","transactions":0,"accepted":0,"errors":0,"commands":2,"octets":0}}',NULL);
INSERT INTO rcpt VALUES ('bob@one.example',1882369033240576003,0,250);
INSERT INTO rcpt VALUES ('carl@two.example',1882369034289152005,0,250);
INSERT INTO minute VALUES (29919450,'connection',1);
INSERT INTO minute VALUES (29919450,'early',12);
INSERT INTO minute VALUES (29919450,'transaction',2);
INSERT INTO minute VALUES (29919451,'connection',1);
INSERT INTO minute VALUES (29919451,'refused',1);
INSERT INTO early VALUES (29919450,'203.0.113.0/24','smtp.too_many_connections',12);
PRAGMA user_version = 1;
