// Package nodes is "gatepost node" of the daemon and of the command line: the daemons that share their control data, and how each
// is. Each says so every ten seconds, off the way of mail; one that is silent is stale, and one that is gone for good is removed.
//
// It asks no other node, and changes none. No RFC applies.
package nodes
