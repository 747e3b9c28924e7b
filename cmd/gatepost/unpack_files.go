package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/filetype"
	"gatepost/internal/unpack"
)

// unpackFiles shows what files hold. They are opened here, and looked into by the same process as what comes by mail.
func unpackFiles(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "unpack")
	names, ok := f.Read(e, args, 1000)
	if !ok {
		return cli.Usage
	}
	if len(names) == 0 {
		fmt.Fprintln(e.Err, "gatepost unpack: name a file; gatepost unpack --help shows its options")
		return cli.Usage
	}
	c := config.Builtin(sections())
	if f.Config != cli.DefaultConfig {
		var problems config.Problems
		if c, problems = config.Load(f.Config, sections()); c == nil {
			cli.Tell(e, problems)
			return cli.Found
		}
	}
	client := newUnpack(c.Bootstrap)
	pieces, done, err := openFiles(names)
	defer done()
	if err == nil {
		var r unpack.Report
		if r, err = client.Unpack(ctx, pieces); err == nil {
			if h, _ := client.Hello(); !h.Confined {
				fmt.Fprintln(e.Err, "gatepost unpack: the process is not confined as it should be:", h.How)
			}
			return showReport(e, &r, f.JSON)
		}
	}
	fmt.Fprintln(e.Err, "gatepost unpack:", err)
	return cli.Found
}

func openFiles(names []string) (pieces []unpack.Piece, done func(), err error) {
	var open []*os.File
	done = func() {
		for _, f := range open {
			f.Close()
		}
	}
	for i, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, done, err
		}
		open = append(open, f)
		info, err := f.Stat()
		if err != nil {
			return nil, done, err
		}
		pieces = append(pieces, unpack.Piece{Item: unpack.Item{Part: i, Name: name, Size: info.Size()}, Content: f})
	}
	return pieces, done, nil
}

// showReport prints a report: one object a line, or the whole of it. What was not looked into whole is a finding.
func showReport(e cli.Env, r *unpack.Report, asJSON bool) int {
	if asJSON {
		if err := json.NewEncoder(e.Out).Encode(r); err != nil {
			return cli.Found
		}
	} else {
		for i := range r.Objects {
			printObject(e, &r.Objects[i])
		}
		if r.Limit != "" {
			fmt.Fprintf(e.Out, "not all was looked into: limit %s, at %s\n", r.Limit, gateway.CleanText(r.At, 400))
		}
	}
	if r.Limit != "" {
		return cli.Found
	}
	return cli.Done
}

func printObject(e cli.Env, o *unpack.Object) {
	indent := strings.Repeat("  ", o.Depth)
	group := filetype.Worse(filetype.ByType(o.Type), filetype.Of(nil, append([]string{o.Name}, o.Names...)...).Group)
	kind := strings.Join(strings.Fields(o.Format+" "+o.Type+" "+string(group)), ", ")
	if o.Folder {
		kind = "folder"
	}
	size := "size not known"
	if o.Size >= 0 {
		size = fmt.Sprintf("%d octets", o.Size)
	}
	fmt.Fprintf(e.Out, "%s%s: %s; %s\n", indent, gateway.CleanText(o.Name, 400), size, kind)
	for _, n := range o.Names {
		fmt.Fprintf(e.Out, "%s  = %s\n", indent, gateway.CleanText(n, 400))
	}
	for _, s := range o.Signs {
		fmt.Fprintf(e.Out, "%s  ! %s\n", indent, strings.TrimRight(string(s.Kind)+" "+gateway.CleanText(s.Text, 200), " "))
	}
	for _, l := range o.Links {
		fmt.Fprintf(e.Out, "%s  > %s %s\n", indent, l.Where, gateway.CleanText(l.URI, 400))
	}
}
