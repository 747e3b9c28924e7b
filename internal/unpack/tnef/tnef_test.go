package tnef

import (
	"flag"
	"testing"

	"gatepost/internal/lab/unpacktest"
	"gatepost/internal/unpack"
)

var update = flag.Bool("update", false, "write the reports of testdata anew")

func plenty() unpack.Limits { return unpacktest.Plenty() }

// look walks one content.
func look(t testing.TB, l unpack.Limits, name string, content []byte) unpack.Report {
	t.Helper()
	return unpacktest.Formats(Formats()).Look(t, l, name, content)
}

// TestCases: each document of testdata, and each that a generator of this package writes, is reported as its file says.
func TestCases(t *testing.T) {
	cases := generated()
	unpacktest.Formats(Formats()).Cases(t, *update, cases)
}

// TestCut: a document that ends anywhere is read as far as it goes, and one that chance changes ends the walk in no other way
// than a good one.
func TestCut(t *testing.T) { unpacktest.Formats(Formats()).Cut(t, 40, generated()) }
