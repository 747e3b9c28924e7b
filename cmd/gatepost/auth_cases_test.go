package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/cli"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/signer"
)

// authCase is a file of testdata/auth: a message on its way, and what is said of it in the end.
//
//	# What it shows; required.
//	client 192.0.2.1
//	helo mail.sender.example
//	from <anna@sender.example>
//	zone                          records, names in full, on the lines below that begin with a blank
//	policy                        lines of policy.toml, likewise
//	message                       the message as its author wrote it, likewise
//	sign DOMAIN rsa [TAG...]      what happens to it then, in this order: signed; d= and s= are given, h= and others as tags
//	seal DOMAIN CV RESULTS        an ARC set is added
//	top FIELD                     a field is put in front
//	set FIELD                     the first field of that name becomes this one
//	append TEXT                   a line is put behind the body
//	fault NAME KIND               the name server answers questions for a name with servfail, timeout, huge, loop
//	results                       all of Authentication-Results, likewise, without comments, reasons, header.s and header.b
//	verdict OUTCOME [REASON]
//
// Keys are published in the zone by themselves, as rsa._domainkey and ed._domainkey of each domain that signs or seals.
type authCase struct {
	client, helo, from, zone, policy, verdict string
	message                                   []byte
	results                                   []string
	faults                                    map[string]dnslab.Kind
	keys                                      map[string]*signer.Key
}

// authKeys are made once: it takes longer than all cases together.
func authKeys(t *testing.T) map[string]*signer.Key {
	t.Helper()
	rsa, err := signer.RSA("", "rsa", 2048)
	if err != nil {
		t.Fatal(err)
	}
	ed, err := signer.Ed25519("", "ed")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*signer.Key{"rsa": rsa, "ed": ed}
}

func readAuthCase(t *testing.T, file string, keys map[string]*signer.Key) *authCase {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "# ") {
		t.Fatalf("%s does not say what it shows", file)
	}
	c, block := &authCase{keys: keys}, ""
	blocks := map[string]string{}
	for line := range strings.SplitSeq(string(text), "\n") {
		if rest, in := strings.CutPrefix(line, "\t"); in {
			if block == "" {
				t.Fatalf("%s: %q belongs to nothing", file, line)
			}
			blocks[block] += rest + "\n"
			continue
		}
		if block == "message" {
			c.message = []byte(strings.ReplaceAll(blocks[block], "\n", "\r\n"))
		}
		block = ""
		switch word, rest, _ := strings.Cut(line, " "); word {
		case "", "#":
		case "client":
			c.client = rest
		case "helo":
			c.helo = rest
		case "from":
			c.from = rest
		case "verdict":
			c.verdict = rest
		case "zone", "policy", "message", "results":
			block = word
		default:
			if err := c.step(word, rest); err != nil {
				t.Fatalf("%s: %s: %v", file, line, err)
			}
		}
	}
	c.zone, c.policy = c.zone+blocks["zone"], blocks["policy"]
	c.results = strings.Split(strings.TrimSpace(blocks["results"]), "\n")
	if c.client == "" || c.helo == "" || c.from == "" || c.verdict == "" || len(c.message) == 0 || blocks["results"] == "" {
		t.Fatalf("%s: client, helo, from, message, results and verdict are needed", file)
	}
	return c
}

