// Package shaping asks how much came from whom lately and who is a stranger: the limits and the greylist, with all that one
// stage of SMTP has to ask of them in one step.
//
// It counts and remembers, and decides nothing. What it keeps lies in this process; with Redis it lies there, shared by all
// nodes, and what this process keeps stands in while Redis is away.
package shaping
