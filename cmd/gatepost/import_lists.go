package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/importer"
	"gatepost/internal/importer/lists"
	"gatepost/internal/importer/pmg"
)

// importPMG makes documents of a backup of Proxmox Mail Gateway.
func importPMG(ctx context.Context, e cli.Env, args []string) int {
	f := newImportFlags(e, "import pmg")
	name, ok := f.One(e, args, "name the backup, as pmg-backup_2026_11_26.tgz")
	if !ok {
		return cli.Usage
	}
	o, ok := f.options(e, time.Now())
	if !ok || !f.target(e) {
		return cli.Usage
	}
	file, err := openPlain(name)
	if err != nil {
		fmt.Fprintf(e.Err, "%s: %v\n", f.Name(), err)
		return cli.Found
	}
	defer file.Close()
	b, err := pmg.Read(file)
	if err != nil {
		fmt.Fprintf(e.Err, "%s: %s: %v\n", f.Name(), name, err)
		return cli.Found
	}
	return f.finish(ctx, e, importer.FromPMG(b, o))
}

// openPlain opens a regular file: a pipe would hold us up.
func openPlain(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	return os.Open(name)
}

// listsImport makes entries for policy.toml of another product's list.
func listsImport(_ context.Context, e cli.Env, args []string) int {
	f := newImportFlags(e, "lists import")
	name := f.String("csv", "", "")
	kind := f.String("kind", "", "")
	reason := f.String("reason", "", "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	o, ok := f.options(e, time.Now())
	switch {
	case !ok:
		return cli.Usage
	case *name == "" || f.out == "":
		fmt.Fprintf(e.Err, "%s: name the list and the file for its entries: --csv FILE --out FILE\n", f.Name())
		return cli.Usage
	case *kind != "" && *kind != "allow" && *kind != "block":
		fmt.Fprintf(e.Err, "%s: --kind is allow or block\n", f.Name())
		return cli.Usage
	}
	file, err := openPlain(*name)
	if err != nil {
		fmt.Fprintf(e.Err, "%s: %v\n", f.Name(), err)
		return cli.Found
	}
	defer file.Close()
	rows, err := lists.Read(file)
	if err != nil {
		fmt.Fprintf(e.Err, "%s: %s: %v\n", f.Name(), *name, err)
		return cli.Found
	}
	d := importer.FromLists(rows, importer.ListOptions{Options: o, File: filepath.Base(*name), Kind: *kind, Reason: *reason, Now: time.Now()})
	if f.JSON {
		if d.Report.WriteJSON(e.Out) != nil {
			return cli.Found
		}
	} else {
		d.Report.Write(e.Out)
	}
	if d.Report.Count(importer.Taken)+d.Report.Count(importer.Changed) == 0 {
		fmt.Fprintf(e.Err, "%s: nothing could be taken, so %s was not written\n", f.Name(), f.out)
		return cli.Found
	}
	text := []byte(d.Policy.Text())
	if err := writeNew(f.out, text); err != nil {
		fmt.Fprintf(e.Err, "%s: %v\n", f.Name(), err)
		return cli.Found
	}
	if _, problems := config.DecodePolicy(f.out, text, sections()); problems.Refused() {
		cli.Tell(e, problems)
		return cli.Found
	}
	return cli.Done
}

// writeNew writes a file that was not there: nothing of anybody's is overwritten.
func writeNew(name string, text []byte) error {
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already; write to another file", name)
	}
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return errors.Join(err, out.Close())
}
