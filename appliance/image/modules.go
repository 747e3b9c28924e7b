package image

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Modules picks kernel modules: those that an allow-list names, and all that they need.
//
// deps is modules.dep of the whole tree (depmod(8)): "FILE: FILE...", paths relative to the folder of modules.dep. allow has one
// path a line, of a module or, with a slash at its end, of a folder with all below it; what follows a # is a comment.
// The result is sorted. A line of allow that names nothing is an error, since it is a misspelling or a module that the kernel
// lost, and so is a module that is needed and has no line of its own.
func Modules(deps, allow io.Reader) ([]string, error) {
	needs, err := readDeps(deps)
	if err != nil {
		return nil, err
	}
	all := slices.Sorted(maps.Keys(needs))
	picked := map[string]bool{}
	var problems []error
	lines := bufio.NewScanner(allow)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		want := strings.TrimSpace(text)
		if want == "" {
			continue
		}
		found := false
		for _, m := range all {
			if m == want || strings.HasSuffix(want, "/") && strings.HasPrefix(m, want) {
				picked[m], found = true, true
			}
		}
		if !found {
			problems = append(problems, fmt.Errorf("allow-list, line %d: this kernel has no %s", n, want))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("allow-list: %w", err)
	}
	// modules.dep names all that a module needs, not only the next; the loop does not rely on it.
	left := slices.Collect(maps.Keys(picked))
	for len(left) > 0 {
		m := left[len(left)-1]
		left = left[:len(left)-1]
		for _, need := range needs[m] {
			if _, known := needs[need]; !known {
				problems = append(problems, fmt.Errorf("modules.dep: %s needs %s, which is not there", m, need))
			}
			if !picked[need] {
				picked[need] = true
				left = append(left, need)
			}
		}
	}
	if len(problems) > 0 {
		slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return nil, errors.Join(problems...)
	}
	return slices.Sorted(maps.Keys(picked)), nil
}

// readDeps reads modules.dep.
func readDeps(r io.Reader) (map[string][]string, error) {
	needs := map[string][]string{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		module, rest, ok := strings.Cut(lines.Text(), ":")
		if !ok || module == "" {
			return nil, fmt.Errorf("modules.dep, line %d: not \"FILE: FILE...\"", n)
		}
		needs[module] = strings.Fields(rest)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("modules.dep: %w", err)
	}
	return needs, nil
}
