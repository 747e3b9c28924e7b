package spf

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestCases plays testdata/NN-name.txt. Its first line, after #, says what it shows. Lines "name TYPE value" are the zone;
// a line "query: ip=… from=… helo=…" begins a case, and the lines "result:", "mechanism:", "chain:", "explanation:",
// "problem:" (a part of it), "record:", "lookups:", "voids:" and "never:" below it say what comes of it.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/[0-9]*.txt")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(text), "# ") {
				t.Error("its first line does not say what it shows")
			}
			var zone strings.Builder
			var queries []string
			for line := range strings.Lines(string(text)) {
				line = strings.TrimSpace(line)
				word, rest, _ := strings.Cut(line, " ")
				switch {
				case strings.HasPrefix(line, "#"), line == "":
				case word == "query:":
					queries = append(queries, rest)
				case strings.HasSuffix(word, ":") && len(queries) > 0:
					queries[len(queries)-1] += "\n" + line
				default:
					zone.WriteString(line + "\n")
				}
			}
			w := worldOf(t, zone.String())
			if len(queries) == 0 {
				t.Error("no query")
			}
			for _, q := range queries {
				playCase(t, w, q)
			}
		})
	}
}

func playCase(t *testing.T, w *world, text string) {
	head, expects, _ := strings.Cut(text, "\n")
	q := Query{Receiver: "mx.receiver.example", Now: time.Unix(1_795_000_000, 0)}
	for _, field := range strings.Fields(head) {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "ip":
			q.IP = netip.MustParseAddr(value)
		case "from":
			q.Sender = value
			q.Domain = value[strings.LastIndexByte(value, '@')+1:]
		case "helo":
			q.Helo = value
		default:
			t.Errorf("%q: no such field of a query", field)
		}
	}
	o := Check(t.Context(), w, q)
	told := map[string]string{"result": o.Result.String(), "mechanism": o.Mechanism, "chain": strings.Join(o.Chain, " > "),
		"explanation": o.Explanation, "problem": o.Problem, "record": o.Record, "lookups": strconv.Itoa(o.Lookups),
		"voids": strconv.Itoa(o.Voids), "never": strconv.FormatBool(o.Never)}
	said := 0
	for line := range strings.Lines(expects) {
		name, want, _ := strings.Cut(strings.TrimSpace(line), ":")
		want = strings.TrimSpace(want)
		got, ok := told[name]
		said++
		if !ok || got != want && (name != "problem" || want == "" || !strings.Contains(got, want)) {
			t.Errorf("query %s: %s is %q, want %q\n%+v", head, name, got, want, o)
		}
	}
	if said == 0 {
		t.Errorf("query %s: nothing is expected of it", head)
	}
}
