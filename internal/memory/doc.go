// Package memory keeps in the process what is remembered from one message to the next: of clients, who passed the tests of
// the gate and who failed them (gateway.Memory); of author domains, of the ways that mail takes, and of ARC sealers, what
// DMARC's defaults need (filters.Known); of clients, networks, organisations and domains, what came of their mail
// (reputation.Store). All of it is bounded, forgets by itself, and survives a restart through a store,
// which is written behind about every second and read once at the start. A kill may lose the last second, and of mere
// counts the last minute; a store that fails loses what it would have kept, and never makes anybody wait.
//
// It never decides: it keeps until when, since when and how often. No RFC applies.
package memory
