package icap_test

import (
	"archive/zip"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/icap"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

func client(t testing.TB, cfg icap.Config) *icap.Client {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	c, err := icap.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close) // c-icap waits for its clients before it ends
	return c
}

func content(data []byte) icap.Content {
	return icap.Content{Name: "a file.eml", Type: "message/rfc822", Data: bytes.NewReader(data), Size: int64(len(data))}
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("x.com")
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Debian's c-icap with its virus scanner over a real clamd, and its echo, which sends back what it gets.
func TestReal(t *testing.T) {
	clamd := labtest.Clamd(t, lab.ClamdOptions{})
	server := labtest.ICAP(t, lab.ICAPOptions{Clamd: clamd.Socket})
	scan := client(t, icap.Config{Address: server.Addr, Service: "avscan"})
	said, err := scan.Probe(t.Context())
	if err != nil || !strings.Contains(said, "Antivirus") {
		t.Fatalf("probe: %q, %v", said, err)
	}
	mail := "From: a@example.org\r\nSubject: x\r\n\r\n" + strings.Repeat("a line of text\r\n", 1000)
	for name, tc := range map[string]struct {
		data []byte
		kind icap.Kind
	}{
		"empty":           {nil, icap.Clean},
		"small":           {[]byte("hello\r\n"), icap.Clean},
		"mail":            {[]byte(mail), icap.Clean},
		"megabytes":       {[]byte(mail + strings.Repeat("0123456789abcde\n", 300_000)), icap.Clean},
		"EICAR":           {[]byte(lab.EICAR()), icap.Infected},
		"zipped":          {zipped(t, lab.EICAR()), icap.Infected},
		"at a mail's end": {[]byte(mail + lab.EICAR()), icap.Infected},
		"after megabytes": {[]byte(strings.Repeat("0123456789abcde\n", 300_000) + lab.EICAR()), icap.Infected},
	} {
		for range 2 { // the second time over a connection that was kept
			r, err := scan.Scan(t.Context(), content(tc.data))
			if err != nil || r.Kind != tc.kind || r.ISTag == "" || (tc.kind == icap.Infected) != strings.Contains(r.Found, "Eicar") {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
		}
	}
	echo := client(t, icap.Config{Address: server.Addr, Service: "echo"})
	if _, err := echo.Probe(t.Context()); !icap.Distrusts(err) {
		t.Errorf("a service that finds nothing: %v", err)
	}
	for _, request := range []bool{false, true} {
		echo := client(t, icap.Config{Address: server.Addr, Service: "echo", Request: request, NoVirus: true})
		if _, err := echo.Probe(t.Context()); err != nil {
			t.Errorf("options: %v", err)
		}
		for _, size := range []int{0, 10, 1024, 1025, 300_000} {
			if r, err := echo.Scan(t.Context(), content(bytes.Repeat([]byte("x"), size))); err != nil || r.Kind != icap.Clean {
				t.Errorf("echo of %d octets: %+v, %v", size, r, err)
			}
		}
	}
	if _, err := client(t, icap.Config{Address: server.Addr, Service: "nothing"}).Probe(t.Context()); err == nil {
		t.Error("a service that is not there answers")
	}
}

// The same over TLS: only a certificate that is its own, of an authority that is named, is believed.
func TestRealTLS(t *testing.T) {
	dir := labtest.Dir(t)
	certificate, key, err := lab.NewCertificate("icap.example.org", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"c.pem": certificate, "k.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil { // for the server's user
			t.Fatal(err)
		}
	}
	port, err := lab.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	labtest.ICAP(t, lab.ICAPOptions{Settings: fmt.Sprintf("TlsPort %s cert=%s/c.pem key=%s/k.pem", port.Addr(), dir, dir)})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) { // it opens this port behind the other
		conn, err := net.Dial("tcp", port.Addr())
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	for name, tc := range map[string]struct {
		tls   *tls.Config
		works bool
	}{
		"by address":        {&tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}, true},
		"by name":           {&tls.Config{RootCAs: roots, ServerName: "icap.example.org"}, true},
		"another name":      {&tls.Config{RootCAs: roots, ServerName: "icap.example.net"}, false},
		"another authority": {&tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}, false},
		"in clear":          {nil, false},
	} {
		c := client(t, icap.Config{Address: port.Addr(), Service: "echo", TLS: tc.tls, NoVirus: true})
		r, err := c.Scan(t.Context(), content([]byte(body)))
		if (err == nil) != tc.works || tc.works && r.Kind != icap.Clean || !tc.works && !icap.Blames(err) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}
