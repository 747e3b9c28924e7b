package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type spfOptions struct {
	BestGuess bool `toml:"best_guess" doc:"Try a record that is not there."`
	Lookups   int  `toml:"lookups" default:"10" min:"1" max:"20" unit:"questions" rfc:"RFC 7208 section 4.6.4" doc:"The most DNS questions."`
}

type rblOptions struct {
	Lists    []string      `toml:"lists" format:"domain" doc:"The lists."`
	Wait     time.Duration `toml:"wait" default:"3s" min:"100ms" max:"30s" doc:"How long one list may take."`
	Together time.Duration `toml:"together" default:"5s" doc:"How long all may take."`
	Keep     int64         `toml:"keep" unit:"bytes" default:"1M" doc:"The cache."`
}

func (o *rblOptions) Validate(report func(key, message, instead string)) {
	if o.Wait > o.Together {
		report("wait", "is longer than together", "write at most as long")
	}
}

// testSections stand for the checks, which this package does not know.
func testSections() Sections {
	return Sections{
		"spf": {Name: "spf", Doc: "Asks whether the client may send for the reverse-path's domain.", RFC: "RFC 7208", Options: &spfOptions{},
			Reasons:  map[string]Action{"spf.only": Reject},
			Moved:    map[string]string{"spf.gone": "write checks.rbl.action"},
			Measures: []Measure{{"fail", "The domain says no.", 3}, {"softfail", "The domain says probably not.", 1}}},
		"fixed":      {Name: "fixed", Doc: "Finds what nothing makes milder.", Action: Reject, Unknown: Defer, Firm: true},
		"least":      {Name: "least", Doc: "Is not to be milder than that.", Action: Reject, Unknown: Defer, Least: Quarantine},
		"parts":      {Name: "parts", Doc: "Names parts.", Action: Strip, Unknown: Defer, Parts: true, Reasons: map[string]Action{"attachments.macro": Strip}},
		"rbl":        {Name: "rbl", Doc: "Health of the lists.", Action: Observe, Unknown: Pass, Costly: true},
		"rbl.client": {Name: "rbl.client", Doc: "Looks the client up in lists.", Options: &rblOptions{}, Measures: []Measure{{"list.*", "One list.", 0}}},
	}
}

// decodeFixture reads a document of testdata, whose first line says which of the two it is.
func decodeFixture(t *testing.T, path string) (*Bootstrap, *Policy, Problems) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch first, _, _ := strings.Cut(string(data), "\n"); strings.TrimPrefix(strings.TrimSpace(first), "# ") {
	case BootstrapFile:
		b, ps := DecodeBootstrap(BootstrapFile, data)
		return b, nil, ps
	case PolicyFile:
		p, ps := DecodePolicy(PolicyFile, data, testSections())
		return nil, p, ps
	}
	t.Fatalf("%s: the first line is neither # %s nor # %s", path, BootstrapFile, PolicyFile)
	return nil, nil, nil
}

// TestRefuse reads every testdata/refuse/NN-name.toml and wants exactly the lines of NN-name.want.
func TestRefuse(t *testing.T) {
	files, _ := filepath.Glob("testdata/refuse/*.toml")
	if len(files) < 40 {
		t.Fatalf("only %d fixtures", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			_, _, problems := decodeFixture(t, file)
			compareFile(t, strings.TrimSuffix(file, ".toml")+".want", problems.Error()+"\n")
			if !problems.Refused() {
				t.Error("not refused")
			}
		})
	}
}

// TestAccept reads every testdata/accept/NN-name.toml and wants no problem but the warnings of NN-name.want, if there.
func TestAccept(t *testing.T) {
	files, _ := filepath.Glob("testdata/accept/*.toml")
	if len(files) == 0 {
		t.Fatal("no fixtures")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			_, _, problems := decodeFixture(t, file)
			if problems.Refused() {
				t.Errorf("refused:\n%s", problems)
			}
			want := strings.TrimSuffix(file, ".toml") + ".want"
			if _, err := os.Stat(want); errors.Is(err, os.ErrNotExist) {
				if len(problems) > 0 {
					t.Errorf("warned:\n%s", problems)
				}
				return
			}
			compareFile(t, want, problems.Error()+"\n")
		})
	}
}

func compareFile(t *testing.T, path, got string) {
	t.Helper()
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; got:\n%s", err, got)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%swant\n%s", path, got, want)
	}
}

// The examples of docs/routes.md are good as they stand.
func TestDocumentedRoutes(t *testing.T) {
	text, err := os.ReadFile("../../docs/routes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```toml\n")[1:]
	if len(blocks) < 5 {
		t.Fatalf("only %d examples", len(blocks))
	}
	for _, block := range blocks {
		doc, _, _ := strings.Cut(block, "```")
		p, problems := DecodePolicy(PolicyFile, []byte(doc), testSections())
		if problems.Refused() || len(p.Routes) != 1 {
			t.Errorf("%s\n%v", doc, problems)
		}
	}
}
