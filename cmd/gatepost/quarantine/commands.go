package quarantine

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
	"gatepost/internal/api"
	"gatepost/internal/cli"
)

// Commands are those of the quarantine.
func Commands() []cli.Command {
	const (
		picks  = "ID... | [--from A] [--to A] [--rcpt A] [--subject TEXT] [--reason R] [--class C] [--state S] [--reported spam|ham] [--since T] [--until T] [--older T] [--damaged] [--all] [--dry-run]"
		states = "S: visible, releasing, released, deleted. C: spam, other, unscanned, dmarc, impersonation, attachment, malware. T: 2h, 3d, 14:30, 2026-11-23. R: the beginning of a reason. A, TEXT: a part of it; --rcpt A: exactly, and of each message only his copy is released or deleted; --from '<>': bounces. --only: these recipients"
	)
	return []cli.Command{
		{Words: "quarantine list", Args: "[--from A] [--to A] [--rcpt A] [--subject TEXT] [--reason R] [--class C] [--state S] [--reported spam|ham] [--since T] [--until T] [--damaged] [--before ID] [--limit N] [--config PATH] [--json]", Doc: "list mail in quarantine, the newest first", Run: keptListing, Note: states},
		{Words: "quarantine show", Args: "ID [--config PATH] [--json]", Doc: "tell all that is known of a message in quarantine, and nothing of what is in it", Run: keptShow},
		{Words: "quarantine view", Args: "ID [--raw] [--why TEXT] [--config PATH] [--json]", Doc: "show a message in quarantine as text, which the journal notes; --raw: the message itself", Run: keptView},
		{Words: "quarantine release", Args: picks + " [--only A,...] [--other A] [--force] [--allow|--allow-client] [--why TEXT] [--expires DAY] [--config PATH] [--json]", Doc: "deliver messages, after another look for malware; --other: to another address; --allow prints the lines that let their author pass wherever DMARC proves him, --allow-client those for their host", Run: keptChange("release"), Note: states},
		{Words: "quarantine delete", Args: picks + " [--only A,...] [--config PATH] [--json]", Doc: "erase messages, and tell nobody but the journal", Run: keptChange("delete"), Note: states},
		{Words: "quarantine report", Args: picks + " --as spam|ham [--config PATH] [--json]", Doc: "note that messages are spam, or are none", Run: keptChange("report"), Note: states},
		{Words: "quarantine forward", Args: picks + " --analyst A [--config PATH] [--json]", Doc: "send messages to somebody who looks at them, as attachments", Run: keptChange("forward"), Note: states},
		{Words: "quarantine digest", Args: "[--dry-run] [--recipient A] [--send] [--config PATH] [--json]", Doc: "show which recipients would be told now of mail in quarantine, and of one what; --send: tell them", Run: keptDigest},
		{Words: "quarantine expire", Args: "[--config PATH]", Doc: "erase now what was kept for long enough", Run: keptExpire},
		{Words: "quarantine clear-latch", Args: "[--config PATH]", Doc: "quarantine mail again after the disk failed and was mended", Run: keptClear},
		{Words: "quarantine key list", Args: "[--config PATH] [--json]", Doc: "show the keys of the quarantine, and how many messages need each", Run: keptKeys("list")},
		{Words: "quarantine key rotate", Args: "[--config PATH] [--json]", Doc: "make a key for what comes from now on", Run: keptKeys("rotate")},
		{Words: "quarantine key forget", Args: "KEY [--config PATH] [--json]", Doc: "remove a key that no message needs any more", Run: keptKeys("forget")},
	}
}

