package reports

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestPost: real https servers, in order, with a certificate of another name or authority, redirecting, huge, silent, plain.
func TestPost(t *testing.T) {
	var got []string
	elsewhere := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/in", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.Header.Get("Content-Type")+" "+string(body))
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusCreated)
	})
	mux.Handle("/moved", http.RedirectHandler("/in", http.StatusPermanentRedirect))
	mux.Handle("/got", http.RedirectHandler("/in", http.StatusFound)) // a GET would be the answer
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusTemporaryRedirect))
	mux.Handle("/away", http.RedirectHandler("https://b.example/elsewhere", http.StatusTemporaryRedirect))
	mux.Handle("/clear", http.RedirectHandler("http://a.example/elsewhere", http.StatusTemporaryRedirect))
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { elsewhere++ })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		for range 1 << 12 {
			if _, err := w.Write(make([]byte, 1<<12)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/fields", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 1<<20))
	})
	mux.HandleFunc("/silent", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the end of the client is not noticed
		<-r.Context().Done()
	})
	mux.HandleFunc("/no", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) })
	s := httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	plain := httptest.NewServer(mux)
	defer plain.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate()) // for example.com and *.example.com
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		to := s.Listener.Addr().String()
		if strings.HasPrefix(address, "plain.") {
			to = plain.Listener.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, to)
	}
	for _, c := range []struct {
		to, said string
		sent     bool
	}{
		{"https://example.com/in", "HTTP 201 Created", true},
		{"https://example.com/moved", "HTTP 201 Created", true},
		{"https://example.com/got", "HTTP 302", false},
		{"https://example.com/loop", "HTTP 307", false},
		{"https://example.com/away", "HTTP 307", false},
		{"https://example.com/clear", "HTTP 307", false},
		{"https://example.com/huge", "HTTP 502", false},
		{"https://example.com/fields", "response headers exceeded", false},
		{"https://example.com/no", "HTTP 403", false},
		{"https://example.com/silent", "deadline exceeded", false},
		{"https://a.example/in", "certificate is valid for", false},
		{"https://plain.example.com/in", "gave HTTP response to HTTPS client", false},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if strings.HasSuffix(c.to, "/silent") {
			cancel()
			ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
		}
		before := len(got)
		r := (&Settings{Generator: "test", Web: NewWeb(dial, roots)}).post(ctx, c.to, []byte("packed"))
		cancel()
		if (r.Result == gateway.Delivered) != c.sent || !strings.Contains(r.Said, c.said) || len(r.Said) > 310 || (len(got) > before) != c.sent {
			t.Errorf("%s: %+v, %q", c.to, r, got[before:])
		}
		if c.sent && got[before] != "POST application/tlsrpt+gzip packed" {
			t.Errorf("%s: %q", c.to, got[before:])
		}
	}
	if elsewhere > 0 {
		t.Error("a report went where it was not asked for")
	}
	// An authority that we do not know: nothing is sent.
	before := len(got)
	if r := (&Settings{Web: NewWeb(dial, x509.NewCertPool())}).post(t.Context(), "https://example.com/in", nil); r.Result == gateway.Delivered || !strings.Contains(r.Said, "unknown authority") || len(got) != before {
		t.Errorf("%+v", r)
	}
	if c := NewWeb(dial, nil).Transport.(*http.Transport).TLSClientConfig; c.MinVersion != tls.VersionTLS12 || c.InsecureSkipVerify {
		t.Errorf("%+v", c)
	}
}
