// Imagetool is what the scripts below appliance/image call for what shell does badly. It is not in the image.
//
//	imagetool modules MODULES.DEP ALLOW-LIST     prints the modules that come in, a path a line
//	imagetool check ROOT USERS                   prints what must not be in the root, and fails if there is any
//	imagetool ova DESCRIPTOR VERSION VMDK OUT    makes an archive that hypervisors import; SOURCE_DATE_EPOCH is its time
//	imagetool sbom VERSION PACKAGES PROGRAM      prints the list of what is in the image (CycloneDX)
package main

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"gatepost/appliance/image"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "imagetool:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "modules":
		return modules(args[1], args[2])
	case len(args) == 3 && args[0] == "check":
		return check(args[1], args[2])
	case len(args) == 5 && args[0] == "ova":
		return ova(args[1], args[2], args[3], args[4])
	case len(args) == 4 && args[0] == "sbom":
		return sbom(args[1], args[2], args[3])
	}
	return errors.New("write modules, check, ova or sbom with its files")
}

func modules(deps, allow string) error {
	d, err := os.Open(deps)
	if err != nil {
		return err
	}
	defer d.Close()
	a, err := os.Open(allow)
	if err != nil {
		return err
	}
	defer a.Close()
	picked, err := image.Modules(d, a)
	if err != nil {
		return fmt.Errorf("%s: %w", allow, err)
	}
	for _, m := range picked {
		fmt.Println(m)
	}
	return nil
}

func check(root, users string) error {
	found, err := image.Check(root, users)
	if err != nil {
		return err
	}
	for _, line := range found {
		fmt.Println(line)
	}
	if len(found) > 0 {
		return fmt.Errorf("%s has %d things that must not be in the root", root, len(found))
	}
	return nil
}

func ova(descriptor, version, vmdk, out string) error {
	text, err := os.ReadFile(descriptor)
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	return errors.Join(image.OVA(f, string(text), version, vmdk, time.Unix(seconds, 0)), f.Close())
}

func sbom(version, packages, program string) error {
	p, err := os.Open(packages)
	if err != nil {
		return err
	}
	defer p.Close()
	built, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	bom, err := image.NewBOM(version, p, built)
	if err != nil {
		return err
	}
	return bom.Write(os.Stdout)
}
