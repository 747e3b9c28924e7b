// Package hits counts how often entries of allow and block lists are met, those of the policy and those of recipients' own
// lists, and how often rules of the policy match. It reads what checks found and what was decided, after the reply, and keeps the numbers in memory until a store takes them, in batches: no
// mail waits for it. A process that is killed loses what it counted since the last batch.
//
// It never judges. No RFC applies.
package hits
