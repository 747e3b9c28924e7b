package spf

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// randomCase is a zone and a query that a seed determines: domains whose records are made of terms at random, mostly
// well-formed, over names that have addresses, mail hosts, records, nothing, or no answer.
type randomCase struct {
	w              *world
	ip, helo, from string
}

const clients = 6

var clientAddrs = [clients]string{"192.0.2.1", "192.0.2.77", "198.51.100.9", "2001:db8::1", "2001:db8:7::9", "::ffff:192.0.2.1"}

func makeCase(seed uint64) randomCase {
	r := rand.New(rand.NewPCG(seed, 7208))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	c := randomCase{w: &world{zone: map[string][]rr{}}, ip: clientAddrs[r.IntN(clients)]}
	add := func(name, kind, value string) {
		if err := c.w.add(name, kind, value); err != nil {
			panic(err)
		}
	}
	domains := []string{"a.example", "b.example", "c.example", "d.a.example", "e.b.example", "f.example"}
	hosts := []string{"h1.a.example", "h2.b.example", "h3.example", "empty.example", "gone.example"}
	for _, h := range hosts[:3] {
		for range 1 + r.IntN(2) {
			add(h, "A", fmt.Sprintf("%s.%d", pick("192.0.2", "198.51.100"), pick1(r, 1, 77, 9, 200)))
		}
		if r.IntN(2) == 0 {
			add(h, "AAAA", pick("2001:db8::1", "2001:db8:7::9", "2001:db8:1::2"))
		}
	}
	add("empty.example", "TXT", `"nothing of interest"`)
	add("dead.example", "TIMEOUT", "")
	add("alias.example", "CNAME", "h1.a.example")
	for _, ip := range []string{"192.0.2.1", "2001:db8::1"} {
		if r.IntN(3) > 0 {
			add(ip, "PTR", pick(hosts...))
		}
	}
	for i, d := range domains {
		if r.IntN(3) > 0 {
			add(d, "A", fmt.Sprintf("192.0.2.%d", pick1(r, 1, 77, 50)))
		}
		for range r.IntN(4) {
			add(d, "MX", fmt.Sprintf("%d %s", r.IntN(3)*10, pick(hosts...)))
		}
		switch r.IntN(20) {
		case 0:
			add(d, "TXT", `"v=spf10 no record"`)
			continue
		case 1:
			add(d, "TXT", `"v=spf1 -all"`) // and another: several
		}
		add(d, "TXT", fmt.Sprintf("%q", randomRecord(r, d, domains[i:], hosts)))
	}
	for _, name := range []string{"192.0.2.1.list.example", "1.2.0.192.list.example", "in-addr.list.example", "joe.list.example", "x.joe.list.example"} {
		add(name, "A", "127.0.0.2")
	}
	add("why.example", "TXT", pick(`"%{i} is not of %{d}, said %{s}"`, `"no"`, `"%{x}"`, `"see http://%{o}/?%{S}%_%%."`))
	c.helo = pick("h1.a.example", "a.example", "h3.example", "[192.0.2.1]")
	c.from = pick("", "joe@", "joe-x@", "x.joe@", "a+b@") // the null path too
	if c.from != "" {
		c.from += domains[0]
	}
	return c
}

// badOne is seldom one of the broken texts, so that most records are whole; else what is in order everywhere.
func badOne(r *rand.Rand, list ...string) string {
	if r.IntN(4) == 0 {
		return list[r.IntN(len(list))]
	}
	switch {
	case strings.HasPrefix(list[0], "/"):
		return ""
	case strings.HasPrefix(list[0], "192"):
		return "192.0.2.9"
	case strings.HasPrefix(list[0], "2001"):
		return "2001:db8:9::"
	case list[0] == "nonsense":
		return "mx"
	}
	return "h2.b.example"
}

func pick1(r *rand.Rand, list ...int) int { return list[r.IntN(len(list))] }

// randomRecord makes a record for a domain, whose includes lead to the domains behind it and now and then in a circle.
func randomRecord(r *rand.Rand, self string, domains, hosts []string) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	target := func() string {
		switch r.IntN(24) {
		case 0, 4:
			return pick("dead.example", "nowhere.example", "nothing.example")
		case 1, 5, 6:
			return pick("%{d}", "%{o}", "h3.%{d1}", "%{d2}", "%{h}", "%{D}", "f.example.", "alias.example")
		case 2, 7, 8:
			return pick("%{i}.list.example", "%{ir}.list.example", "%{v}.list.example", "%{l}.list.example", "%{l1r-}.list.example",
				"%{lr-}.list.example", "%{l-}.list.example", "%{p}.list.example", "%{p}")
		case 3:
			return badOne(r, "%(d).example", "example", "1.2.3.4", "a..example", "%{c}.example", "a.example:25")
		}
		return pick(append(hosts, domains...)...)
	}
	other := func() string {
		if r.IntN(12) == 0 {
			return target()
		}
		for { // pyspf takes a record that includes itself for broken, also where it is not evaluated
			if d := pick(append(domains, "f.example", "g.example")...); d != self {
				return d
			}
		}
	}
	var terms []string
	modifiers := 0
	for range r.IntN(6) {
		q := pick("", "", "", "", "-", "~", "?", "+")
		switch r.IntN(9) {
		case 0, 1:
			terms = append(terms, q+"include:"+other())
		case 2:
			terms = append(terms, q+"a"+pick("", ":"+target())+pick("", "", "/24", "//64", "/24//48", "/0", "//0", badOne(r, "/33", "/24/64")))
		case 3:
			terms = append(terms, q+"mx"+pick("", ":"+target())+pick("", "", "/24", "//64"))
		case 4:
			terms = append(terms, q+"ip4:"+pick("192.0.2.0/28", "192.0.2.77", "198.51.100.0/24", "203.0.113.7", "203.0.113.8", "198.51.100.77/31", badOne(r, "192.0.2.0/33", "192.0.2", "192.0.02.1")))
		case 5:
			terms = append(terms, q+"ip6:"+pick("2001:db8::/64", "2001:db8:7::9", "::1", "2001:db8:1::/48", "::ffff:192.0.2.1", badOne(r, "2001:db8::/129", "1::2::3")))
		case 6:
			terms = append(terms, q+"exists:"+target())
		case 7:
			terms = append(terms, q+"ptr"+pick("", ":"+target()))
		case 8:
			modifiers++ // pyspf takes any modifier that stands there twice for an error
			terms = append(terms, pick(q+"ALL", fmt.Sprintf("x%d=%%{d}", modifiers), "Include:"+other(),
				fmt.Sprintf("x-%d.y_z=1/2", modifiers), q+"A:"+target(), badOne(r, "nonsense", "-all:x", "y=%abc", "ip4", "exists")))
		}
	}
	if r.IntN(3) == 0 {
		terms = append(terms, "exp="+pick("why.example", "why.example", "dead.example", "nothing.example", "why.%{d}"))
	}
	if r.IntN(4) == 0 {
		terms = append(terms, "redirect="+other())
	}
	if r.IntN(3) > 0 {
		terms = append(terms, pick("-all", "~all", "?all"))
	}
	r.Shuffle(len(terms), func(i, j int) {
		if r.IntN(4) == 0 {
			terms[i], terms[j] = terms[j], terms[i]
		}
	})
	return "v=spf1 " + strings.Join(terms, pick(" ", " ", "  "))
}
