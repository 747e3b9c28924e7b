package main

import (
	"context"
	"errors"
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
	"gatepost/gateway/spool"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// queueFlags adds what picks messages of the spool, and returns the query they make.
func queueFlags(f *cli.Flags) url.Values {
	v := url.Values{}
	for _, name := range [...]string{"route", "from", "to", "said"} {
		f.Func(name, "", func(text string) error { v.Set(name, text); return nil })
	}
	f.Func("state", "", func(text string) error {
		var s spool.State
		if err := s.UnmarshalText([]byte(text)); err != nil {
			return errors.New("the states are waiting, delivering, held and dead")
		}
		v.Set("state", text)
		return nil
	})
	f.Func("older", "", func(text string) error {
		at, err := cli.Moment(text, time.Now())
		if err == nil {
			v.Set("before", at.UTC().Format(time.RFC3339Nano))
		}
		return err
	})
	f.Func("id", "", func(text string) error { return addID(v, text) })
	return v
}

func addID(v url.Values, text string) error {
	id, err := gateway.ParseID(text)
	if err == nil {
		v.Add("id", id.String())
	}
	return err
}

// readQueue asks the daemon; where it is away, by is asked with the folder, which tells the same.
func readQueue[T any](ctx context.Context, e cli.Env, configPath, path string, v url.Values, by func(q *spool.Queue) (T, error)) (out T, err error) {
	err = cli.Ask(ctx, e, configPath, http.MethodGet, path+"?"+v.Encode(), &out)
	if !errors.Is(err, control.ErrNotRunning) {
		return out, err
	}
	c, _ := config.Load(configPath, sections())
	if c == nil {
		return out, err
	}
	q, bad := spool.LookInto(c.Bootstrap.Spool.Dir)
	if bad != nil {
		return out, errors.Join(err, bad)
	}
	fmt.Fprintf(e.Err, "the daemon does not run: this is what lies in %s, and nobody delivers it\n", c.Bootstrap.Spool.Dir)
	return by(q)
}

// queueListing shows what lies in the spool.
func queueListing(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "queue list")
	v := queueFlags(f)
	limit := f.Int("limit", queueShown, "")
	damaged := f.Bool("damaged", false, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	if *limit < 1 || *limit > queueAtMost {
		fmt.Fprintf(e.Err, "gatepost queue list: --limit is %d; write a number from 1 to %d\n", *limit, queueAtMost)
		return cli.Usage
	}
	v.Set("limit", strconv.Itoa(*limit))
	if *damaged {
		v.Set("damaged", "1")
	}
	list, err := readQueue(ctx, e, f.Config, "/queue", v, func(q *spool.Queue) (*queueList, error) {
		list, err := listQueue(q, v)
		if list != nil {
			list.Totals.Latched = "" // it is shut because it was opened to be read, which nobody needs to mend
		}
		return list, err
	})
	if err != nil {
		return cli.Complain(e, "queue list", err)
	}
	switch {
	case f.JSON && *damaged:
		return cli.JSONLines(e, list.Damaged)
	case f.JSON:
		if code := cli.JSONLines(e, list.Messages); code != cli.Done {
			return code
		}
	case *damaged:
		for _, x := range list.Damaged {
			fmt.Fprintf(e.Out, "%s  %d octets  %s  %s\n", cli.Stamp(x.At), x.Size, x.File, x.Why)
		}
	default:
		printQueue(e.Out, list.Messages)
	}
	printQueueTotals(e.Err, list)
	return cli.Done
}

// printQueue lists messages, the oldest first.
func printQueue(w io.Writer, list []spool.Listed) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i := range list {
		l := &list[i]
		to := strings.Join(l.To, ",")
		if l.Rcpts > 2 && len(l.To) > 0 {
			to = fmt.Sprintf("%s and %d more", l.To[0], l.Rcpts-1)
		}
		when := ""
		if l.State == spool.Waiting && !l.Next.IsZero() {
			when = "next " + l.Next.Local().Format("15:04:05")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t<%s> -> %s\t%d tries\t%s\t%s\n", cli.Stamp(l.Arrived), l.ID, l.State, l.Route, l.Size, l.From, to, l.Attempts, when,
			gateway.CleanText(l.Said, 120))
	}
	t.Flush()
}

