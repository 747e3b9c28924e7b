package main

import (
	"context"
	"fmt"

	"gatepost/internal/cli"
	"gatepost/internal/config"
)

func explain(_ context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "explain")
	name, ok := f.One(e, args, "name a key (limits.message_size), a table (limits) or a check (helo)")
	if !ok {
		return cli.Usage
	}
	text, err := config.Explain(name, sections())
	if err != nil {
		fmt.Fprintf(e.Err, "gatepost: %v\n", err)
		return cli.Found
	}
	fmt.Fprint(e.Out, text)
	return cli.Done
}

func configDefault(_ context.Context, e cli.Env, args []string) int {
	return printDocument(e, "config default", args, config.DefaultBootstrap)
}

func policyDefault(_ context.Context, e cli.Env, args []string) int {
	return printDocument(e, "policy default", args, func() string { return config.DefaultPolicy(sections()) })
}

func printDocument(e cli.Env, name string, args []string, text func() string) int {
	if _, ok := cli.NewFlags(e, name).Read(e, args, 0); !ok {
		return cli.Usage
	}
	fmt.Fprint(e.Out, text())
	return cli.Done
}
