package main

import (
	"debug/elf"
	"io"
	"strings"

	"gatepost/internal/sandbox"
)

// mayExecute adds to what the daemon keeps the right to execute a program, our own: one that is linked dynamically, as with
// the race detector or by a distribution, needs the loader and its libraries besides.
func mayExecute(r *sandbox.Rights, program string) {
	r.Execute = append(r.Execute, program)
	if loader := loaderOf(program); loader != "" {
		r.Execute = append(r.Execute, loader)
		r.Read = append(r.Read, "/etc/ld.so.cache", "/lib", "/lib64", "/usr/lib", "/usr/lib64")
	}
}

// loaderOf is the program interpreter that an ELF program names; "" for one that is linked statically, or is none.
func loaderOf(program string) string {
	f, err := elf.Open(program)
	if err != nil {
		return ""
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > 4096 {
			continue
		}
		name, err := io.ReadAll(p.Open())
		if err != nil {
			return ""
		}
		return strings.TrimRight(string(name), "\x00")
	}
	return ""
}
