// Package weekly is the report of the week: what came, what was stopped and why, what was let go, what was wrong, and what soon counts
// no more. It is mailed by the smarthost of alarms, and shown by gatepost report weekly.
//
// It is text: a report is read where alarms are, in any client, and nothing of it needs a picture. No RFC applies.
package weekly
