// Package e2e holds tests that drive the gatepost program as a process, from the
// outside: dialog scripts that a mail admin can read, tricks to make it relay, and
// faults of everything around it. What surrounds the daemon comes from internal/lab.
//
// It has no code of its own and asks the daemon only what anybody can see: its
// replies, what arrives at the next hop, its journal on stdout, and its exit code.
// It never reads the daemon's state folder.
package e2e
