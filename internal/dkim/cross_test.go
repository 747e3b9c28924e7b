package dkim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// letter is a message and what may be known of its keys.
type letter struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
	Now  int64  `json:"now"`
	keys zone
}

// letters are the messages that others verify too: the files of testdata, and random ones, changed and not.
func letters(t testing.TB) []letter {
	t.Helper()
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil {
		t.Fatal(err)
	}
	var out []letter
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		base := strings.TrimSuffix(file, ".eml")
		out = append(out, letter{filepath.Base(base), bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), filesNow.Unix(), keysOf(t, base)})
	}
	keys, z := signers(t)
	r := rand.New(rand.NewPCG(*seed, 4))
	for range 400 {
		m := randomSigned(t, r, keys)
		for range r.IntN(2) {
			m = mutate(r, m)
		}
		if strings.Contains(m, "\r\n\r\n") && strings.HasSuffix(m, "\r\n") && !bare(m) { // as the edge lets in
			out = append(out, letter{"random", []byte(m), time.Now().Unix(), z})
		}
	}
	return out
}

// ours is what we say, pass or not, of each signature.
func ours(t testing.TB, l *letter) (out []Result) {
	h, body := cut(string(l.Data))
	out, _ = Verify(t.Context(), h, strings.NewReader(body), l.keys, Options{Now: time.Unix(l.Now, 0), TakeUncovered: true})
	return out
}

// pythonDiffers are the files of testdata that python3-dkim sees otherwise, and why; docs/rfc.md has more words.
var pythonDiffers = map[string]string{
	"07-relaxed-refolded":       "refuses white space before a colon, which RFC 5322 section 4.5 allows to read",
	"14-l-too-long":             "takes an l= beyond the end of the body",
	"18-future":                 "takes 10 hours, not 5 minutes",
	"27-from-not-signed":        "does not ask for From in h=",
	"32-d-u-label":              "knows no U-labels",
	"37-key-strict":             "does not read t=s",
	"45-two-keys":               "sees one text",
	"46-key-beside-other-texts": "sees one text",
	"48-key-for-sha1":           "does not read h= of keys",
	"56-q-two":                  "knows no list in q=",
	"57-signed-signature":       "chooses the signature itself where h= names one more than there are others",
	"67-no-field":               "refuses a header section with a line that is no field",
	"73-h-many":                 "has no bound",
	"75-from-in-other-header":   "takes a message without From",
}

// TestAgainstPython has python3-dkim verify the same messages with the same keys: one process for those of one set of keys.
func TestAgainstPython(t *testing.T) {
	same, differ := 0, map[string]int{}
	for _, group := range groups(letters(t)) {
		answers := python(t, group)
		for i := range group {
			l := &group[i]
			results := ours(t, l)
			if len(answers[i]) < len(results) {
				t.Errorf("%s: %d signatures, python says %v", l.Name, len(results), answers[i])
				continue
			}
			for k := range results {
				pass := answers[i][k] == "pass"
				if (results[k].Status == Pass) == pass {
					same++
					continue
				}
				reason := pythonDiffers[l.Name]
				if l.Name == "random" && (strings.Contains(answers[i][k], "Unexpected characters in RFC822 header") || spaced(l.Data)) {
					reason = "takes no white space before a colon"
				}
				if reason == "" {
					t.Errorf("%s, signature %d: %s (%s), python: %s\n%q", l.Name, k, results[k].Status, results[k].Reason, answers[i][k], l.Data)
				}
				differ[reason]++
			}
		}
	}
	if same < 300 {
		t.Errorf("only %d signatures were compared", same)
	}
	for name, reason := range pythonDiffers {
		if differ[reason] == 0 {
			t.Errorf("%s does not differ any more", name)
		}
	}
}

// spaced reports whether white space stands before a colon of the header.
func spaced(message []byte) bool {
	header, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	for _, f := range headerOf(string(header) + "\r\n") {
		if name, _, _ := bytes.Cut(f.Raw, []byte(":")); len(bytes.TrimRight(name, " \t\r\n")) < len(name) {
			return true
		}
	}
	return false
}

// groups puts letters with the same keys together.
func groups(all []letter) (out [][]letter) {
	at := map[string]int{}
	for _, l := range all {
		text, _ := json.Marshal(plain(l.keys))
		i, ok := at[string(text)]
		if !ok {
			i = len(out)
			at[string(text)], out = i, append(out, nil)
		}
		out[i] = append(out[i], l)
	}
	return out
}

// plain are the keys that there is one text for.
func plain(z zone) map[string]string {
	out := map[string]string{}
	for name, v := range z {
		switch v := v.(type) {
		case string:
			out[name] = v
		case []string:
			out[name] = v[0]
		}
	}
	return out
}

func python(t *testing.T, group []letter) [][]string {
	t.Helper()
	var in bytes.Buffer
	enc := json.NewEncoder(&in)
	if err := enc.Encode(map[string]any{"keys": plain(group[0].keys)}); err != nil {
		t.Fatal(err)
	}
	for i := range group {
		if err := enc.Encode(&group[i]); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/others/dkimpy.py")
	cmd.Stdin = &in
	var errors bytes.Buffer
	cmd.Stderr = &errors
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3-dkim: %v; is it installed (scripts/test installs it)?\n%s", err, errors.Bytes())
	}
	var out [][]string
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var a struct{ Results []string }
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		out = append(out, a.Results)
	}
	if len(out) != len(group) {
		t.Fatalf("%d answers to %d messages\n%s", len(out), len(group), errors.Bytes())
	}
	return out
}
