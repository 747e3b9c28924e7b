package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/config"
	"gatepost/internal/filetype"
	"gatepost/internal/unpack"
)

// unpackFiles shows what files hold. They are opened here, and looked into by the same process as what comes by mail.
func unpackFiles(ctx context.Context, e env, args []string) int {
	f := newFlags(e, "unpack")
	names, ok := f.read(e, args, 1000)
	if !ok {
		return exitUsage
	}
	if len(names) == 0 {
		fmt.Fprintln(e.errOut, "gatepost unpack: name a file; gatepost unpack --help shows its options")
		return exitUsage
	}
	c := config.Builtin(sections())
	if f.config != defaultConfig {
		var problems config.Problems
		if c, problems = config.Load(f.config, sections()); c == nil {
			tell(e, problems)
			return exitFound
		}
	}
	client := newUnpack(c.Bootstrap)
	pieces, done, err := openFiles(names)
	defer done()
	if err == nil {
		var r unpack.Report
		if r, err = client.Unpack(ctx, pieces); err == nil {
			if h, _ := client.Hello(); !h.Confined {
				fmt.Fprintln(e.errOut, "gatepost unpack: the process is not confined as it should be:", h.How)
			}
			return showReport(e, &r, f.json)
		}
	}
	fmt.Fprintln(e.errOut, "gatepost unpack:", err)
	return exitFound
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
func showReport(e env, r *unpack.Report, asJSON bool) int {
	if asJSON {
		if err := json.NewEncoder(e.out).Encode(r); err != nil {
			return exitFound
		}
	} else {
		for i := range r.Objects {
			printObject(e, &r.Objects[i])
		}
		if r.Limit != "" {
			fmt.Fprintf(e.out, "not all was looked into: limit %s, at %s\n", r.Limit, gateway.CleanText(r.At, 400))
		}
	}
	if r.Limit != "" {
		return exitFound
	}
	return exitDone
}

func printObject(e env, o *unpack.Object) {
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
	fmt.Fprintf(e.out, "%s%s: %s; %s\n", indent, gateway.CleanText(o.Name, 400), size, kind)
	for _, n := range o.Names {
		fmt.Fprintf(e.out, "%s  = %s\n", indent, gateway.CleanText(n, 400))
	}
	for _, s := range o.Signs {
		fmt.Fprintf(e.out, "%s  ! %s\n", indent, strings.TrimRight(string(s.Kind)+" "+gateway.CleanText(s.Text, 200), " "))
	}
	for _, l := range o.Links {
		fmt.Fprintf(e.out, "%s  > %s %s\n", indent, l.Where, gateway.CleanText(l.URI, 400))
	}
}
