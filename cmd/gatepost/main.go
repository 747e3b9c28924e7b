// Command gatepost is an inbound mail gateway: a hardened SMTP proxy in front of an internal mail server. This package
// wires everything and holds nothing: main finds the subcommand, serve.go is the daemon from top to bottom, and each
// other file is one subcommand.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// version is set by the build.
var version = "dev"

func main() {
	if len(os.Args) > 2 && os.Args[1] == "unpack" && os.Args[2] == unpackJob { // before anything else: one is started for each message with attachments
		os.Exit(serveUnpack(os.Args[3:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal drains, a second one ends at once
	code := run(ctx, cli.Env{Out: os.Stdout, Err: os.Stderr, Sections: sections}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run finds the longest words of a command that the arguments begin with.
func run(ctx context.Context, e cli.Env, args []string) int {
	remote, args, err := cli.ReadRemote(args)
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost: %v\n", err)
		return cli.Usage
	}
	e.Remote = remote
	return dispatch(ctx, e, groups(), args)
}

// dispatch runs a command of groups.
func dispatch(ctx context.Context, e cli.Env, from []cli.Group, args []string) int {
	if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
		args = []string{"help"}
	}
	if args[0] == "help" && len(args) == 1 {
		help(e, e.Out, from, "")
		return cli.Done
	}
	asked := args[0] == "help" // for one command, or for those of a noun
	if asked {
		args = args[1:]
	}
	for _, c := range commandsOf(from) {
		words := strings.Fields(c.Words)
		if len(args) < len(words) || strings.Join(args[:len(words)], " ") != c.Words {
			continue
		}
		rest := args[len(words):]
		if asked || asksForHelp(rest) {
			c.Usage(e.Out)
			return cli.Done
		}
		if e.Remote != nil && !e.Apart && !c.Asks && !asksOperation(c.Words) {
			fmt.Fprintf(e.Err, "gatepost %s: it works on this machine, and not by --server\n", c.Words)
			return cli.Usage
		}
		return c.Run(ctx, e, rest)
	}
	if asked || asksForHelp(args) {
		if help(e, e.Out, from, args[0]) {
			return cli.Done
		}
	} else if len(args) == 1 && help(e, e.Err, from, args[0]) {
		return cli.Usage
	}
	if e.Apart && elsewhere(args) {
		fmt.Fprintf(e.Err, "gatepost %s: it works at the machine, and not by SSH\n", strings.Join(args[:min(len(args), 2)], " "))
		return cli.Usage
	}
	of := "" // those that begin so
	if help(e, io.Discard, from, args[0]) {
		of = " " + args[0]
	}
	fmt.Fprintf(e.Err, "gatepost: there is no command %q; gatepost help%s lists them\n", strings.Join(args[:min(len(args), 2)], " "), of)
	return cli.Usage
}

// asksOperation reports whether a command is one that is named as the operation it asks.
func asksOperation(words string) bool {
	d := &daemon{bootstrap: new(config.Bootstrap)}
	return slices.ContainsFunc(d.operations(), func(o control.Operation) bool { return o.Name == words && !o.Streams() })
}

func printVersion(_ context.Context, e cli.Env, _ []string) int {
	fmt.Fprintln(e.Out, "gatepost "+version)
	return cli.Done
}
