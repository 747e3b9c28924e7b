// Package console is the operators' web interface: pages that explain mail, and below /api/v1 the same operations for programs.
// Everything works without script; a change is always a form that a person submits.
//
// Whatever comes from mail is text: escaped by html/template, isolated from the direction of what stands around it, cut with a
// way to see all. The package knows no database and no password: its Accounts and its Log do. It never waits on the mail path.
package console
