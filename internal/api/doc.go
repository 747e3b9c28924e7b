// Package api is what operations of the daemon take and return: the types that the command line, the console's pages and the
// API's description share, one file for each noun. What an operation does stands with its noun, in cmd/gatepost/NOUN.
//
// It holds types and how they read in a line, and does nothing. No RFC applies.
package api
