package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// The demo's clients, as the PROXY headers name them, in the network for benchmarks (RFC 2544), which is nobody's: a mail server, and two that the gate has something against.
const (
	senderAddress = "198.18.0.10" // clientName has it
	botAddress    = "198.18.0.66"
	crowdAddress  = "198.18.0.77"
)

// proxyOf is what stands in a PROXY header of version 1 for a client, behind the word.
func proxyOf(client string) string { return "TCP4 " + client + " 198.18.0.1 40000 25" }

// gated is what those hear whom the gate has something against, or of whom nothing is known.
type gated struct {
	title, told, got, why string
	want                  string // how told must begin
}

// gate shows a client that talks before the banner, and one that comes too often at once.
func (w *world) gate(ctx context.Context) ([]gated, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	told, err := w.talksEarly(ctx)
	if err != nil {
		return nil, fmt.Errorf("early talker: %w", err)
	}
	why, err := w.why(ctx, told, map[string]bool{})
	if err != nil {
		return nil, err
	}
	crowd, err := w.crowds(ctx)
	if err != nil {
		return nil, fmt.Errorf("too many connections: %w", err)
	}
	return []gated{{title: "bot, talks before the banner", told: told, got: nothing, why: why, want: "550 5.5.1 "},
		{title: "one connection too many", told: crowd, got: nothing, want: "421 4.7.0 ",
			why: "limits.connections_per_client; only counted, so it has no reference"}}, nil
}

// proxied connects as a client and says the octets.
func (w *world) proxied(ctx context.Context, client, octets string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", w.gatepost.Addr("proxied"))
	if err != nil {
		return nil, err
	}
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end)
	}
	if _, err := io.WriteString(conn, "PROXY "+proxyOf(client)+"\r\n"+octets); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// talksEarly returns what RCPT is answered.
func (w *world) talksEarly(ctx context.Context) (string, error) {
	conn, err := w.proxied(ctx, botAddress, "EHLO bot.test\r\nMAIL FROM:<bot@sender.test>\r\nRCPT TO:<"+mailbox+">\r\nQUIT\r\n")
	if err != nil {
		return "", err
	}
	defer conn.Close()
	all, err := io.ReadAll(conn)
	for line := range strings.Lines(string(all)) {
		if strings.HasPrefix(line, "5") {
			return strings.TrimSpace(line), nil
		}
	}
	return "", fmt.Errorf("no refusal in %q: %w", all, errors.Join(err, errors.New("end of session")))
}

// crowds connects again and again until it is too often.
func (w *world) crowds(ctx context.Context) (string, error) {
	for range 20 {
		conn, err := w.proxied(ctx, crowdAddress, "")
		if err != nil {
			return "", err
		}
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond)) // those that are let in hear nothing for six seconds
		if line, err := bufio.NewReader(conn).ReadString('\n'); err == nil && !strings.HasPrefix(line, "220") {
			return strings.TrimSpace(line), nil
		}
	}
	return "", errors.New("twenty connections were let in")
}