// printQueueTotals says how full the spool is, and what a person should look at.
func printQueueTotals(w io.Writer, list *queueList) {
	t := &list.Totals
	if list.More {
		fmt.Fprintf(w, "there are more: ask with a larger --limit or another filter\n")
	}
	for i := range t.Routes {
		r := &t.Routes[i]
		text := fmt.Sprintf("route %s: %d wait, %d held, %d dead", r.Route, waiting(r), r.Messages[spool.Held], r.Messages[spool.Dead])
		if !r.Away.IsZero() {
			text += fmt.Sprintf("; away since %s (%s)", r.Away.Local().Format("15:04:05"), gateway.CleanText(r.Said, 120))
		}
		fmt.Fprintln(w, text)
	}
	fmt.Fprintf(w, "%d %s, %d octets in all\n", t.Messages, cli.Plural(t.Messages, "message", "messages"), t.Octets)
	if t.Damaged > 0 {
		fmt.Fprintf(w, "%d damaged files were set aside: gatepost queue list --damaged\n", t.Damaged)
	}
	if t.Latched != "" {
		fmt.Fprintf(w, "nothing more is taken: %s\n", t.Latched)
	}
}

// queueShow tells all that is known of one message.
func queueShow(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "queue show")
	raw := f.Bool("raw", false, "")
	rest, ok := f.Read(e, args, 1)
	if ok && len(rest) == 0 {
		fmt.Fprintln(e.Err, "gatepost queue show: name the message by its reference; gatepost queue list shows them")
	}
	if !ok || len(rest) == 0 {
		return cli.Usage
	}
	id, err := gateway.ParseID(rest[0])
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost queue show: %q: %v\n", rest[0], err)
		return cli.Usage
	}
	v := url.Values{"id": {id.String()}}
	if *raw {
		v.Set("raw", "1")
		text, err := readQueue(ctx, e, f.Config, "/queue/show", v, func(q *spool.Queue) ([]byte, error) { return rawMessage(q, id) })
		if err != nil {
			return cli.Complain(e, "queue show", err)
		}
		_, _ = e.Out.Write(text) // who no longer reads needs no message
		return cli.Done
	}
	s, err := readQueue(ctx, e, f.Config, "/queue/show", v, func(q *spool.Queue) (*spool.Shown, error) {
		s, err := q.Show(id)
		return s, notInQueue(id, err)
	})
	if err != nil {
		return cli.Complain(e, "queue show", err)
	}
	if f.JSON {
		return cli.JSON(e, s)
	}
	printShown(e.Out, s)
	return cli.Done
}

// printShown shows one message.
func printShown(w io.Writer, s *spool.Shown) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-14s %s\n", name, value)
		}
	}
	line("Message", s.ID.String()+", "+s.State.String())
	line("Route", s.Route)
	line("First route", s.EnvRoute)
	line("From", "<"+s.From+">")
	line("Subject", gateway.CleanText(s.Custody.Subject, 200))
	line("Size", strconv.FormatInt(s.Size, 10)+" octets")
	line("Arrived", cli.Stamp(s.Custody.Arrived))
	line("Spooled for", gateway.CleanText(s.Custody.Why, 200))
	line("Tries", strconv.Itoa(s.Attempts))
	if !s.Last.IsZero() {
		line("Last try", cli.Stamp(s.Last))
	}
	if !s.Next.IsZero() {
		line("Next try", cli.Stamp(s.Next))
	}
	line("Last answer", gateway.CleanText(s.Said, 300))
	line("Next hop", s.NextHop)
	line("If it fails", map[bool]string{true: "its sender is told, where queue.notices_via is set", false: "it stays as a dead letter: its sender was not authenticated"}[s.Custody.Notify])
	for i := range s.Rcpts {
		r := &s.Rcpts[i]
		text := r.Address + ": " + r.End.String()
		if !r.Reply.IsZero() {
			text += ", " + gateway.CleanText(r.Reply.String(), 300)
		}
		line("To", text)
	}
	line("File", s.File)
	line("Story", "gatepost trace "+s.ID.String())
}

