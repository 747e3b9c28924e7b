package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/internal/cli"
	"gatepost/internal/importer"
	"gatepost/internal/importer/postfix"
	"gatepost/tls/certs"
)

// importFlags are what all imports take.
type importFlags struct {
	*cli.Flags
	out, owner, use, expires string
}

func newImportFlags(e cli.Env, name string) *importFlags {
	f := &importFlags{Flags: cli.NewFlags(e, name)}
	f.StringVar(&f.out, "out", "", "")
	f.StringVar(&f.owner, "owner", "", "")
	f.StringVar(&f.use, "use", "", "")
	f.StringVar(&f.expires, "expires", "", "")
	return f
}

// defaultExpiry is how long imported entries of lists count unless --expires says otherwise: long enough to see which of
// them are ever met.
const defaultExpiry = 90 * 24 * time.Hour

// options reads what is said of entries and lists; a mistake is told.
func (f *importFlags) options(e cli.Env, now time.Time) (o importer.Options, ok bool) {
	o = importer.Options{Owner: f.owner, Use: f.use, Expires: now.Add(defaultExpiry).UTC().Truncate(24 * time.Hour)}
	o.Certificate = func(certificate, key string) string {
		c, _, err := certs.Pair{Certificate: certificate, Key: key}.Read()
		if err != nil {
			return err.Error()
		}
		if dates := certs.Dates(c.Leaf, time.Now()); dates != "" {
			return "certificate " + certificate + ": " + dates
		}
		return ""
	}
	if f.use != "" && f.use != "commercial" && f.use != "non-commercial" {
		fmt.Fprintf(e.Err, "%s: --use is commercial or non-commercial, as the terms of the DNS lists call your mail\n", f.Name())
		return o, false
	}
	if f.expires != "" {
		day, err := time.Parse(time.DateOnly, f.expires)
		if err != nil || day.Before(now) {
			fmt.Fprintf(e.Err, "%s: --expires is a day to come, as 2027-06-30\n", f.Name())
			return o, false
		}
		o.Expires = day
	}
	return o, true
}

// importPostfix makes documents of a Postfix configuration.
func importPostfix(ctx context.Context, e cli.Env, args []string) int {
	f := newImportFlags(e, "import postfix")
	dir := f.String("config-dir", "/etc/postfix", "")
	root := f.String("root", "", "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	o, ok := f.options(e, time.Now())
	if !ok || !f.target(e) {
		return cli.Usage
	}
	if *root == "" && filepath.Clean(*dir) == "/etc/postfix" {
		*root = "/" // it is this machine's, and so are the other paths in it
	}
	files, err := postfix.Open(*dir, *root)
	if err != nil {
		fmt.Fprintf(e.Err, "%s: %v\n", f.Name(), err)
		return cli.Found
	}
	defer files.Close()
	c, err := postfix.Load(files)
	if err != nil {
		fmt.Fprintf(e.Err, "%s: main.cf: %v\n", f.Name(), err)
		return cli.Found
	}
	return f.finish(ctx, e, importer.FromPostfix(c, o))
}

// target checks the folder that is written to: nothing of anybody's is overwritten.
func (f *importFlags) target(e cli.Env) bool {
	if f.out == "" {
		fmt.Fprintf(e.Err, "%s: name the folder for the documents: --out DIR\n", f.Name())
		return false
	}
	for _, name := range []string{"gatepost.toml", "policy.toml", "report.txt"} {
		if _, err := os.Lstat(filepath.Join(f.out, name)); !errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(e.Err, "%s: %s is there already; write to another folder\n", f.Name(), filepath.Join(f.out, name))
			return false
		}
	}
	return true
}

// finish writes documents and report, and shows that the gateway takes them.
func (f *importFlags) finish(ctx context.Context, e cli.Env, d *importer.Draft) int {
	var report strings.Builder
	d.Report.Write(&report)
	if err := f.write(d, report.String()); err != nil {
		fmt.Fprintf(e.Err, "%s: %v\n", f.Name(), err)
		return cli.Found
	}
	if f.JSON {
		if d.Report.WriteJSON(e.Out) != nil {
			return cli.Found
		}
	} else {
		fmt.Fprint(e.Out, report.String())
	}
	fmt.Fprintf(e.Err, "%s: gatepost.toml, policy.toml and report.txt are in %s; read the report, then: gatepost check --live --config %s\n", f.Name(), f.out, f.out)
	if check(ctx, cli.Env{Out: io.Discard, Err: e.Err, Sections: e.Sections}, []string{"--config", f.out}) != cli.Done {
		fmt.Fprintf(e.Err, "%s: what was written cannot be used as it is, for the reasons above\n", f.Name())
		return cli.Found
	}
	return cli.Done
}

// write makes the folder and its files; nobody else may read them, since lists tell of people.
func (f *importFlags) write(d *importer.Draft, report string) error {
	if err := os.MkdirAll(f.out, 0o750); err != nil {
		return err
	}
	files := append([]importer.File{{Name: "gatepost.toml", Data: []byte(d.Bootstrap.Text())}, {Name: "policy.toml", Data: []byte(d.Policy.Text())},
		{Name: "report.txt", Data: []byte(report)}}, d.Files...)
	for _, file := range files {
		out, err := os.OpenFile(filepath.Join(f.out, file.Name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
		if err != nil {
			return err
		}
		_, err = out.Write(file.Data)
		if err = errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
	return nil
}
