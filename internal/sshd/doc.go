// Package sshd is a small door by SSH: a person with a key comes in, and may run commands of the program that it is part of.
//
// It follows RFC 4252 to 4254 with one way in, a public key, and one type of channel, a session, in which a client has one command
// run (exec) or types them (shell). Passwords, keyboard-interactive, none, forwarding of ports, of agents and of X11, subsystems,
// and variables of the environment are refused. There is no shell of the system behind it, no user of the system, and no file.
//
// It never decides who comes in or what he may: its Server asks. Golang.org/x/crypto/ssh speaks the protocol, and
// golang.org/x/term edits lines.
package sshd
