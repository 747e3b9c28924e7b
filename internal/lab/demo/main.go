// Command demo runs Gatepost between real parts on this machine: a name server
// with demo zones, clamd, spamd, and Postfix as the internal MTA. With -demo it
// also sends a set of mails through it and prints what became of each.
//
// It is what scripts/run starts. Everything listens on loopback, keeps its state
// in one folder and ends with the program; nothing of the system is touched and
// no other machine is asked, but for the name server that -resolver names.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// options are the command line.
type options struct {
	gatepost string
	demo     bool
	stay     bool
	redis    bool
	resolver string
	dir      string
	smtp     string
	big      int
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err = run(ctx, o, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.StringVar(&o.gatepost, "gatepost", "", "the gatepost program `file`; without it one is built")
	flags.BoolVar(&o.demo, "demo", false, "send the demo's mails, print what became of them, and end")
	flags.BoolVar(&o.stay, "stay", false, "with -demo: leave all of it running at the end, until Ctrl-C")
	flags.BoolVar(&o.redis, "redis", false, "keep the greylist and the limits in a private redis-server, as several gateways would")
	flags.StringVar(&o.resolver, "resolver", "", "a real name server, `host:port`, in place of the demo's zones")
	flags.StringVar(&o.dir, "dir", "", "the state `folder`, which is kept; without it one is made and removed")
	flags.StringVar(&o.smtp, "smtp", "127.0.0.1:0", "where Gatepost takes mail, `host:port` on loopback; port 0: any")
	flags.IntVar(&o.big, "big", 30_000_000, "`octets` of the demo's big mail")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	return o, nil
}

// run starts the world, does what is asked, and takes the world down again.
// Data goes to out, talk to talk.
func run(ctx context.Context, o options, out, talk io.Writer) (err error) {
	w, err := newWorld(o, talk)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	if err := w.start(ctx); err != nil {
		return err
	}
	w.explain(out)
	if o.demo {
		if err := w.demo(ctx, out); err != nil || !o.stay {
			return err
		}
	}
	w.say("everything runs; Ctrl-C, or SIGTERM to process %d, ends all of it", os.Getpid())
	select {
	case <-ctx.Done():
		return nil
	case <-w.gatepost.Done():
		return fmt.Errorf("gatepost ended by itself\n%s", w.gatepost.Log())
	}
}
