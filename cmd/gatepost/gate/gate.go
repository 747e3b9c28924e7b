// Package gate is the health check by which a new version of the appliance is found good: a message goes through each scanner, the log can
// be read, listeners greet and the console answers. Until it passes the version is on trial (docs/updates.md).
//
// It delivers nothing, and decides nothing by what is outside of the machine: an update during an outage elsewhere must not be taken
// back for it. RFC 5321 section 3.1 is the greeting.
package gate

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// lookTime is how long one thing may take to answer.
const lookTime = 20 * time.Second

// maxDetail is how much is told of one, in octets.
const maxDetail = 300

// Message is what is scanned: a small message of ours, without anything in it.
const Message = "From: Gatepost <postmaster@gateway.invalid>\r\nTo: postmaster@gateway.invalid\r\nSubject: Test of the scanners\r\n" +
	"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <health@gateway.invalid>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
	"This message is scanned when the appliance starts a new version. It is never delivered.\r\n"

func question() control.Operation {
	return control.Look("appliance health", "/appliance/health", "Send a message through the scanners and read the log, as a new version must before it stays", access.SystemRead)
}

// Part is something in the daemon that is looked at.
type Part struct {
	Name   string
	Needed bool // nothing of it is outside of this machine
	Try    func(ctx context.Context) (said string, err error)
}

// Desk is what the operation works with.
type Desk struct {
	Parts func() []Part
	Where func(g *api.Gate) // fills in all but the lines
}

// Operations are those of the noun.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{control.Define(question(), func(ctx context.Context, _ *struct{}) (*api.Gate, error) {
		g := new(api.Gate)
		d.Where(g)
		g.Lines = look(ctx, d.Parts())
		return g, nil
	})}
}

// look tries all at once.
func look(ctx context.Context, parts []Part) []api.GateLine {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	out := make([]api.GateLine, len(parts))
	var all sync.WaitGroup
	for i, p := range parts {
		all.Go(func() {
			said, err := p.Try(ctx)
			if err != nil {
				said = err.Error()
			}
			out[i] = api.GateLine{What: p.Name, OK: err == nil, Needed: p.Needed, Detail: gateway.CleanText(said, maxDetail)}
		})
	}
	all.Wait()
	return out
}

// outside are the doors of a daemon, tried from outside of its process.
func outside(g *api.Gate) (out []Part) {
	for _, at := range g.SMTP {
		out = append(out, Part{Name: "smtp " + at, Needed: true, Try: func(ctx context.Context) (string, error) { return greeting(ctx, at, g.Refuses) }})
	}
	for _, at := range g.Console {
		out = append(out, Part{Name: "console " + at, Needed: true, Try: func(ctx context.Context) (string, error) { return page(ctx, at) }})
	}
	return out
}

// greeting reads the first line of a listener.
func greeting(ctx context.Context, at string, refuses bool) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if until, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(until); err != nil {
			return "", err
		}
	}
	in := bufio.NewReaderSize(conn, 1024)
	line, err := in.ReadSlice('\n')
	if err != nil {
		return "", fmt.Errorf("no greeting: %w", err)
	}
	said := strings.TrimSpace(string(line))
	if strings.HasPrefix(said, "220") || refuses && strings.HasPrefix(said, "421") {
		_, err = conn.Write([]byte("QUIT\r\n"))
		return said, err
	}
	return "", errors.New("it greets with " + said)
}

// page asks for the page of the login. Who vouches for the certificate is no matter here: it is asked whether there is an answer.
func page(ctx context.Context, at string) (string, error) {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+at+"/login", nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 500 {
		return "", errors.New("it answers " + resp.Status)
	}
	return resp.Status, nil
}