// keptFlags adds what picks messages in quarantine, and returns the query they make.
func keptFlags(f *cli.Flags) url.Values {
	v := url.Values{}
	for _, name := range [...]string{"from", "to", "rcpt", "subject", "reason"} {
		f.Func(name, "", func(text string) error { v.Set(name, text); return nil })
	}
	f.Func("class", "", func(text string) error {
		v.Set("class", text)
		return new(quarantine.Class).UnmarshalText([]byte(text))
	})
	f.Func("state", "", func(text string) error {
		v.Set("state", text)
		return new(quarantine.State).UnmarshalText([]byte(text))
	})
	f.Func("reported", "", func(text string) error {
		if v.Set("reported", text); text != "spam" && text != "ham" {
			return fmt.Errorf("reported as spam or as ham")
		}
		return nil
	})
	for flag, key := range map[string]string{"since": "since", "until": "until", "older": "until"} {
		f.Func(flag, "", func(text string) error {
			at, err := cli.Moment(text, time.Now())
			if err == nil {
				v.Set(key, at.UTC().Format(time.RFC3339Nano))
			}
			return err
		})
	}
	f.Func("before", "", func(text string) error {
		id, err := gateway.ParseID(text)
		v.Set("cursor", id.String())
		return err
	})
	f.BoolFunc("damaged", "", func(string) error { v.Set("damaged", "true"); return nil })
	f.Func("id", "", func(text string) error { return addID(v, text) })
	return v
}

// all reads page after page, at most so many messages.
func all(ctx context.Context, e cli.Env, f *cli.Flags, v url.Values, most int) (*api.KeptList, error) {
	out := &api.KeptList{}
	v = maps.Clone(v)
	for {
		v.Set("limit", strconv.Itoa(min(most-len(out.Messages), pageAtMost)))
		page, err := cli.CallFields[api.KeptList, api.KeptAsk](ctx, e, f, listQuestion(), v)
		if err != nil {
			return nil, err
		}
		out.Messages, out.Next, out.Status, out.Node = append(out.Messages, page.Messages...), page.Next, page.Status, page.Node
		out.Trouble = cmp.Or(out.Trouble, page.Trouble)
		if v.Set("cursor", page.Next); page.Next == "" || len(out.Messages) >= most {
			return out, ctx.Err()
		}
	}
}

// keptListing shows what lies in quarantine.
func keptListing(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "quarantine list")
	v := keptFlags(f)
	limit := f.Int("limit", keptShown, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	if *limit < 1 || *limit > keptAtMost {
		fmt.Fprintf(e.Err, "gatepost quarantine list: --limit is %d; write a number from 1 to %d\n", *limit, keptAtMost)
		return cli.Usage
	}
	list, err := all(ctx, e, f, v, *limit)
	if err != nil {
		return cli.Complain(e, "quarantine list", err)
	}
	if f.JSON {
		if code := cli.JSONLines(e, list.Messages); code != cli.Done {
			return code
		}
	} else {
		printKept(e.Out, list.Messages)
	}
	if list.Next != "" {
		fmt.Fprintf(e.Err, "there are more: --before %s, a larger --limit, or another filter\n", list.Next)
	}
	if list.Trouble != "" {
		fmt.Fprintln(e.Err, list.Trouble)
	}
	s := list.Status
	if s == nil {
		return cli.Done
	}
	fmt.Fprintf(e.Err, "%d %s, %d of %d octets in all\n", s.Messages, cli.Plural(s.Messages, "message", "messages"), s.Octets, s.Most)
	if s.Unknown > 0 {
		fmt.Fprintf(e.Err, "the index is being made anew: %d messages are not in it yet\n", s.Unknown)
	}
	if s.Latched != "" {
		fmt.Fprintf(e.Err, "nothing more is taken: %s\n", s.Latched)
	}
	return cli.Done
}

// printKept lists messages, the newest first.
func printKept(w io.Writer, list []quarantine.Row) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i := range list {
		r := &list[i]
		why := string(r.Reason)
		switch {
		case r.Damaged != "":
			why = r.Damaged
		case why == "":
			why = fmt.Sprintf("%.1f points", r.Score)
		}
		at := ""
		if r.Node != "" {
			at = ", at " + cli.Shown(r.Node, 64)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t<%s> -> %s\t%s\t%s%s\n", cli.Stamp(r.Arrived), r.ID, r.Class, stateOf(r), r.Size, gateway.CleanText(r.From, 100), rcptsOf(r),
			gateway.CleanText(why, 100), cli.Shown(r.Subject, 60), at)
	}
	t.Flush()
}

