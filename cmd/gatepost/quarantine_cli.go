package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
	"gatepost/internal/cli"
)

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
		v.Set("before", id.String())
		return err
	})
	f.BoolFunc("damaged", "", func(string) error { v.Set("damaged", "1"); return nil })
	f.Func("id", "", func(text string) error { return addID(v, text) })
	return v
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
	v.Set("limit", strconv.Itoa(*limit))
	var list keptList
	if err := cli.Ask(ctx, e, f.Config, http.MethodGet, "/quarantine?"+v.Encode(), &list); err != nil {
		return cli.Complain(e, "quarantine list", err)
	}
	if f.JSON {
		if code := cli.JSONLines(e, list.Messages); code != cli.Done {
			return code
		}
	} else {
		printKept(e.Out, list.Messages)
	}
	if list.More {
		last := list.Messages[len(list.Messages)-1].ID
		fmt.Fprintf(e.Err, "there are more: --before %s, a larger --limit, or another filter\n", last)
	}
	s := &list.Status
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
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t<%s> -> %s\t%s\t%s\n", cli.Stamp(r.Arrived), r.ID, r.Class, stateOf(r), r.Size, gateway.CleanText(r.From, 100), rcptsOf(r),
			gateway.CleanText(why, 100), cli.Shown(r.Subject, 60))
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
	rest, ok := f.Read(e, args, 1)
	if ok && len(rest) == 0 {
		fmt.Fprintf(e.Err, "%s: name the message by its reference; gatepost quarantine list shows them\n", f.Name())
	}
	if !ok || len(rest) == 0 {
		return 0, false
	}
	id, err := gateway.ParseID(rest[0])
	if err != nil {
		fmt.Fprintf(e.Err, "%s: %q: %v\n", f.Name(), rest[0], err)
	}
	return id, err == nil
}

// lookAt asks for one message.
func lookAt(ctx context.Context, e cli.Env, config string, id gateway.ID, how string) (*quarantine.Looked, error) {
	v := url.Values{"id": {id.String()}, "by": {cli.By()}}
	if how != "" {
		v.Set(how, "1")
	}
	l := new(quarantine.Looked)
	return l, cli.Ask(ctx, e, config, http.MethodGet, "/quarantine/show?"+v.Encode(), l)
}

// keptShow tells all that is known of one message, and nothing of what is in it.
func keptShow(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "quarantine show")
	id, ok := oneKept(e, f, args)
	if !ok {
		return cli.Usage
	}
	l, err := lookAt(ctx, e, f.Config, id, "")
	if err != nil {
		return cli.Complain(e, "quarantine show", err)
	}
	if f.JSON {
		return cli.JSON(e, l)
	}
	printLooked(e.Out, l)
	return cli.Done
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

// keptChange makes the command of a verb.
func keptChange(verb string) func(context.Context, cli.Env, []string) int {
	return func(ctx context.Context, e cli.Env, args []string) int {
		name := "quarantine " + verb
		f := cli.NewFlags(e, name)
		v := keptFlags(f)
		all, dry := f.Bool("all", false, ""), f.Bool("dry-run", false, "")
		do := keptDo{Verb: verb, By: cli.By()}
		allow, as := allowing{}, ""
		switch verb {
		case "release":
			f.StringVar(&do.To, "other", "", "")
			f.BoolVar(&do.Force, "force", false, "")
			allow.flags(f)
		case "report":
			f.StringVar(&as, "as", "", "")
		case "forward":
			f.StringVar(&do.To, "analyst", "", "")
		}
		only := f.String("only", "", "")
		rest, ok := f.Read(e, args, keptAtMost)
		if !ok {
			return cli.Usage
		}
		for _, text := range rest {
			if err := addID(v, text); err != nil {
				fmt.Fprintf(e.Err, "gatepost %s: %q: %v\n", name, text, err)
				return cli.Usage
			}
		}
		if err := allow.read(time.Now()); err != nil {
			fmt.Fprintf(e.Err, "gatepost %s: %v\n", name, err)
			return cli.Usage
		}
		if *only != "" {
			do.Rcpts = strings.Split(*only, ",")
		}
		do.Spam = as == "spam"
		if len(v) > 0 {
			do.narrow(v)
		}
		switch {
		case len(v) == 0:
			fmt.Fprintf(e.Err, "gatepost %s: name messages by their references, or by a filter; gatepost quarantine list shows them\n", name)
			return cli.Usage
		case verb == "report" && as != "spam" && as != "ham":
			fmt.Fprintln(e.Err, "gatepost quarantine report: --as spam, or --as ham for what is none")
			return cli.Usage
		case verb == "forward" && do.To == "":
			fmt.Fprintln(e.Err, "gatepost quarantine forward: --analyst says to whom")
			return cli.Usage
		}
		return do.run(ctx, e, f, v, keptHow{all: *all, dry: *dry, allow: allow})
	}
}

