package main

import (
	"context"
	"fmt"

	"gatepost/internal/config"
)

func explain(_ context.Context, e env, args []string) int {
	f := newFlags(e, "explain")
	rest, ok := f.read(e, args, 1)
	if !ok || len(rest) == 0 {
		if ok {
			fmt.Fprintln(e.errOut, "gatepost explain: name a key (limits.message_size), a table (limits) or a check (helo)")
		}
		return exitUsage
	}
	text, err := config.Explain(rest[0], sections())
	if err != nil {
		fmt.Fprintf(e.errOut, "gatepost: %v\n", err)
		return exitFound
	}
	fmt.Fprint(e.out, text)
	return exitDone
}

func configDefault(_ context.Context, e env, args []string) int {
	return printDocument(e, "config default", args, config.DefaultBootstrap)
}

func policyDefault(_ context.Context, e env, args []string) int {
	return printDocument(e, "policy default", args, func() string { return config.DefaultPolicy(sections()) })
}

func printDocument(e env, name string, args []string, text func() string) int {
	if _, ok := newFlags(e, name).read(e, args, 0); !ok {
		return exitUsage
	}
	fmt.Fprint(e.out, text())
	return exitDone
}
