package mails

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/htmlindex"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

func fixed() Options { return Options{Date: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)} }

// set are all that the package makes.
func set() []Mail {
	return slices.Concat(All(fixed()), Content(fixed()), []Mail{Big(fixed(), 100_000), Named(fixed(), "Paul Grau")})
}

func TestForm(t *testing.T) {
	seen := make(map[string]bool)
	for _, m := range set() {
		if seen[m.Name] {
			t.Errorf("two are named %s", m.Name)
		}
		seen[m.Name] = true
		rest := bytes.ReplaceAll(m.Body, []byte("\r\n"), nil)
		if bytes.ContainsAny(rest, "\r\n\x00") || !bytes.HasSuffix(m.Body, []byte("\r\n")) {
			t.Errorf("%s: bare CR, LF or NUL, or no CRLF at its end", m.Name)
		}
		over := func(b []byte) bool { return bytes.ContainsFunc(b, func(r rune) bool { return r > 127 }) }
		head, _, _ := bytes.Cut(m.Body, []byte("\r\n\r\n"))
		if over(m.Body) != m.EightBit || (over(head) || over([]byte(m.From+m.To))) != m.UTF8 {
			t.Errorf("%s: 8-bit %v in all, %v in its header; it says %v and %v", m.Name, over(m.Body), over(head), m.EightBit, m.UTF8)
		}
		for line := range bytes.Lines(m.Body) {
			if len(line) > 998+2 {
				t.Errorf("%s: a line of %d octets", m.Name, len(line))
			}
		}
		if !bytes.Equal(m.Body, remake(m).Body) {
			t.Errorf("%s: not the same octets again", m.Name)
		}
	}
}

// remake makes a message of the same name again.
func remake(m Mail) Mail {
	for _, again := range set() {
		if again.Name == m.Name {
			return again
		}
	}
	return Mail{}
}

func TestBigHasItsSize(t *testing.T) {
	for _, size := range []int{2000, 2001, 2039, 2078, 2079, 2080, 2081, 100_000, 3_000_000} {
		if got := len(Big(fixed(), size).Body); got != size {
			t.Errorf("%d octets, want %d", got, size)
		}
	}
}

// What a mail program would show.
func TestReadable(t *testing.T) {
	for name, want := range map[string][2]string{
		"us-ascii":    {"Minutes of Thursday's meeting", "\r\n.\r\n..\r\n"},
		"utf8-8bit":   {"Ankunft – прибытие – 到着", "列車は十時に着きます。"},
		"latin1-qp":   {"Straßensperrung Köln", "die Straße nach Köln ist für zwei Tage gesperrt; die Umleitung führt über Düren. Déjà vu?"},
		"iso-2022-jp": {"日本語", "こんにちは"},
		"utf8-base64": {"Reunião de quinta-feira", "a reunião de quinta-feira começa às dez"},
		"smtputf8":    {"Grüße aus Köln", "Schöne Grüße!"},
		"gtube":       {"A test of the spam filter", lab.GTUBE()},
	} {
		m, err := mail.ReadMessage(bytes.NewReader(remake(Mail{Name: name}).Body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		decoder := mime.WordDecoder{CharsetReader: reader}
		if got, err := decoder.DecodeHeader(m.Header.Get("Subject")); err != nil || got != want[0] {
			t.Errorf("%s: subject %q (%v), want %q", name, got, err, want[0])
		}
		if got := shown(t, m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body); !strings.Contains(got, want[1]) {
			t.Errorf("%s: text %q, want %q in it", name, got, want[1])
		}
	}
}

func reader(charset string, r io.Reader) (io.Reader, error) {
	e, err := htmlindex.Get(charset)
	if err != nil {
		return nil, err
	}
	return e.NewDecoder().Reader(r), nil
}

// shown is the text of a part, or of the first part of several.
func shown(t *testing.T, contentType, encoding string, body io.Reader) string {
	t.Helper()
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(kind, "multipart/") {
		part, err := multipart.NewReader(body, parameters["boundary"]).NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		return shown(t, part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part)
	}
	switch encoding {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	decoded, err := reader(parameters["charset"], body)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(decoded)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Another program opens the archive with its password, and not without.
func TestLocked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.zip")
	if err := os.WriteFile(file, Locked("a.txt", "2026", []byte("in clear")), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(password string) string {
		out, err := exec.CommandContext(t.Context(), "python3", "-c", `import sys, zipfile
try: print(zipfile.ZipFile(sys.argv[1]).read("a.txt", sys.argv[2].encode()).decode())
except RuntimeError as e: print(e)`, file, password).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if got := open("2026"); got != "in clear\n" {
		t.Errorf("with its password: %q", got)
	}
	if got := open("2027"); !strings.Contains(got, "Bad password") {
		t.Errorf("with another: %q", got)
	}
}

// The real scanners see in each message what its kind says.
func TestScannersAgree(t *testing.T) {
	clamd := labtest.Clamd(t, lab.ClamdOptions{})
	spamd := labtest.Spamd(t, lab.SpamdOptions{})
	for _, m := range slices.Concat(All(Options{}), Content(Options{}), []Mail{Big(Options{}, 300_000), Named(Options{}, "Paul Grau")}) {
		virus := ask(t, clamd.Socket, "zINSTREAM\x00", chunk(m.Body))
		if got := strings.Contains(virus, "Eicar-Test-Signature"); got != (m.Kind == Virus) || strings.Contains(virus, "ERROR") {
			t.Errorf("%s: clamd says %q", m.Name, virus)
		}
		spam := ask(t, spamd.Socket, fmt.Sprintf("SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\n\r\n", len(m.Body)), m.Body)
		if got := strings.Contains(spam, "Spam: True"); got != (m.Kind == Spam) || !strings.Contains(spam, "EX_OK") {
			t.Errorf("%s: spamd says %q", m.Name, spam)
		}
		t.Logf("%s: %q", m.Name, spam)
	}
}

func chunk(data []byte) []byte {
	n := len(data)
	return append(append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, data...), 0, 0, 0, 0)
}

func ask(t *testing.T, socket, request string, data []byte) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(append([]byte(request), data...)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}
