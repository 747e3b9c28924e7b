// Package journal takes what happened to each connection and each transaction, and tells it: as one JSON line on stdout, to
// syslog (RFC 5424, over a local socket, UDP, or TCP with the octet counting of RFC 6587), as Prometheus metrics, to a store
// that can be searched, and, when somebody asks why, as a readable story.
//
// It never makes the mail path wait: each sink has a bounded queue of its own, and what finds no room is counted. It never
// judges and never changes an event. No line holds a control octet, whatever a stranger sent.
//
// # The line
//
// One object a line; fields in this order, those that are empty left out:
//
//	time         RFC 3339 with milliseconds, UTC: when the connection or transaction began
//	kind         a Verb: connection, transaction, early, or what the daemon did
//	id           the reference
//	session      reference of the connection (transactions)
//	listener     name of the listener
//	client       address; with port where known
//	reverse      its verified name
//	helo, tls    what it said of itself; the TLS version
//	tls_cipher, tls_group   the names of both (connections)
//	tls_resumed  true: it went on by a session ticket (connections)
//	tls_cert     SHA-256 of the certificate that the client gave, in hexadecimal
//	from         reverse-path; "" is the null path (transactions)
//	rcpts        recipients, at most 50; rcpts_more says how many more
//	sent         addresses that their mail was sent on to by aliases and the like, each once; sent_more likewise
//	header_from  the From field as it came
//	size         octets of the message
//	requiretls   true: the sender asked for verified TLS all the way (RFC 8689)
//	message_id, subject
//	verdict      accept, tag, quarantine, defer, reject or drop
//	reason, check, line   why, who decided, and the policy line
//	score        sum of points
//	policy       version
//	would        what the verdict would be with every check and the mode in force
//	waived       the allow entry that overruled opinions
//	marks        checks that could not tell and were let pass
//	findings     [check, result, measures, milliseconds, reason], where measures are [name, value, text]; at most 64, then
//	             findings_more. Checks that are switched off are left out
//	relay        delivered, refused, deferred, mixed, unknown, not delivered
//	next_hop     host:port that answered
//	next_hop_tls version and cipher towards it, and how it was verified
//	said         its own reply
//	edits        what was done to the message on its way out: its subject, parts taken out, banners, a seal; at most 20, then edits_more
//	spooled      why it went to the spool, which has it
//	again        true: all recipients have it from an earlier attempt of the sender, and it was not relayed
//	reply        the last word to the client
//	transactions, accepted, errors, commands, octets, refused, end   what a connection came to
//	took_ms      milliseconds from the beginning to the last word
//
// A line is at most 16 KiB; a longer one is written again without findings and with fewer recipients, marked "cut": true.
package journal