// step is one thing that happens to the message on its way.
func (c *authCase) step(word, rest string) error {
	arguments := strings.Fields(rest)
	switch {
	case len(c.message) == 0:
		return errors.New("there is no message yet")
	case word == "sign" && len(arguments) >= 2:
		k, err := c.key(arguments[0], arguments[1])
		if err != nil {
			return err
		}
		c.message, err = k.Sign(c.message, arguments[2:]...)
		return err
	case word == "seal" && len(arguments) >= 3:
		k, err := c.key(arguments[0], "rsa")
		if err != nil {
			return err
		}
		c.message, err = k.Seal(c.message, arguments[1], strings.Join(arguments[2:], " "))
		return err
	case word == "fault" && len(arguments) == 2:
		kind, ok := map[string]dnslab.Kind{"servfail": dnslab.ServFail, "timeout": dnslab.Timeout, "huge": dnslab.HugeTXT, "loop": dnslab.CNAMELoop}[arguments[1]]
		if !ok {
			return errors.New("is no fault")
		}
		if c.faults == nil {
			c.faults = map[string]dnslab.Kind{}
		}
		c.faults[arguments[0]] = kind
	case word == "top":
		c.message = append([]byte(rest+"\r\n"), c.message...)
	case word == "append":
		c.message = append(c.message, rest+"\r\n"...)
	case word == "set":
		name, _, _ := strings.Cut(rest, ":")
		field := regexp.MustCompile(`(?im)^` + regexp.QuoteMeta(name) + `:.*\r\n`)
		at := field.FindIndex(c.message)
		if at == nil {
			return errors.New("there is no such field")
		}
		c.message = slices.Concat(c.message[:at[0]], []byte(rest+"\r\n"), c.message[at[1]:])
	default:
		return errors.New("is no line of such a file")
	}
	return nil
}

// key returns a key for a domain and publishes it.
func (c *authCase) key(domain, kind string) (*signer.Key, error) {
	if c.keys[kind] == nil {
		return nil, fmt.Errorf("%q is neither rsa nor ed", kind)
	}
	k := c.keys[kind].For(domain, kind)
	if !strings.Contains(c.zone, k.Record()) {
		c.zone += k.Record()
	}
	return k, nil
}

// plainResults are those of a field Authentication-Results without what is only for people or changes with the key.
func plainResults(field string) []string {
	value := strings.ReplaceAll(field, "\r\n", "")
	for {
		without := regexp.MustCompile(`\([^()]*\)`).ReplaceAllString(value, "")
		if without == value {
			break
		}
		value = without
	}
	value = regexp.MustCompile(`\b(reason="[^"]*"|reason=\S+|header\.[bs]=("[^"]*"|[^\s;]+))`).ReplaceAllString(value, "")
	var out []string
	for _, r := range strings.Split(value, ";")[1:] {
		out = append(out, strings.Join(strings.Fields(r), " "))
	}
	return out
}

// TestAuthCases runs the command on each file of testdata/auth: the whole of sender authentication, from the octets of a
// message to the field and the verdict.
func TestAuthCases(t *testing.T) {
	files, err := filepath.Glob("testdata/auth/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	keys := authKeys(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			c := readAuthCase(t, file, keys)
			lab := dnslab.New(t, dnslab.Text(c.zone))
			for name, kind := range c.faults {
				lab.SetFault(name, dnslab.Fault{Kind: kind})
			}
			dir := documents(t, "[dns]\nservers = [\""+lab.Addr()+"\"]\n", servesOne+c.policy)
			args := []string{"auth", writeMail(t, string(c.message)), "--config", dir, "--ip", c.client, "--helo", c.helo, "--from", c.from}
			code, out, errOut := gatepost(t, append(args, "--json")...)
			var told struct {
				Verdict gateway.Verdict
				Results string `json:"authentication_results"`
			}
			if err := json.Unmarshal([]byte(out), &told); err != nil {
				t.Fatalf("exit %d, %v\n%s", code, err, errOut)
			}
			v := &told.Verdict
			if got := strings.TrimSpace(v.Outcome.String() + " " + string(v.Reason)); got != c.verdict || (code == cli.Found) != v.Outcome.Refuses() {
				t.Errorf("verdict %s, exit %d, want %s", got, code, c.verdict)
			}
			if got := plainResults(told.Results); !slices.Equal(got, c.results) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(c.results, "\n\t"))
			}
			if t.Failed() {
				_, out, _ = gatepost(t, args...)
				t.Logf("%s\n%s", out, c.message)
			}
		})
	}
}
