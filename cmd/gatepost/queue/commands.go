package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/spool"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
)

const (
	shown  = 100
	atMost = 100_000 // in a list
	picks  = "ID... | [--route R] [--from A] [--to A] [--said TEXT] [--state S] [--older T] [--id ID] [--all] [--dry-run] [--config PATH] [--json]"
	states = "S: waiting, delivering, held, dead. T: 2h, 3d, 14:30, 2026-11-23. R: the name of a [[route]]. A, TEXT: a part of it; --from '<>': bounces"
)

// Commands are those of the spool.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "queue list", Args: "[--route R] [--from A] [--to A] [--said TEXT] [--state S] [--older T] [--id ID] [--limit N] [--damaged] [--config PATH] [--json]", Doc: "list mail in the spool, the oldest first, and how its routes are", Run: listing, Note: states},
		{Words: "queue show", Args: "ID [--raw [--why TEXT]] [--config PATH] [--json]", Doc: "tell all that is known of a message in the spool; --raw: the message itself", Run: show},
		{Words: "queue retry", Args: picks, Doc: "try messages now; dead letters begin anew", Run: changing(spool.Retry), Note: states},
		{Words: "queue hold", Args: picks, Doc: "do not try messages until they are released", Run: changing(spool.Hold), Note: states},
		{Words: "queue release", Args: picks, Doc: "try held messages again", Run: changing(spool.Release), Note: states},
		{Words: "queue bounce", Args: picks, Doc: "give messages up: their senders are told where they may be, else they become dead letters", Run: changing(spool.Bounce), Note: states},
		{Words: "queue delete", Args: picks, Doc: "remove messages from the spool, and tell nobody but the journal", Run: changing(spool.Delete), Note: states},
		{Words: "queue reroute", Args: picks + " --to-route R", Doc: "send messages by another route", Run: changing(spool.Reroute), Note: states},
		{Words: "queue clear-latch", Args: "[--config PATH]", Doc: "take mail into the spool again after its disk failed and was mended", Run: clearLatch},
	}
}

// flags adds what picks messages of the spool.
func flags(f *cli.Flags) *api.QueueAsk {
	in := &api.QueueAsk{Limit: atOnce}
	f.StringVar(&in.Route, "route", "", "")
	f.StringVar(&in.From, "from", "", "")
	f.StringVar(&in.To, "to", "", "")
	f.StringVar(&in.Said, "said", "", "")
	f.Func("state", "", func(text string) error {
		var s spool.State
		if err := s.UnmarshalText([]byte(text)); err != nil {
			return errors.New("the states are waiting, delivering, held and dead")
		}
		in.State = text
		return nil
	})
	f.Func("older", "", func(text string) (err error) {
		in.Before, err = cli.Moment(text, time.Now())
		return err
	})
	f.Func("id", "", func(text string) error { return addID(in, text) })
	return in
}

func addID(in *api.QueueAsk, text string) error {
	id, err := gateway.ParseID(text)
	if err == nil {
		in.IDs = append(in.IDs, id)
	}
	return err
}

// read asks the daemon; where it is away, its folder is asked, which tells the same.
func read[Out, In any](ctx context.Context, e cli.Env, f *cli.Flags, o control.Operation, in *In) (*Out, error) {
	out, err := cli.Call[Out](ctx, e, f, o, in)
	if !errors.Is(err, control.ErrNotRunning) {
		return out, err
	}
	c := e.Load(f.Config)
	if c == nil {
		return nil, err
	}
	q, bad := spool.LookInto(c.Bootstrap.Spool.Dir)
	if bad != nil {
		return nil, errors.Join(err, bad)
	}
	fmt.Fprintf(e.Err, "the daemon does not run: this is what lies in %s, and nobody delivers it\n", c.Bootstrap.Spool.Dir)
	d := &Desk{Queue: func() (*spool.Queue, error) { return q, nil }}
	got, err := (&control.Surface{Operations: d.Operations()}).Call(access.With(ctx, access.Actor{Name: cli.By(), Role: access.Owner, Via: access.BySocket}), o.Name, in)
	if err != nil {
		return nil, err
	}
	if list, ok := got.(*api.QueueList); ok {
		list.Totals.Latched = "" // it is shut because it was opened to be read, which nobody needs to mend
	}
	return got.(*Out), nil
}

