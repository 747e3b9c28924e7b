// Gatepost-package makes a package for dpkg or rpm of a description in nfpm's form. It is nfpm (github.com/goreleaser/nfpm) with the
// two packagers that are needed here; a module of its own, so that what nfpm depends on is no part of Gatepost's module.
// scripts/package calls it.
//
//	gatepost-package DESCRIPTION deb|rpm OUT
//
// ${NAME} in the description is the environment's. Times are those of SOURCE_DATE_EPOCH.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/rpm"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gatepost-package:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("write a description, deb or rpm, and the file to make")
	}
	packagers := map[string]nfpm.Packager{"deb": deb.Default, "rpm": rpm.DefaultRPM}
	packager := packagers[args[1]]
	if packager == nil {
		return fmt.Errorf("%q is no kind of package; write deb or rpm", args[1])
	}
	if os.Getenv("SOURCE_DATE_EPOCH") == "" {
		return errors.New("SOURCE_DATE_EPOCH is not set: two runs would not make the same octets")
	}
	config, err := nfpm.ParseFile(args[0])
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	info, err := config.Get(args[1])
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	info = nfpm.WithDefaults(info)
	if err := nfpm.Validate(info); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	info.Target = args[2]
	return write(packager, info)
}

// write makes the file, or none.
func write(p nfpm.Packager, info *nfpm.Info) error {
	part := info.Target + ".part"
	f, err := os.Create(part)
	if err != nil {
		return err
	}
	defer os.Remove(part) // not there any more where all went well
	if err := errors.Join(p.Package(info, f), f.Close()); err != nil {
		return err
	}
	return os.Rename(part, info.Target)
}
