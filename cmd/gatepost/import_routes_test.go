package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/cli"
	"gatepost/internal/lab"
)

// postfixOracle is a Postfix configuration that Debian's postconf and postmap read: what a table has comes from postmap -q, what
// a parameter is from postconf -x. Only the order of look-ups (trivial-rewrite(8), ADDRESS_CLASS_README) is written out here.
type postfixOracle struct {
	t      *testing.T
	dir    string
	values map[string]string
	found  map[string]string // table and key
}

// newPostfixOracle copies a folder with its tables as texthash and regexp, which need no database, and asks for all keys at once.
func newPostfixOracle(t *testing.T, from string, addresses []string) *postfixOracle {
	t.Helper()
	o := &postfixOracle{t: t, dir: t.TempDir(), values: map[string]string{}, found: map[string]string{}}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour) // Postfix waits until a file that changed just now is two seconds old
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("texthash:/", "texthash:/", "hash:/", "texthash:/", "pcre:/", "regexp:/").Replace(string(data))
		text = strings.NewReplacer("/etc/postfix/", o.dir+"/", "$config_directory/", o.dir+"/").Replace(text)
		text = strings.Replace(text, "\nbroken line\n", "\n", 1) // Postfix itself stops there
		path := filepath.Join(o.dir, e.Name())
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains", "virtual_alias_maps", "transport_maps", "relayhost",
		"relay_transport", "virtual_transport", "local_transport", "parent_domain_matches_subdomains"}
	out, err := lab.PostfixTool(t.Context(), o.dir, "", "postconf", append([]string{"-c", o.dir, "-x"}, names...)...)
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(out) {
		name, value, _ := strings.Cut(l, "=")
		o.values[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	o.fetch(addresses)
	return o
}

// fetch asks every table for every key that may be looked up.
func (o *postfixOracle) fetch(addresses []string) {
	var keys []string
	for _, a := range addresses {
		user, domain, _ := strings.Cut(a, "@")
		keys = append(keys, a, user, "@"+domain, domain, "*")
		for rest := domain; strings.Contains(rest, "."); {
			_, rest, _ = strings.Cut(rest, ".")
			keys = append(keys, rest, "."+rest)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	for _, name := range []string{"mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains", "virtual_alias_maps", "transport_maps"} {
		for _, ref := range elements(o.values[name]) {
			if !strings.Contains(ref, ":") || o.found[ref] != "" {
				continue
			}
			out, err := lab.PostfixTool(o.t.Context(), o.dir, strings.Join(keys, "\n")+"\n", "postmap", "-c", o.dir, "-q", "-", ref)
			if err != nil {
				o.t.Fatal(err)
			}
			o.found[ref] = "asked"
			for l := range strings.Lines(out) {
				if key, value, ok := strings.Cut(strings.TrimRight(l, "\n"), "\t"); ok {
					o.found[ref+"\n"+key] = value
				}
			}
		}
	}
}

// elements are those of a list, with what is in braces whole.
func elements(list string) (out []string) {
	depth := 0
	return slices.DeleteFunc(strings.FieldsFunc(list, func(r rune) bool {
		depth += map[rune]int{'{': 1, '}': -1}[r]
		return depth == 0 && (r == ',' || r == ' ' || r == '\t')
	}), func(s string) bool { return s == "" })
}

func (o *postfixOracle) parents(list string) bool {
	return slices.Contains(strings.Split(strings.ReplaceAll(o.values["parent_domain_matches_subdomains"], " ", ""), ","), list)
}

// in reports whether a domain is in a list of domains (match_list(3), by name).
func (o *postfixOracle) in(list, domain string) bool {
	names := []string{domain}
	for rest := domain; strings.Contains(rest, "."); {
		_, rest, _ = strings.Cut(rest, ".")
		if o.parents(list) {
			names = append(names, rest)
		} else {
			names = append(names, "."+rest)
		}
	}
	for _, e := range elements(o.values[list]) {
		for _, name := range names {
			if e == name || strings.Contains(e, ":") && o.found[e+"\n"+name] != "" {
				return true
			}
		}
	}
	return false
}

func (o *postfixOracle) lookup(list, key string) string {
	for _, ref := range elements(o.values[list]) {
		if v := o.found[ref+"\n"+key]; v != "" {
			return v
		}
	}
	return ""
}

// final are the addresses that virtual_alias_maps make of one.
func (o *postfixOracle) final(address string, depth int) []string {
	_, domain, _ := strings.Cut(address, "@")
	v := o.lookup("virtual_alias_maps", address)
	if v == "" {
		user, _, _ := strings.Cut(address, "@")
		if v = o.lookup("virtual_alias_maps", "@"+domain); strings.HasPrefix(v, "@") {
			v = user + v
		}
	}
	if v == "" || v == address || depth > 5 {
		return []string{address}
	}
	var out []string
	for _, to := range elements(v) {
		out = append(out, o.final(to, depth+1)...)
	}
	return out
}

// way is the next hop of an address, "refused", or "own" for what Postfix does itself.
func (o *postfixOracle) way(address string) string {
	_, domain, _ := strings.Cut(address, "@")
	transport := ""
	switch {
	case o.in("mydestination", domain):
		transport = o.values["local_transport"]
	case o.in("virtual_alias_domains", domain):
		return "own"
	case o.in("virtual_mailbox_domains", domain):
		transport = o.values["virtual_transport"]
	case o.in("relay_domains", domain):
		transport = o.values["relay_transport"]
	default:
		return "refused"
	}
	keys := []string{address, domain}
	for rest := domain; strings.Contains(rest, "."); {
		_, rest, _ = strings.Cut(rest, ".")
		keys = append(keys, map[bool]string{true: rest, false: "." + rest}[o.parents("transport_maps")])
	}
	for _, key := range append(keys, "*") {
		if v := o.lookup("transport_maps", key); v != "" {
			transport = v
			break
		}
	}
	channel, next, _ := strings.Cut(transport, ":")
	switch channel {
	case "smtp", "relay", "lmtp", "":
	default:
		return "own"
	}
	if next == "" && o.in("relay_domains", domain) {
		next = o.values["relayhost"]
	}
	if next == "" {
		return "mx of " + domain
	}
	first, _, _ := strings.Cut(next, ",")
	first = strings.TrimPrefix(first, "inet:")
	if rest, unix := strings.CutPrefix(first, "unix:"); unix {
		return rest
	}
	host, port, ok := strings.Cut(strings.NewReplacer("[", "", "]", "").Replace(first), ":")
	if !ok {
		port = map[bool]string{true: "24", false: "25"}[channel == "lmtp"]
	}
	return host + ":" + port
}

// TestImportRoutesLikePostfix asks for addresses in and beside each domain of a configuration where Postfix would send their mail, and
// gatepost route where the imported one does: the same, or the report tells of the difference.
func TestImportRoutesLikePostfix(t *testing.T) {
	users := []string{"anna", "info", "sales", "boss", "postmaster"}
	domains := []string{"example.org", "sub.example.org", "example.com", "a.b.example.com", "example.net", "sub.example.net", "old.example", "partner.example", "mx.partner.example",
		"error.example", "gone.example", "elsewhere.example", "org"}
	var addresses []string
	for _, d := range domains {
		for _, u := range users {
			addresses = append(addresses, u+"@"+d)
		}
	}
	same, told := 0, 0
	for _, name := range []string{"01-one-domain", "02-many-things", "03-postscreen", "05-stores", "06-secrets"} {
		from := filepath.Join(importsUnder, name)
		o := newPostfixOracle(t, from, addresses)
		out := filepath.Join(t.TempDir(), "made")
		if code, _, errOut := gatepost(t, "import", "postfix", "--config-dir", from, "--out", out); code != cli.Done {
			t.Fatal(errOut)
		}
		report, err := os.ReadFile(filepath.Join(out, "report.txt"))
		if err != nil {
			t.Fatal(err)
		}
		_, lines, _ := gatepost(t, append([]string{"route", "--json", "--config", out}, addresses...)...)
		ours := strings.Split(strings.TrimSpace(lines), "\n")
		if len(ours) != len(addresses) {
			t.Fatalf("%s: %d answers:\n%s", name, len(ours), lines)
		}
		for i, address := range addresses {
			var got struct {
				Served   bool
				To       []string
				NextHops []string `json:"next_hops"`
			}
			if err := json.Unmarshal([]byte(ours[i]), &got); err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, to := range o.final(address, 0) {
				want = append(want, o.way(to))
			}
			slices.Sort(want)
			switch want = slices.Compact(want); {
			case len(want) == 1 && want[0] == "refused" && !got.Served,
				len(want) == 1 && got.Served && len(got.NextHops) > 0 && strings.Contains(got.NextHops[0], strings.TrimSuffix(want[0], ":25")):
				same++
			case isTold(string(report), address):
				told++
			default:
				t.Errorf("%s: Postfix sends %s to %q, the import says %s", name, address, want, ours[i])
			}
		}
	}
	t.Logf("%d the same, %d told as different", same, told)
	if same < 200 {
		t.Errorf("only %d are the same", same)
	}
}

// isTold reports whether a report has a line that says of an address or its domain, or of the names below one, that something is
// not taken as it was.
func isTold(report, address string) bool {
	_, domain, _ := strings.Cut(address, "@")
	report, _, _ = strings.Cut(report, "\nTAKEN\n")
	for block := range strings.SplitSeq(report, "\n  ") {
		if strings.Contains(block, address) || strings.Contains(block, ": "+domain) || strings.Contains(block, ": ."+domain) || strings.Contains(block, "@"+domain) {
			return true
		}
		for rest := domain; strings.Contains(rest, "."); {
			_, rest, _ = strings.Cut(rest, ".")
			if strings.Contains(block, "["+rest+"]") && strings.Contains(block, "without the names below it") {
				return true
			}
		}
	}
	return false
}
