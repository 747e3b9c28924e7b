// Package postfix reads a Postfix configuration as far as it can be read from text: main.cf, master.cf, and the look-up
// tables that they name, from the text beside their databases. It yields facts, each with its file and line, and what
// Postfix would answer for a key; it judges nothing, executes nothing, opens no database, and follows no pipe or device.
// The syntax is that of postconf(5), master(5), access(5), transport(5), regexp_table(5), pcre_table(5), cidr_table(5) and
// DATABASE_README of Postfix 3.7. It knows nothing of Gatepost.
package postfix

import (
	"errors"
	"fmt"
)

// Bounds of what is read.
const (
	MaxFile    = 16 << 20 // octets of one file
	maxAll     = 64 << 20 // octets of all files
	maxDepth   = 20       // of $name in $name, of lists in lists, of classes in classes
	maxText    = 1 << 20  // octets of one expanded value
	maxEntries = 500_000  // of one table
)

// Place is where something stands. File is as Postfix knows it: relative to the configuration folder, or absolute.
type Place struct {
	File string
	Line int // from 1; 0: the file itself, or a default of Postfix
}

func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Fault is something that could not be read.
type Fault struct {
	At   Place
	What string // the text, cut
	Why  string
}

// Errors of look-up tables.
var (
	ErrNoText   = errors.New("the kind of table has no text to read")
	ErrTooLarge = errors.New("larger than 16 MiB")
	ErrTooMuch  = errors.New("all files together are larger than 64 MiB")
	ErrNoFile   = errors.New("not a regular file")
	ErrOutside  = errors.New("outside of the configuration folder, and no --root says where it is")
)
