-- Alarms of all nodes. What a node has at hand is the truth; these rows are for the others.
CREATE TABLE alarm (
  node     TEXT NOT NULL,   -- whose alarm it is
  id       TEXT NOT NULL,
  standing $INT NOT NULL,   -- 1 until it is over
  since    $INT NOT NULL,   -- microseconds of UTC
  body     TEXT NOT NULL,   -- JSON
  PRIMARY KEY (node, id)
);
