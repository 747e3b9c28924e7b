package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gatepost/internal/config"
	"gatepost/internal/importer"
	"gatepost/internal/importer/lists"
	"gatepost/internal/importer/pmg"
)

// importPMG makes documents of a backup of Proxmox Mail Gateway.
func importPMG(ctx context.Context, e env, args []string) int {
	f := newImportFlags(e, "import pmg")
	rest, ok := f.read(e, args, 1)
	if !ok {
		return exitUsage
	}
	if len(rest) != 1 {
		fmt.Fprintf(e.errOut, "%s: name the backup, as pmg-backup_2026_11_26.tgz\n", f.Name())
		return exitUsage
	}
	o, ok := f.options(e, time.Now())
	if !ok || !f.target(e) {
		return exitUsage
	}
	file, err := openPlain(rest[0])
	if err != nil {
		fmt.Fprintf(e.errOut, "%s: %v\n", f.Name(), err)
		return exitFound
	}
	defer file.Close()
	b, err := pmg.Read(file)
	if err != nil {
		fmt.Fprintf(e.errOut, "%s: %s: %v\n", f.Name(), rest[0], err)
		return exitFound
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
func listsImport(_ context.Context, e env, args []string) int {
	f := newImportFlags(e, "lists import")
	name := f.String("csv", "", "")
	kind := f.String("kind", "", "")
	reason := f.String("reason", "", "")
	if _, ok := f.read(e, args, 0); !ok {
		return exitUsage
	}
	o, ok := f.options(e, time.Now())
	switch {
	case !ok:
		return exitUsage
	case *name == "" || f.out == "":
		fmt.Fprintf(e.errOut, "%s: name the list and the file for its entries: --csv FILE --out FILE\n", f.Name())
		return exitUsage
	case *kind != "" && *kind != "allow" && *kind != "block":
		fmt.Fprintf(e.errOut, "%s: --kind is allow or block\n", f.Name())
		return exitUsage
	}
	file, err := openPlain(*name)
	if err != nil {
		fmt.Fprintf(e.errOut, "%s: %v\n", f.Name(), err)
		return exitFound
	}
	defer file.Close()
	rows, err := lists.Read(file)
	if err != nil {
		fmt.Fprintf(e.errOut, "%s: %s: %v\n", f.Name(), *name, err)
		return exitFound
	}
	d := importer.FromLists(rows, importer.ListOptions{Options: o, File: filepath.Base(*name), Kind: *kind, Reason: *reason, Now: time.Now()})
	if f.json {
		if d.Report.WriteJSON(e.out) != nil {
			return exitFound
		}
	} else {
		d.Report.Write(e.out)
	}
	if d.Report.Count(importer.Taken)+d.Report.Count(importer.Changed) == 0 {
		fmt.Fprintf(e.errOut, "%s: nothing could be taken, so %s was not written\n", f.Name(), f.out)
		return exitFound
	}
	text := []byte(d.Policy.Text())
	if err := writeNew(f.out, text); err != nil {
		fmt.Fprintf(e.errOut, "%s: %v\n", f.Name(), err)
		return exitFound
	}
	if _, problems := config.DecodePolicy(f.out, text, sections()); problems.Refused() {
		tell(e, problems)
		return exitFound
	}
	return exitDone
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
