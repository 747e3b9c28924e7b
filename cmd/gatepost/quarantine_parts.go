package main

import (
	"fmt"
	"io"
	"strings"

	"gatepost/gateway/quarantine"
)

// printParts shows what stands behind the header section, line by line as it came.
func printParts(w io.Writer, l *quarantine.Looked) {
	for line := range strings.SplitSeq(string(l.Message[min(l.Header, len(l.Message)):]), "\r\n") {
		fmt.Fprintln(w, shownText(line, maxViewLine))
	}
}
