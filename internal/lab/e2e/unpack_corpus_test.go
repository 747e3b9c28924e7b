package e2e

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/unpack"
)

// unpacked runs `gatepost unpack` over files, and returns its report. Whatever it says besides fails the test: a process
// that is not confined, one that crashed.
func unpacked(t *testing.T, binary string, files ...string) (r unpack.Report, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"unpack", "--json"}, files...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || stderr.Len() > 0 {
		t.Fatalf("gatepost unpack %v: %v: %s", files, err, stderr.String())
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("gatepost unpack %v: %v: %.200s", files, err, out)
	}
	return r, cmd.ProcessState.ExitCode()
}

// TestUnpackCorpus: each file of the corpora of archives and documents goes through the process that is confined: it needs nothing
// there that it may not have, and finds in archives what their reports say.
func TestUnpackCorpus(t *testing.T) {
	t.Parallel()
	binary, err := lab.BuildPlain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob("../../unpack/*/testdata/[0-9][0-9]-*")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, f := range all {
		if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() && !strings.HasSuffix(f, ".report") {
			files = append(files, f)
		}
	}
	if len(files) < 50 {
		t.Fatalf("%d files", len(files))
	}
	for len(files) > 0 {
		some := files[:min(8, len(files))]
		files = files[len(some):]
		r, code := unpacked(t, binary, some...)
		if r.Limit != "" || code != 0 {
			t.Errorf("%v: limit %q, exit code %d", some, r.Limit, code)
		}
		names := make([][]string, len(some)) // of what each holds
		for _, o := range r.Objects {
			if o.Depth > 0 {
				// A packed file is named after the file that holds it, with its path.
				names[o.Part] = append(names[o.Part], strings.TrimPrefix(o.Name, filepath.Dir(some[o.Part])+"/"))
			}
		}
		for i, f := range some {
			if !strings.Contains(f, "/archive/") {
				continue
			}
			if want := namesOf(t, f+".report"); strings.Join(names[i], "\n") != strings.Join(want, "\n") {
				t.Errorf("%s holds %q, want %q", f, names[i], want)
			}
		}
	}
}

// namesOf reads the names of what an archive holds from its report.
func namesOf(t *testing.T, file string) (out []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		quoted, err := strconv.QuotedPrefix(strings.TrimLeft(line, " "))
		if err != nil || !strings.HasPrefix(line, "  ") {
			continue // a sign, or the archive itself
		}
		name, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%s: %q", file, line)
		}
		out = append(out, name)
	}
	return out
}

// TestUnpackBombs: the real process ends at a limit where an archive is made to fill memory, and does not die of it.
func TestUnpackBombs(t *testing.T) {
	t.Parallel()
	binary, err := lab.BuildPlain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var member, many bytes.Buffer
	g := gzip.NewWriter(&member)
	if _, err := g.Write(make([]byte, 64<<20)); err != nil {
		t.Fatal(err)
	}
	g.Close()
	z := zip.NewWriter(&many)
	for i := range 100000 {
		if _, err := z.CreateRaw(&zip.FileHeader{Name: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	z.Close()
	for _, c := range []struct {
		name  string
		b     []byte
		limit []unpack.Limit
	}{
		{"10GB.gz", bytes.Repeat(member.Bytes(), 160), []unpack.Limit{unpack.TooMuch, unpack.TooDense}},
		{"many.zip", many.Bytes(), []unpack.Limit{unpack.TooManyEntries}},
		{"window.zst", []byte("\x28\xb5\x2f\xfd\x00\xa0\x01\x00\x00\x00"), []unpack.Limit{unpack.TooBig}},
	} {
		file := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(file, c.b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, code := unpacked(t, binary, file)
		met := false
		for _, l := range c.limit {
			met = met || r.Limit == l
		}
		if !met || code != 1 {
			t.Errorf("%s: limit %q (want one of %v), exit code %d", c.name, r.Limit, c.limit, code)
		}
	}
}
