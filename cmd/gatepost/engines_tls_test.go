package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/hook"
	"gatepost/internal/icap"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// engineServer answers OPTIONS of ICAP and questions to hooks, over TLS with this configuration; in clear without one.
func engineServer(t *testing.T, c *tls.Config) string {
	t.Helper()
	return labtest.Server(t, func(conn net.Conn) {
		if c != nil {
			conn = tls.Server(conn, c)
		}
		in := bufio.NewReader(conn)
		if first, err := in.Peek(4); err != nil || string(first) == "OPTI" {
			for line := ""; err == nil && line != "\r\n"; {
				line, err = in.ReadString('\n')
			}
			_, _ = io.WriteString(conn, "ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nISTag: \"v1\"\r\nEncapsulated: null-body=0\r\n\r\n")
			return
		}
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"result\": \"pass\"}")
	})
}

// addressCertificate is for 127.0.0.1, and its own authority.
func addressCertificate(t *testing.T) *tls.Certificate {
	t.Helper()
	text, key, err := lab.NewCertificate("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := tls.X509KeyPair(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

// TestEnginesTLS shows that an ICAP server and a hook are believed only with a certificate that is theirs, in time, of an
// authority that the operator named, over a TLS that is not broken; and that none of it is waited for long.
func TestEnginesTLS(t *testing.T) {
	address, name, expired := addressCertificate(t), certificateFor(t, time.Hour, "localhost"), certificateFor(t, -time.Hour, "localhost")
	foreign, other := certificateFor(t, time.Hour, "other.example.org"), certificateFor(t, time.Hour, "localhost")
	serve := func(c *tls.Certificate) string {
		return engineServer(t, &tls.Config{Certificates: []tls.Certificate{*c}})
	}
	silent := labtest.Server(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	for what, c := range map[string]struct {
		server string
		ca     *tls.Certificate // nil: those of the system
		host   string           // that the certificate must be for
		want   string           // in the error of both; "" for none
	}{
		"for the address":      {serve(address), address, "127.0.0.1", ""},
		"for the name":         {serve(name), name, "localhost", ""},
		"for another name":     {serve(foreign), foreign, "localhost", "not localhost"},
		"for no address":       {serve(name), name, "127.0.0.1", "doesn't contain any IP SANs"},
		"expired":              {serve(expired), expired, "localhost", "expired"},
		"another authority":    {serve(name), other, "localhost", "certificate signed by unknown authority"},
		"no authority of ours": {serve(name), nil, "localhost", "certificate signed by unknown authority"},
		"TLS 1.1":              {engineServer(t, &tls.Config{Certificates: []tls.Certificate{*name}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}), name, "localhost", "protocol version"},
		"in clear":             {engineServer(t, nil), name, "localhost", ""},
		"says nothing":         {silent, name, "localhost", ""},
	} {
		ca := ""
		if c.ca != nil {
			text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.ca.Certificate[0]})
			ca = fmt.Sprintf("ca_file = %q\n", file(t, t.TempDir(), "ca.pem", string(text), 0o644))
		}
		patience := "20s"
		if c.server == silent {
			patience = "1s"
		}
		serverName := ""
		if c.host != "127.0.0.1" {
			serverName = fmt.Sprintf("server_name = %q\n", c.host)
		}
		_, port, _ := net.SplitHostPort(c.server)
		e := loadedEngines(t, fmt.Sprintf("[icap]\naddresses = [%q]\ntls = true\nno_virus = true\ntimeout = %q\n%s%s[[hook]]\nname = \"crm\"\nurl = \"https://%s:%s/\"\ntimeout = %q\n%s",
			c.server, patience, serverName, ca, c.host, port, patience, ca))
		for kind, err := range map[string]error{
			"icap": e.icap.Servers.Do(t.Context(), func(ctx context.Context, c *icap.Client) error { _, err := c.Probe(ctx); return err }),
			"hook": e.hooks[0].Servers.Do(t.Context(), func(ctx context.Context, c *hook.Client) error { _, err := c.Probe(ctx); return err }),
		} {
			works := strings.HasPrefix(what, "for the ")
			if (err == nil) != works || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: %v", kind, what, err)
			}
		}
	}
}

// loadedEngines are those of a document.
func loadedEngines(t *testing.T, bootstrap string) *engines {
	t.Helper()
	c, problems := config.Load(documents(t, bootstrap, servesOne), sections())
	if c == nil {
		t.Fatal(problems)
	}
	e, err := newEngines(c.Bootstrap, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestEngineFiles shows that check reads the authorities of engines.
func TestEngineFiles(t *testing.T) {
	junk := file(t, t.TempDir(), "junk.pem", "no certificate", 0o644)
	for name, want := range map[string]string{"/nowhere/ca.pem": "no such file", junk: "has no certificate in PEM"} {
		for table, text := range map[string]string{
			"icap": "[icap]\naddresses = [\"192.0.2.1:11344\"]\ntls = true\nca_file = %q\n",
			"hook": "[[hook]]\nname = \"crm\"\nurl = \"https://hook.example.org/\"\nca_file = %q\n",
		} {
			code, _, errOut := gatepost(t, "check", "--config", documents(t, fmt.Sprintf(text, name), servesOne))
			if code != cli.Found || !strings.Contains(errOut, want) || !strings.Contains(errOut, "gatepost.toml: "+table+": ") || !strings.Contains(errOut, "ca_file") {
				t.Errorf("%s, %s: exit %d, %s", table, name, code, errOut)
			}
		}
	}
}