// stateOf is the state of all recipients, or that they differ.
func stateOf(r *quarantine.Row) string {
	text := ""
	for i := range r.Rcpts {
		switch s := r.Rcpts[i].State.String(); {
		case text == "":
			text = s
		case text != s:
			text = "mixed"
		}
	}
	if r.Reported != "" {
		text += ", reported as " + r.Reported
	}
	return text
}

func rcptsOf(r *quarantine.Row) string {
	var to []string
	for i := range r.Rcpts {
		if i == 2 && len(r.Rcpts) > 3 {
			return strings.Join(to, ",") + fmt.Sprintf(" and %d more", len(r.Rcpts)-2)
		}
		to = append(to, gateway.CleanText(r.Rcpts[i].Address, 100))
	}
	return strings.Join(to, ",")
}

// oneKept reads the reference of a command that is about one message.
func oneKept(e cli.Env, f *cli.Flags, args []string) (gateway.ID, bool) {
	reference, ok := f.One(e, args, "name the message by its reference; gatepost quarantine list shows them")
	if !ok {
		return 0, false
	}
	id, err := gateway.ParseID(reference)
	if err != nil {
		fmt.Fprintf(e.Err, "%s: %q: %v\n", f.Name(), reference, err)
	}
	return id, err == nil
}

// lookAt asks for what is known of one message.
func lookAt(ctx context.Context, e cli.Env, f *cli.Flags, id gateway.ID) (*quarantine.Looked, error) {
	return cli.Call[quarantine.Looked](ctx, e, f, showQuestion(), &api.KeptID{ID: id.String()})
}

// keptShow tells all that is known of one message, and nothing of what is in it.
func keptShow(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "quarantine show")
	id, ok := oneKept(e, f, args)
	if !ok {
		return cli.Usage
	}
	l, err := lookAt(ctx, e, f, id)
	return cli.Reply(e, f, "quarantine show", l, err, func(l *quarantine.Looked) { printLooked(e.Out, l) })
}

func printLooked(w io.Writer, l *quarantine.Looked) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-12s %s\n", name, value)
		}
	}
	r := &l.Row
	line("Message", r.ID.String()+", "+r.Class.String()+", "+stateOf(r))
	why := string(l.Why.Reason)
	if len(l.Why.Args) > 0 {
		why += " (" + gateway.CleanText(strings.Join(l.Why.Args, ", "), 300) + ")"
	}
	line("Reason", strings.TrimSpace(why+fmt.Sprintf(" %.1f points", r.Score)))
	line("By", strings.TrimSpace(l.Why.Check+" "+l.Why.Line))
	line("From", "<"+gateway.CleanText(r.From, 320)+">")
	line("Author", gateway.CleanText(r.Author, 320))
	line("Subject", cli.Shown(r.Subject, 200))
	line("Client", strings.TrimSpace(l.Client.Address.Addr().String()+" "+gateway.CleanText(l.Client.Name, 255)))
	line("Size", strconv.FormatInt(r.Size, 10)+" octets")
	line("Arrived", cli.Stamp(r.Arrived))
	line("Until", cli.Stamp(l.Expires))
	if l.Lesson != nil {
		line(lessonOf(l.Lesson))
	}
	for i := range r.Rcpts {
		to := &r.Rcpts[i]
		text := gateway.CleanText(to.Address, 320) + ": " + to.State.String()
		if !to.At.IsZero() {
			text += ", " + cli.Stamp(to.At)
		}
		if to.Said != "" {
			text += ": " + gateway.CleanText(to.Said, 300)
		}
		line("To", text)
	}
	for i := range l.Record.Findings {
		fi := &l.Record.Findings[i]
		if fi.Result != gateway.Fail && fi.Result != gateway.Unknown {
			continue
		}
		text := fi.Check + ": " + fi.Result.String() + " " + string(fi.Reason)
		if i < len(l.Proof) {
			for _, p := range l.Proof[i] {
				text += "; " + gateway.CleanText(p.Name+" "+p.Text, 200)
			}
		}
		line("Found", text)
	}
	line("File", l.File)
	line("Story", "gatepost trace "+r.ID.String())
}
