package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/doctor"
	"gatepost/internal/smtpwire"
)

// examine looks at everything, from outside in.
func examine(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "doctor")
	domain, only, listener := f.String("domain", "", ""), f.String("only", "", ""), f.String("listener", "", "")
	server, others := f.String("dns", "", ""), f.String("others", "", "")
	all := f.Bool("all", false, "")
	f.BoolVar(all, "v", false, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	usage := func(format string, args ...any) int {
		fmt.Fprintf(e.Err, "gatepost doctor: "+format+"\n", args...)
		return cli.Usage
	}
	c, problems := config.Load(f.Config, sections())
	if c == nil {
		cli.Tell(e, problems)
		return cli.Found
	}
	o := doctorOptions{server: *server, listener: *listener, config: f.Config}
	if *domain != "" {
		name, err := smtpwire.ParseDomain(*domain)
		if err != nil {
			return usage("--domain: %q is no domain", *domain)
		}
		o.domain = name
	}
	for _, name := range words(*others) {
		o.others = append(o.others, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	w, err := newWorld(c, o)
	if err != nil {
		return usage("%v", err)
	}
	groups := w.Groups()
	if *only != "" {
		wanted := words(*only)
		for _, name := range wanted {
			if !slices.Contains(doctorGroups(), name) {
				return usage("--only: there is no group %q; the groups are %s", name, strings.Join(doctorGroups(), ", "))
			}
		}
		groups = slices.DeleteFunc(groups, func(g doctor.Group) bool { return !slices.Contains(wanted, g.Name) })
	}
	found := doctor.Examine(ctx, groups, doctor.Bound)
	if f.JSON {
		var lines []doctor.Line
		for _, g := range found {
			lines = append(lines, g.Lines...)
		}
		if cli.JSONLines(e, lines) != cli.Done {
			return cli.Found
		}
	} else {
		printFindings(e.Out, w.Hostname, found, *all)
	}
	if doctor.Well(found) {
		return cli.Done
	}
	return cli.Found
}

// doctorGroups are the names of the groups.
func doctorGroups() (names []string) {
	for _, g := range new(doctor.World).Groups() {
		names = append(names, g.Name)
	}
	return names
}

// words are those of a list with commas or blanks.
func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// sameShown is how many lines of one kind are shown; more say the same of other domains.
const sameShown = 3

// printFindings writes the page: how many of what, then what failed, what should be known, what could not be told, and one
// line a group of what is well. With all, every line in the order of the groups.
func printFindings(w io.Writer, host string, found []doctor.Findings, all bool) {
	count := map[doctor.Verdict]int{}
	for _, g := range found {
		for _, l := range g.Lines {
			count[l.Verdict]++
		}
	}
	fmt.Fprintf(w, "%s: %d FAIL, %d warn, %d cannot be told, %d ok\n", host, count[doctor.Fail], count[doctor.Warn], count[doctor.Unknown], count[doctor.OK])
	if all {
		for _, g := range found {
			fmt.Fprintf(w, "\n%s\n", g.Group)
			if len(g.Lines) == 0 {
				fmt.Fprintln(w, "     nothing to look at")
			}
			for i := range g.Lines {
				printLine(w, &g.Lines[i])
			}
		}
		return
	}
	for _, v := range [...]doctor.Verdict{doctor.Fail, doctor.Warn, doctor.Unknown} {
		if count[v] > 0 {
			fmt.Fprintln(w)
			printVerdict(w, found, v)
		}
	}
	if count[doctor.OK] > 0 {
		fmt.Fprintln(w)
	}
	for _, g := range found {
		if text := passes(g.Lines); text != "" {
			fmt.Fprintf(w, "ok   %-9s %s\n", g.Group, text)
		}
	}
	if count[doctor.Fail]+count[doctor.Warn]+count[doctor.Unknown] > 0 {
		fmt.Fprintln(w, "\ngatepost doctor --all shows every line; docs/doctor.md tells what each means")
	}
}

// printVerdict writes the lines of one verdict, not more of one kind than are read.
func printVerdict(w io.Writer, found []doctor.Findings, v doctor.Verdict) {
	seen := map[string]int{}
	var more []string
	for _, g := range found {
		for i := range g.Lines {
			l := &g.Lines[i]
			if l.Verdict != v {
				continue
			}
			if seen[l.ID]++; seen[l.ID] <= sameShown {
				printLine(w, l)
			} else if seen[l.ID] == sameShown+1 {
				more = append(more, l.ID)
			}
		}
	}
	for _, id := range more {
		fmt.Fprintf(w, "%-4s %s: and %d more\n", v, id, seen[id]-sameShown)
	}
}

func printLine(w io.Writer, l *doctor.Line) {
	about := ""
	if l.About != "" {
		about = l.About + ": "
	}
	fmt.Fprintf(w, "%-4s %-20s %s\n", l.Verdict, l.ID, strings.Join(folded(about+l.Saw, 90), "\n"+strings.Repeat(" ", 26)))
	for _, x := range l.Fix { // never folded: it is to be pasted
		fmt.Fprintf(w, "     -> %s\n", x)
	}
}

// folded breaks a text at blanks into lines of about so many octets.
func folded(text string, width int) (lines []string) {
	for len(text) > width {
		at := strings.LastIndexByte(text[:width], ' ')
		if at < width/2 {
			break // one long word
		}
		lines, text = append(lines, text[:at]), text[at+1:]
	}
	return append(lines, text)
}

// passes names what is well, with how many of each there are.
func passes(lines []doctor.Line) string {
	var order []string
	count := map[string]int{}
	for i := range lines {
		if _, name, _ := strings.Cut(lines[i].ID, "."); lines[i].Verdict == doctor.OK {
			if count[name]++; count[name] == 1 {
				order = append(order, name)
			}
		}
	}
	for i, name := range order {
		if n := count[name]; n > 1 {
			order[i] = fmt.Sprintf("%s (%d)", name, n)
		}
	}
	return strings.Join(order, ", ")
}
