// Package confusable tells which names look like others: letters that are taken for one another, names that differ by a slip
// of the finger, and names that carry another in them. It works in the manner of UTS 39 with a table of its own
// (skeleton.go), which covers the scripts and letters that names of domains are imitated with: Latin with its diacritics,
// Cyrillic, Greek, Armenian, Cherokee in part, full-width and mathematical letters, digits and pairs of letters. It asks nobody
// anything.
//
// UTS 39, RFC 5890.
package confusable
