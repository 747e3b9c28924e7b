// Package archtest holds the import rules of the project as a test: what is not drawn in the table is forbidden. It has
// no code of its own.
package archtest