// all reads page after page, at most so many messages, and reports whether there are more.
func all(ctx context.Context, in api.QueueAsk, most int, ask func(*api.QueueAsk) (*api.QueueList, error)) (*api.QueueList, bool, error) {
	var out *api.QueueList
	for {
		n := 0
		if out != nil {
			n = len(out.Messages)
		}
		in.Limit = min(most-n, atOnce)
		page, err := ask(&in)
		if err != nil {
			return nil, false, err
		}
		if out == nil {
			out = page
		} else {
			out.Messages = append(out.Messages, page.Messages...)
		}
		in.Cursor, in.Damaged = page.Next, false
		if page.Next == "" || len(out.Messages) >= most {
			return out, page.Next != "", ctx.Err()
		}
	}
}

// listing shows what lies in the spool.
func listing(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "queue list")
	in := flags(f)
	limit := f.Int("limit", shown, "")
	f.BoolVar(&in.Damaged, "damaged", false, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	if *limit < 1 || *limit > atMost {
		fmt.Fprintf(e.Err, "gatepost queue list: --limit is %d; write a number from 1 to %d\n", *limit, atMost)
		return cli.Usage
	}
	damaged := in.Damaged
	list, more, err := all(ctx, *in, *limit, func(in *api.QueueAsk) (*api.QueueList, error) {
		return read[api.QueueList](ctx, e, f, listQuestion(), in)
	})
	if err != nil {
		return cli.Complain(e, "queue list", err)
	}
	switch {
	case f.JSON && damaged:
		return cli.JSONLines(e, list.Damaged)
	case f.JSON:
		if code := cli.JSONLines(e, list.Messages); code != cli.Done {
			return code
		}
	case damaged:
		for _, x := range list.Damaged {
			fmt.Fprintf(e.Out, "%s  %d octets  %s  %s\n", cli.Stamp(x.At), x.Size, x.File, x.Why)
		}
	default:
		printQueue(e.Out, list.Messages)
	}
	if list.Totals != nil {
		printTotals(e.Err, list.Totals, more)
	}
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

// printTotals says how full the spool is, and what a person should look at.
func printTotals(w io.Writer, t *spool.Totals, more bool) {
	if more {
		fmt.Fprintf(w, "there are more: ask with a larger --limit or another filter\n")
	}
	for i := range t.Routes {
		r := &t.Routes[i]
		text := fmt.Sprintf("route %s: %d wait, %d held, %d dead", r.Route, r.Messages[spool.Waiting]+r.Messages[spool.Delivering], r.Messages[spool.Held], r.Messages[spool.Dead])
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

// show tells all that is known of one message.
func show(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "queue show")
	raw := f.Bool("raw", false, "")
	why := f.String("why", "", "")
	reference, ok := f.One(e, args, "name the message by its reference; gatepost queue list shows them")
	if !ok {
		return cli.Usage
	}
	id, err := gateway.ParseID(reference)
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost queue show: %q: %v\n", reference, err)
		return cli.Usage
	}
	if *raw {
		file, err := read[control.File](ctx, e, f, viewQuestion(), &api.QueueLook{ID: id.String(), Why: *why})
		if err != nil {
			return cli.Complain(e, "queue show", err)
		}
		_, _ = e.Out.Write(file.Data) // who no longer reads needs no message
		return cli.Done
	}
	s, err := read[spool.Shown](ctx, e, f, showQuestion(), &api.QueueID{ID: id.String()})
	return cli.Reply(e, f, "queue show", s, err, func(s *spool.Shown) { printShown(e.Out, s) })
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