// queueChange makes the command of a verb.
func queueChange(verb spool.Verb) func(context.Context, cli.Env, []string) int {
	return func(ctx context.Context, e cli.Env, args []string) int {
		name := "queue " + string(verb)
		f := cli.NewFlags(e, name)
		v := queueFlags(f)
		all := f.Bool("all", false, "")
		dry := f.Bool("dry-run", false, "")
		var route string
		if verb == spool.Reroute {
			f.StringVar(&route, "to-route", "", "")
		}
		rest, ok := f.Read(e, args, queueAtOnce)
		if !ok {
			return cli.Usage
		}
		for _, text := range rest {
			if err := addID(v, text); err != nil {
				fmt.Fprintf(e.Err, "gatepost %s: %q: %v\n", name, text, err)
				return cli.Usage
			}
		}
		switch {
		case len(v) == 0:
			fmt.Fprintf(e.Err, "gatepost %s: name messages by their references, or by --route, --from, --to, --said, --state or --older; gatepost queue list shows them\n", name)
			return cli.Usage
		case verb == spool.Reroute && route == "":
			fmt.Fprintf(e.Err, "gatepost %s: --to-route says where they are to go\n", name)
			return cli.Usage
		}
		do := queueDo{Verb: verb, Query: v.Encode(), Route: route, By: cli.By(), DryRun: *dry}
		return do.run(ctx, e, f, v, *all)
	}
}

// run finds the messages, and has the daemon change them, some at a time.
func (a *queueDo) run(ctx context.Context, e cli.Env, f *cli.Flags, v url.Values, all bool) int {
	name := "queue " + string(a.Verb)
	v.Set("limit", strconv.Itoa(queueAtMost))
	var list queueList
	if err := cli.Ask(ctx, e, f.Config, http.MethodGet, "/queue?"+v.Encode(), &list); err != nil {
		return cli.Complain(e, name, err)
	}
	if n := len(list.Messages); n > 1 && !all && !a.DryRun && len(v["id"]) != n {
		fmt.Fprintf(e.Err, "gatepost %s: that picks %d messages; add --all to do it to all of them, or --dry-run to see them\n", name, n)
		return cli.Usage
	}
	done, failed := 0, 0
	for some := range slices.Chunk(list.Messages, queueAtOnce) {
		a.IDs = a.IDs[:0]
		for i := range some {
			a.IDs = append(a.IDs, some[i].ID)
		}
		var out []queueDone
		if err := cli.Send(ctx, e, f.Config, http.MethodPost, "/queue/do", a, &out); err != nil {
			return cli.Complain(e, name, err)
		}
		for i := range out {
			if out[i].Error != "" {
				failed++
				fmt.Fprintf(e.Err, "%s: %s; it is %s\n", out[i].ID, out[i].Error, out[i].State)
				continue
			}
			done++
		}
		a.print(e, f.JSON, out)
	}
	for _, id := range v["id"] {
		if !slices.ContainsFunc(list.Messages, func(l spool.Listed) bool { return l.ID.String() == id }) {
			failed++
			fmt.Fprintf(e.Err, "%s: not in the spool, or not picked by the filter; gatepost trace %s tells what became of it\n", id, id)
		}
	}
	what := map[bool]string{true: "would be changed", false: "changed"}[a.DryRun]
	fmt.Fprintf(e.Err, "%d %s %s, %d not\n", done, cli.Plural(done, "message", "messages"), what, failed)
	if list.More {
		fmt.Fprintln(e.Err, "there are more: say it again")
	}
	if done == 0 || failed > 0 {
		return cli.Found
	}
	return cli.Done
}

func (a *queueDo) print(e cli.Env, asJSON bool, out []queueDone) {
	if asJSON {
		cli.JSONLines(e, out)
		return
	}
	if !a.DryRun {
		return
	}
	var would []spool.Listed
	for i := range out {
		if out[i].Error == "" {
			would = append(would, out[i].Listed)
		}
	}
	printQueue(e.Out, would)
}

// queueClear opens the spool again after its disk failed.
func queueClear(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "queue clear-latch")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	var out map[string]string
	if err := cli.Ask(ctx, e, f.Config, http.MethodPost, "/queue/clear?"+url.Values{"by": {cli.By()}}.Encode(), &out); err != nil {
		return cli.Complain(e, "queue clear-latch", err)
	}
	fmt.Fprintf(e.Err, "the disk took and flushed a file: mail is taken into the spool again (it was shut since: %s)\n", out["was"])
	return cli.Done
}
