package lab

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"
)

func TestSwaks(t *testing.T) {
	certificate, key, err := NewCertificate("nexthop.lab.test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	h := startNextHop(t, NextHopOptions{TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
	odd := []byte("Subject: %FROM_ADDRESS% \\n\r\n\r\n.\r\n..a\r\n\x80\xff\r\n\r\n" + strings.Repeat("line\r\n", 100_000) + ".\r\n")
	for _, secure := range []bool{false, true} {
		r, err := Swaks{Server: h.Addr(), From: "a@example.org", To: []string{"b@lab.test", "c@lab.test"}, Data: odd, TLS: secure}.Send(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if r.Code != 0 || r.Reply != "250 2.0.0 taken over" {
			t.Fatalf("code %d, reply %q\n%s", r.Code, r.Reply, r.Transcript)
		}
		got := h.Accepted()
		last := got[len(got)-1]
		if !bytes.Equal(last.Body, odd) || len(last.Rcpts) != 2 || last.TLS != secure {
			t.Errorf("TLS %v: got other octets, %d recipients, TLS %v", secure, len(last.Rcpts), last.TLS)
		}
	}
	h.On("RCPT", Reply("550 5.1.1 no such user"))
	r, err := Swaks{Server: h.Addr(), To: []string{"x@lab.test"}}.Send(ctx)
	if err != nil || r.Code == 0 || r.Reply != "550 5.1.1 no such user" {
		t.Errorf("code %d, reply %q, %v", r.Code, r.Reply, err)
	}
	h.On("RCPT")
	h.On("DOT", Reply("451 4.3.0 later"))
	r, err = Swaks{Server: h.Addr(), From: "a@example.org", To: []string{"x@lab.test"}, TLS: true}.Send(ctx)
	if err != nil || r.Code == 0 || r.Reply != "451 4.3.0 later" {
		t.Errorf("code %d, reply %q, %v\n%s", r.Code, r.Reply, err, r.Transcript)
	}
	if _, err := (Swaks{Server: "127.0.0.1:1", From: "a@example.org", To: []string{"x@lab.test"}}).Send(ctx); err == nil {
		t.Error("a server that is not there is no error")
	}
}
