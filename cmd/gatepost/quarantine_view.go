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

	"gatepost/gateway/quarantine"
	"gatepost/internal/cli"
)

// maxViewLine bounds a line that is shown.
const maxViewLine = 2000

// keptView shows a message itself, as text: HTML is shown as it is written, and nothing is opened or fetched.
func keptView(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "quarantine view")
	raw := f.Bool("raw", false, "")
	id, ok := oneKept(e, f, args)
	if !ok {
		return cli.Usage
	}
	how := map[bool]string{true: "raw", false: "view"}[*raw]
	l, err := lookAt(ctx, e, f.Config, id, how)
	if err != nil {
		return cli.Complain(e, "quarantine view", err)
	}
	switch {
	case *raw:
		_, _ = e.Out.Write(l.Message) // who no longer reads needs no message
	case f.JSON:
		if json.NewEncoder(e.Out).Encode(l) != nil {
			return cli.Found
		}
	default:
		printView(e.Out, l)
	}
	return cli.Done
}

// printView shows the header section, what the message is made of, and its text.
func printView(w io.Writer, l *quarantine.Looked) {
	header := l.Message[:min(l.Header, len(l.Message))]
	for line := range strings.SplitSeq(strings.TrimSuffix(string(header), "\r\n"), "\r\n") {
		fmt.Fprintln(w, cli.Shown(line, maxViewLine))
	}
	printParts(w, l)
	if int64(len(l.Message)) < l.Row.Size {
		fmt.Fprintf(w, "\n(the first %d of %d octets; gatepost quarantine view --raw has all of it)\n", len(l.Message), l.Row.Size)
	}
}

// keptExpire erases now what was kept for long enough.
func keptExpire(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "quarantine expire")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	var out map[string]int
	if err := cli.Ask(ctx, e, f.Config, http.MethodPost, "/quarantine/expire", &out); err != nil {
		return cli.Complain(e, "quarantine expire", err)
	}
	fmt.Fprintf(e.Err, "%d %s erased, whose time was over\n", out["expired"], cli.Plural(out["expired"], "message was", "messages were"))
	return cli.Done
}

// keptClear opens the quarantine again after its disk failed.
func keptClear(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "quarantine clear-latch")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	var out map[string]string
	if err := cli.Ask(ctx, e, f.Config, http.MethodPost, "/quarantine/clear?"+url.Values{"by": {cli.By()}}.Encode(), &out); err != nil {
		return cli.Complain(e, "quarantine clear-latch", err)
	}
	fmt.Fprintf(e.Err, "the disk took and flushed a file: mail is quarantined again (it was shut since: %s)\n", out["was"])
	return cli.Done
}

// keptKeys makes the commands about the keys of the installation.
func keptKeys(verb string) func(context.Context, cli.Env, []string) int {
	return func(ctx context.Context, e cli.Env, args []string) int {
		name := "quarantine key " + verb
		f := cli.NewFlags(e, name)
		rest, ok := f.Read(e, args, 1)
		if !ok || (verb == "forget") != (len(rest) == 1) {
			if ok {
				fmt.Fprintf(e.Err, "gatepost %s: %s\n", name, map[bool]string{true: "which key? gatepost quarantine key list shows them", false: "takes no argument"}[verb == "forget"])
			}
			return cli.Usage
		}
		v, method := url.Values{"by": {cli.By()}}, http.MethodPost
		switch verb {
		case "list":
			method = http.MethodGet
		case "forget":
			v.Set("forget", rest[0])
		}
		var keys []quarantine.KeyInfo
		if err := cli.Ask(ctx, e, f.Config, method, "/quarantine/keys?"+v.Encode(), &keys); err != nil {
			return cli.Complain(e, name, err)
		}
		if f.JSON {
			return cli.JSONLines(e, keys)
		}
		for _, k := range keys {
			fmt.Fprintf(e.Out, "%s  made %s  %s messages%s\n", k.ID, cli.Stamp(k.Made), strconv.Itoa(k.Messages), map[bool]string{true: "  in use", false: ""}[k.InUse])
		}
		return cli.Done
	}
}
