package routing

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"gatepost/gateway"
)

// aliasDomains is a policy that serves two domains.
func aliasDomains() *gateway.Policy {
	return &gateway.Policy{Domains: map[string]*gateway.Domain{"example.org": {Name: "example.org", Route: "in", Subaddress: "+"},
		"xn--bcher-kva.example": {Name: "xn--bcher-kva.example", Route: "in"}}}
}

func routeAt(d *gateway.Domain) string { return "policy.toml:1" }

// TestBounds shows that no file can be too much: each bound, just kept and just broken.
func TestBounds(t *testing.T) {
	list := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " u%d@example.org", i)
		}
		return b.String()
	}
	for _, c := range []struct {
		name, file, want string
		big              func() io.Reader
	}{
		{name: "targets", file: "all@example.org" + list(100) + "\n"},
		{name: "one target more", file: "all@example.org" + list(101), want: "f:1 all@example.org stands for more than 100 addresses"},
		{name: "targets of lists", file: "a@example.org" + list(60) + "\nb@example.org" + strings.ReplaceAll(list(41), "u", "v") + "\nall@example.org a@example.org b@example.org",
			want: "f:3 all@example.org stands for more than 100 addresses"},
		{name: "the same ones twice", file: "a@example.org" + list(60) + "\nb@example.org" + list(100) + "\nall@example.org a@example.org b@example.org"},
		{name: "line", file: "a@example.org " + strings.Repeat(",", maxLine), want: "f:1 is longer than 65536 octets"},
		{name: "line that goes on", file: "a@example.org b@example.org\n" + strings.Repeat(" "+strings.Repeat("a", 50)+"@example.org\n", 2000), want: "f:1041 is longer than 65536 octets with what it continues"},
		{name: "lines", big: func() io.Reader { return io.LimitReader(newlines{}, MaxLines) }},
		{name: "one line more", big: func() io.Reader { return io.LimitReader(newlines{}, MaxLines+1) }, want: "f:1000001 the file has more than 1000000 lines"},
		{name: "faults", file: strings.Repeat("x\n", 5000), want: "f:1 \"x\" stands for nobody"},
		{name: "byte order mark", file: "\ufeffa@example.org b@example.org\r\n"},
		{name: "letters", file: "ü@bücher.example \"a b\"@BÜCHER.example"},
		{name: "no text", file: "a@example.org \xff@example.org", want: `f:1 "\xff@example.org" is no address`},
		{name: "control octets", file: "a@example.org b\x00@example.org", want: `f:1 "b\x00@example.org" is no address`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var in io.Reader = strings.NewReader(c.file)
			if c.big != nil {
				in = c.big()
			}
			aliases, maps, problems, err := ReadFile("f", in)
			if err != nil {
				t.Fatal(err)
			}
			if len(problems) == 0 {
				_, problems = Build(aliasDomains(), &Input{Aliases: aliases, Maps: maps, RouteAt: routeAt})
			}
			got := ""
			if len(problems) > 0 {
				got = problems[0].At.Where() + " " + problems[0].Message
			}
			if got != c.want || len(problems) > maxProblems || len(problems) > 1 && c.name != "faults" {
				t.Errorf("%d problems, the first %q, want %q", len(problems), got, c.want)
			}
		})
	}
	if _, _, _, err := ReadFile("f", iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a file that breaks: %v", err)
	}
}

type newlines struct{}

func (newlines) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '\n'
	}
	return len(p), nil
}

// TestTotal shows that lists of lists cannot fill the memory, and are told of once.
func TestTotal(t *testing.T) {
	to := make([]gateway.Address, gateway.MaxTargets)
	for i := range to {
		to[i] = mustAddress(fmt.Sprint("u", i), "example.org")
	}
	in := &Input{RouteAt: routeAt}
	const most = 5000
	for i := range most/len(to) + 2 {
		in.Aliases = append(in.Aliases, Rule{Address: mustAddress(fmt.Sprint("a", i), "example.org"), To: to, At: at(i+1, gateway.AliasPlace)})
	}
	_, problems := newBuilder(aliasDomains(), in, most).build()
	if len(problems) != 1 || problems[0].At.Line != most/100+1 || !strings.HasPrefix(problems[0].Message, "all aliases together stand for more than 5000 addresses") {
		t.Errorf("%d problems: %v", len(problems), problems[:min(len(problems), 1)])
	}
}

// TestLongLoop shows that a way of any length ends and is told once.
func TestLongLoop(t *testing.T) {
	for _, n := range []int{1, 2, 10, 11, 150, 5000} {
		in := &Input{RouteAt: routeAt}
		for i := range n {
			in.Aliases = append(in.Aliases, Rule{Address: mustAddress(fmt.Sprint("a", i), "example.org"),
				To: []gateway.Address{mustAddress(fmt.Sprint("a", (i+1)%n), "example.org")}, At: at(i+1, gateway.AliasPlace)})
		}
		_, problems := Build(aliasDomains(), in)
		switch {
		case n == 1 && len(problems) == 0: // it keeps its own mail
		case n > 1 && n <= maxStack && len(problems) == 1 && strings.HasPrefix(problems[0].Message, "comes back to itself: a0@example.org (policy.toml:1) -> a1"):
		case n > maxStack && len(problems) > 0 && strings.Contains(problems[0].Message, "more than 10 lines"):
		default:
			t.Errorf("%d lines: %v", n, problems[:min(len(problems), 2)])
		}
	}
}

// FuzzReadFile reads anything: what is not refused keeps the promises of the package.
func FuzzReadFile(f *testing.F) {
	for _, seed := range []string{"a@example.org b@example.org\n", "# x\n\na@example.org\tb@example.org,\n c@example.org\n@old.example @example.org\n",
		"\"a b\"@example.org a@old.example\n@old.example @example.org", "a@example.org a@example.org, b+c@example.org\nb@example.org c@example.org",
		"a@example.org b@example.org\nb@example.org a@example.org", "ü@bücher.example a@example.org", "a@example.org |/bin/sh", "@a.example @b.example\n@b.example @a.example", "\"a\\\"@example.org b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		aliases, maps, problems, err := ReadFile("f", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range aliases {
			for _, a := range append([]gateway.Address{r.Address}, r.To...) {
				if again, err := Address(a.Text); err != nil || again != a {
					t.Fatalf("%q reads back as %+v, %v", a.Text, again, err)
				}
			}
		}
		p := aliasDomains()
		routing, more := Build(p, &Input{Aliases: aliases, Maps: maps, RouteAt: routeAt})
		p.Routing = routing
		for _, problem := range append(problems, more...) {
			if strings.ContainsAny(problem.String(), "\n\r\x00") {
				t.Fatalf("%q", problem)
			}
		}
		if len(more) > 0 {
			return
		}
		for _, r := range aliases {
			d := p.Destination(r.Address)
			if d.Domain == nil || d.Route != "in" || len(d.To) == 0 || len(d.To) > gateway.MaxTargets {
				t.Fatalf("%s: %+v", r.Address.Text, d)
			}
			for _, a := range d.To {
				if p.Domains[a.Domain] == nil || p.Routing.Maps[a.Domain].Domain != "" {
					t.Fatalf("%s leads to %s", r.Address.Text, a.Text)
				}
			}
		}
	})
}
