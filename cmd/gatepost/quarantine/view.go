package quarantine

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gatepost/gateway/quarantine"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
)

// maxViewLine bounds a line that is shown.
const maxViewLine = 2000

// keptView shows a message itself, as text: HTML is shown as it is written, and nothing is opened or fetched.
func keptView(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "quarantine view")
	raw := f.Bool("raw", false, "")
	why := f.String("why", "", "")
	id, ok := oneKept(e, f, args)
	if !ok {
		return cli.Usage
	}
	in := &api.KeptLook{ID: id.String(), Why: *why}
	if *raw {
		file, err := cli.Call[control.File](ctx, e, f, rawQuestion(), in)
		if err != nil {
			return cli.Complain(e, "quarantine view", err)
		}
		_, _ = e.Out.Write(file.Data) // who no longer reads needs no message
		return cli.Done
	}
	l, err := cli.Call[quarantine.Looked](ctx, e, f, viewQuestion(), in)
	return cli.Reply(e, f, "quarantine view", l, err, func(l *quarantine.Looked) { printView(e.Out, l) })
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
	out, err := cli.Call[api.Expired](ctx, e, f, expireQuestion(), &struct{}{})
	if err != nil {
		return cli.Complain(e, "quarantine expire", err)
	}
	fmt.Fprintf(e.Err, "%d %s erased, whose time was over\n", out.Expired, cli.Plural(out.Expired, "message was", "messages were"))
	return cli.Done
}

// keptClear opens the quarantine again after its disk failed.
func keptClear(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "quarantine clear-latch")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	out, err := cli.Call[api.Was](ctx, e, f, clearQuestion(), &struct{}{})
	if err != nil {
		return cli.Complain(e, "quarantine clear-latch", err)
	}
	fmt.Fprintf(e.Err, "the disk took and flushed a file: mail is quarantined again (it was shut since: %s)\n", out.Was)
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
		var out *api.KeptKeys
		var err error
		switch verb {
		case "list":
			out, err = cli.Call[api.KeptKeys](ctx, e, f, keysQuestion(), &struct{}{})
		case "forget":
			out, err = cli.Call[api.KeptKeys](ctx, e, f, forgetQuestion(), &api.KeptKey{Key: rest[0]})
		default:
			out, err = cli.Call[api.KeptKeys](ctx, e, f, rotateQuestion(), &struct{}{})
		}
		if err != nil {
			return cli.Complain(e, name, err)
		}
		keys := out.Keys
		if f.JSON {
			return cli.JSONLines(e, keys)
		}
		for _, k := range keys {
			fmt.Fprintf(e.Out, "%s  made %s  %s messages%s\n", k.ID, cli.Stamp(k.Made), strconv.Itoa(k.Messages), map[bool]string{true: "  in use", false: ""}[k.InUse])
		}
		return cli.Done
	}
}