// keptHow says how a change is made.
type keptHow struct {
	all, dry bool
	allow    allowing
}

// run finds the messages, and has the daemon change them, some at a time.
func (a *keptDo) run(ctx context.Context, e cli.Env, f *cli.Flags, v url.Values, how keptHow) int {
	name := "quarantine " + a.Verb
	v.Set("limit", strconv.Itoa(keptAtMost))
	var list keptList
	if err := cli.Ask(ctx, e, f.Config, http.MethodGet, "/quarantine?"+v.Encode(), &list); err != nil {
		return cli.Complain(e, name, err)
	}
	if n := len(list.Messages); n > 1 && !how.all && !how.dry && len(v["id"]) != n {
		fmt.Fprintf(e.Err, "gatepost %s: that picks %d messages; add --all to do it to all of them, or --dry-run to see them\n", name, n)
		return cli.Usage
	}
	done, failed := 0, 0
	for _, id := range v["id"] {
		if !slices.ContainsFunc(list.Messages, func(r quarantine.Row) bool { return r.ID.String() == id }) {
			failed++
			fmt.Fprintf(e.Err, "%s: not in quarantine, or not picked by the filter; gatepost trace %s tells what became of it\n", id, id)
		}
	}
	if how.dry {
		if f.JSON {
			cli.JSONLines(e, list.Messages)
		} else {
			printKept(e.Out, list.Messages)
		}
		whose := ""
		if len(a.Rcpts) > 0 {
			whose = ", of each only the " + cli.Plural(len(a.Rcpts), "copy", "copies") + " of " + strings.Join(a.Rcpts, ", ")
		}
		fmt.Fprintf(e.Err, "%d %s would be changed%s\n", len(list.Messages), cli.Plural(len(list.Messages), "message", "messages"), whose)
		return cli.Done
	}
	each := keptAtOnce
	if a.Verb == "release" || a.Verb == "forward" {
		each = 1 // a next hop takes its time
	}
	for some := range slices.Chunk(list.Messages, each) {
		a.IDs = a.IDs[:0]
		for i := range some {
			a.IDs = append(a.IDs, some[i].ID)
		}
		var out []keptDone
		if err := cli.Send(ctx, e, f.Config, http.MethodPost, "/quarantine/do", a, &out); err != nil {
			return cli.Complain(e, name, err)
		}
		for i := range out {
			if out[i].print(e, f.JSON) {
				done++
			} else {
				failed++
			}
		}
		if how.allow.wanted() {
			for i := range some {
				how.allow.print(ctx, e, f, some[i].ID)
			}
		}
	}
	fmt.Fprintf(e.Err, "%d %s done, %d not\n", done, cli.Plural(done, "message", "messages"), failed)
	if list.More {
		fmt.Fprintln(e.Err, "there are more: say it again")
	}
	if done == 0 || failed > 0 {
		return cli.Found
	}
	return cli.Done
}

// print tells what became of one message, and whether all of it was done.
func (k *keptDone) print(e cli.Env, asJSON bool) bool {
	good := k.Error == ""
	for i := range k.Results {
		good = good && k.Results[i].Done
	}
	if asJSON {
		cli.JSONLines(e, []keptDone{*k})
		return good
	}
	if k.Error != "" {
		fmt.Fprintf(e.Err, "%s: %s\n", k.ID, k.Error)
	}
	if k.Said != "" {
		fmt.Fprintf(e.Out, "%s: %s\n", k.ID, k.Said)
	}
	for i := range k.Results {
		r := &k.Results[i]
		word := map[bool]string{true: "delivered", false: "not delivered"}[r.Done]
		if r.Spooled {
			word = "taken"
		}
		fmt.Fprintf(e.Out, "%s: %s for %s: %s\n", k.ID, word, gateway.CleanText(strings.Join(r.Rcpts, ", "), 1000), r.Said)
	}
	return good
}
