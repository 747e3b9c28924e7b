// Command bench measures how fast Gatepost passes mail on: messages a second,
// latency, CPU time a message and memory, beside the same load sent straight to
// the next hop, which is a sink. It also fails when a message is refused, lost,
// doubled or changed on its way.
//
// Client, gateway and sink share this machine, so only figures of one run can be
// compared. It listens on loopback only. scripts/bench starts it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/bench/sink"
	"gatepost/internal/lab/dnslab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var p plan
	err := p.parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err == nil && p.child:
		signal.Ignore(os.Interrupt) // it ends with its input
		err = sink.Serve(os.Stdin, os.Stdout)
	case err == nil:
		err = run(ctx, p, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// run starts all parts, measures, and ends them.
func run(ctx context.Context, p plan, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.limit, fmt.Errorf("not done within %v", p.limit))
	defer cancel()
	b := &bench{plan: p}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if b.sink, err = sink.StartChild(exec.Command(self, "-sink")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.sink.Close()) }()
	b.targets = []target{{name: "direct", addr: b.sink.Addr(), pid: b.sink.PID()}}
	names, err := dnslab.Start(zones())
	if err != nil {
		return err
	}
	defer names.Close()
	dir, err := lab.NewDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.leave(dir)) }()
	stop, err := b.startDaemons(ctx, dir, names.Addr())
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	return b.measure(ctx, out)
}

// startDaemons starts every program to measure. stop ends those that run, with or
// without an error.
func (b *bench) startDaemons(ctx context.Context, dir, dns string) (stop func() error, err error) {
	var running []*lab.Gatepost
	stop = func() (err error) {
		for _, g := range running {
			err = errors.Join(err, g.Stop())
		}
		return err
	}
	programs := b.plan.binaries
	if len(programs) == 0 {
		path, err := lab.Build(ctx)
		if err != nil {
			return stop, err
		}
		programs = binaries{{"gatepost", path}}
	}
	for _, program := range programs {
		g, err := startDaemon(ctx, program, dir, b.sink.Addr(), dns)
		if err != nil {
			return stop, err
		}
		running = append(running, g)
		b.targets = append(b.targets, target{name: program.name, addr: g.Addr("smtp"), pid: g.PID()})
	}
	return stop, nil
}

// measure measures every cell and writes what it shows, cell by cell.
func (b *bench) measure(ctx context.Context, out io.Writer) error {
	r := report{Machine: thisMachine(), Rounds: b.plan.rounds, Length: b.plan.length.String()}
	table := out
	if b.plan.json == "-" {
		table = io.Discard
	}
	if _, err := fmt.Fprint(table, heading); err != nil {
		return err
	}
	for _, size := range b.plan.sizes {
		for _, connections := range b.plan.connections {
			c, err := b.cell(ctx, size, connections)
			if err != nil {
				return err
			}
			if err := c.print(table); err != nil {
				return err
			}
			r.Cells = append(r.Cells, c)
		}
	}
	r.Machine.Ended = time.Now().UTC().Truncate(time.Second)
	if b.plan.json == "" {
		return nil
	}
	return r.write(b.plan.json)
}

// leave removes the daemons' folder, unless it is to be kept.
func (p plan) leave(dir string) error {
	if p.keep {
		_, err := fmt.Fprintln(os.Stderr, "bench: kept", dir)
		return err
	}
	return os.RemoveAll(dir)
}
