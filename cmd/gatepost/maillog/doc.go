// Package maillog is what can be asked of the message log: to search it, to tell the story of a reference, to follow it, and
// to count what came. Commands, the API and the console's pages ask the same operations, which show of mail to several
// recipients only what is of the domains that the actor sees.
//
// It never writes, and what follows the log never makes it wait. No RFC applies.
package maillog
