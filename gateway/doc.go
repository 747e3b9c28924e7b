// Package gateway holds the words of Gatepost: what a session, an envelope, a check, a finding, a policy and a verdict
// are, the pipeline that runs checks, the one function that judges, and the ports that the edges fill.
//
// A message moves one way: edge, facts, findings, verdict, next hop, journal. Checks only report what they saw; only
// Policy.Judge prices and decides, and it reads nothing but a Record, so that a stored Record can be judged again.
//
// The package imports the standard library only. It never opens a connection, never reads a file, never logs, and never
// looks at the clock to decide: time comes in with the Record. The replies follow RFC 5321 and RFC 3463.
package gateway
