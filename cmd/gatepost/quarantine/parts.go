package quarantine

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"gatepost/gateway/quarantine"
	"gatepost/internal/cli"
	"gatepost/internal/mime"
)

// maxViewText bounds the lines of one part that are shown.
const maxViewText = 2000

// printParts shows what the message is made of, then each of its texts, decoded. HTML is text as well: nobody draws it.
func printParts(w io.Writer, l *quarantine.Looked) {
	tree, err := mime.Walk(mime.Bytes(l.Message), mime.DefaultLimits())
	if err != nil {
		fmt.Fprintf(w, "\n(what it is made of cannot be told: %s)\n", cli.Shown(err.Error(), 200))
		return
	}
	fmt.Fprintln(w, "\nParts:")
	for line := range strings.Lines(tree.String()) {
		fmt.Fprintln(w, "  "+cli.Shown(strings.TrimSuffix(line, "\n"), maxViewLine))
	}
	for i := range tree.Parts {
		p := &tree.Parts[i]
		if !p.Leaf {
			continue
		}
		err := tree.Text(i, func(text []byte) {
			if len(text) > 0 {
				printText(w, p, text)
			}
		})
		if err != nil {
			fmt.Fprintf(w, "\n(%s)\n", cli.Shown(err.Error(), 200))
		}
	}
}

func printText(w io.Writer, p *mime.Part, text []byte) {
	fmt.Fprintf(w, "\nText of %s (%s):\n", orRoot(p.Path), cli.Shown(p.Type, 100))
	n := 0
	for line := range bytes.Lines(text) {
		if n++; n > maxViewText {
			fmt.Fprintln(w, "  ...")
			break
		}
		fmt.Fprintln(w, "  "+cli.Shown(string(bytes.TrimRight(line, "\r\n")), maxViewLine))
	}
	if p.Cut {
		fmt.Fprintln(w, "  (and more)")
	}
}

func orRoot(path string) string {
	if path == "" {
		return "the message"
	}
	return path
}
