package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatepost/gateway/quarantine"
)

// shownText is text of strangers that a terminal can be shown: what is not to be seen, or changes the direction of what is
// around it, reads as "?".
func shownText(text string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > most {
			b.WriteString("...")
			break
		}
		switch {
		case r == '\t':
			r = ' '
		case r == utf8.RuneError, !unicode.IsPrint(r), unicode.Is(unicode.Bidi_Control, r):
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// maxViewLine bounds a line that is shown.
const maxViewLine = 2000

// keptView shows a message itself, as text: HTML is shown as it is written, and nothing is opened or fetched.
func keptView(ctx context.Context, e env, args []string) int {
	f := newFlags(e, "quarantine view")
	raw := f.Bool("raw", false, "")
	id, ok := oneKept(e, f, args)
	if !ok {
		return exitUsage
	}
	how := map[bool]string{true: "raw", false: "view"}[*raw]
	l, err := lookAt(ctx, e, f.config, id, how)
	if err != nil {
		return complain(e, "quarantine view", err)
	}
	switch {
	case *raw:
		_, _ = e.out.Write(l.Message) // who no longer reads needs no message
	case f.json:
		if json.NewEncoder(e.out).Encode(l) != nil {
			return exitFound
		}
	default:
		printView(e.out, l)
	}
	return exitDone
}

// printView shows the header section, what the message is made of, and its text.
func printView(w io.Writer, l *quarantine.Looked) {
	header := l.Message[:min(l.Header, len(l.Message))]
	for line := range strings.SplitSeq(strings.TrimSuffix(string(header), "\r\n"), "\r\n") {
		fmt.Fprintln(w, shownText(line, maxViewLine))
	}
	printParts(w, l)
	if int64(len(l.Message)) < l.Row.Size {
		fmt.Fprintf(w, "\n(the first %d of %d octets; gatepost quarantine view --raw has all of it)\n", len(l.Message), l.Row.Size)
	}
}

// keptExpire erases now what was kept for long enough.
func keptExpire(ctx context.Context, e env, args []string) int {
	f := newFlags(e, "quarantine expire")
	if _, ok := f.read(e, args, 0); !ok {
		return exitUsage
	}
	var out map[string]int
	if err := ask(ctx, e, f.config, http.MethodPost, "/quarantine/expire", &out); err != nil {
		return complain(e, "quarantine expire", err)
	}
	fmt.Fprintf(e.errOut, "%d %s erased, whose time was over\n", out["expired"], plural(out["expired"], "message was", "messages were"))
	return exitDone
}

// keptClear opens the quarantine again after its disk failed.
func keptClear(ctx context.Context, e env, args []string) int {
	f := newFlags(e, "quarantine clear-latch")
	if _, ok := f.read(e, args, 0); !ok {
		return exitUsage
	}
	var out map[string]string
	if err := ask(ctx, e, f.config, http.MethodPost, "/quarantine/clear?"+url.Values{"by": {whoAsks()}}.Encode(), &out); err != nil {
		return complain(e, "quarantine clear-latch", err)
	}
	fmt.Fprintf(e.errOut, "the disk took and flushed a file: mail is quarantined again (it was shut since: %s)\n", out["was"])
	return exitDone
}

// keptKeys makes the commands about the keys of the installation.
func keptKeys(verb string) func(context.Context, env, []string) int {
	return func(ctx context.Context, e env, args []string) int {
		name := "quarantine key " + verb
		f := newFlags(e, name)
		rest, ok := f.read(e, args, 1)
		if !ok || (verb == "forget") != (len(rest) == 1) {
			if ok {
				fmt.Fprintf(e.errOut, "gatepost %s: %s\n", name, map[bool]string{true: "which key? gatepost quarantine key list shows them", false: "takes no argument"}[verb == "forget"])
			}
			return exitUsage
		}
		v, method := url.Values{"by": {whoAsks()}}, http.MethodPost
		switch verb {
		case "list":
			method = http.MethodGet
		case "forget":
			v.Set("forget", rest[0])
		}
		var keys []quarantine.KeyInfo
		if err := ask(ctx, e, f.config, method, "/quarantine/keys?"+v.Encode(), &keys); err != nil {
			return complain(e, name, err)
		}
		if f.json {
			return jsonLines(e, keys)
		}
		for _, k := range keys {
			fmt.Fprintf(e.out, "%s  made %s  %s messages%s\n", k.ID, stamp(k.Made), strconv.Itoa(k.Messages), map[bool]string{true: "  in use", false: ""}[k.InUse])
		}
		return exitDone
	}
}
