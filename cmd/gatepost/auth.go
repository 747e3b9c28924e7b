package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/gateway/smtpd"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/smtpwire"
)

// auth tells what sender authentication says of one message, as if it had come from a client that is named. It asks DNS
// and nobody else, needs no daemon, and changes nothing.
func auth(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "auth")
	var q authQuestion
	ip, helo, from, to := f.String("ip", "", ""), f.String("helo", "", ""), f.String("from", "", ""), f.String("to", "", "")
	f.StringVar(&q.server, "dns", "", "")
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	given := f.Given()
	if len(rest) == 0 || !given["ip"] || !given["helo"] || !given["from"] {
		fmt.Fprintln(e.Err, `gatepost auth: name a message file (- is the standard input), and with --ip, --helo and --from what client it came from; --from "" is the null reverse-path`)
		return cli.Usage
	}
	if err := q.read(*ip, *helo, *from, *to); err != nil {
		fmt.Fprintf(e.Err, "gatepost auth: %v\n", err)
		return cli.Usage
	}
	c, ok := configOr(e, f.Config, given["config"])
	if !ok {
		return cli.Found
	}
	text, mended, err := readMessage(rest[0], int64(c.Policy.Limits.MessageSize))
	if err != nil {
		return cli.Complain(e, "auth", err)
	}
	if mended > 0 {
		fmt.Fprintf(e.Err, "%d lines ended in a bare LF; they were made CRLF, as they are in SMTP\n", mended)
	}
	a, err := authenticate(ctx, c, &q, text)
	if err != nil {
		return cli.Complain(e, "auth", err)
	}
	return a.show(e, f.JSON)
}

// authQuestion is the client that a message is said to have come from.
type authQuestion struct {
	client netip.Addr
	helo   gateway.Hello
	from   gateway.Address
	to     gateway.Address // the zero value: somebody of the first domain that is served
	server string          // a name server in place of the configured ones
}

// read reads what the client said as the edge would.
func (q *authQuestion) read(ip, helo, from, to string) (err error) {
	if q.client, err = netip.ParseAddr(ip); err != nil {
		return fmt.Errorf("--ip %q is no address", ip)
	}
	if q.helo, err = smtpd.Hello(helo, true); err != nil {
		return fmt.Errorf("--helo %q is no name: %w", helo, err)
	}
	offer := smtpwire.Offer{SMTPUTF8: true}
	m, err := smtpwire.ParseMail("FROM:<"+strings.Trim(from, "<>")+">", offer)
	if err != nil {
		return fmt.Errorf("--from %q is no address: %w", from, err)
	}
	q.from = smtpd.Address(m.From)
	if to == "" {
		return nil
	}
	r, err := smtpwire.ParseRcpt("TO:<"+strings.Trim(to, "<>")+">", offer, true)
	if err != nil {
		return fmt.Errorf("--to %q is no address: %w", to, err)
	}
	q.to = smtpd.Address(r.To)
	return nil
}

// configOr reads the documents; where the default path is not there and none was named, every key has its default.
func configOr(e cli.Env, path string, named bool) (*config.Config, bool) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && !named {
		fmt.Fprintf(e.Err, "there is no %s, so every key has its default\n", path)
		return config.Builtin(sections()), true
	}
	c, problems := config.Load(path, sections())
	if c == nil {
		cli.Tell(e, problems)
	}
	return c, c != nil
}

// readMessage reads a message of at most limit octets, and makes line ends CRLF. It returns how many were not.
func readMessage(name string, limit int64) (text []byte, mended int, err error) {
	in := io.Reader(os.Stdin)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, 0, err
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(raw)) > limit {
		return nil, 0, fmt.Errorf("%s has more than the %d octets of limits.message_size", name, limit)
	}
	if len(raw) == 0 {
		return nil, 0, fmt.Errorf("%s is empty", name)
	}
	mended = bytes.Count(raw, []byte{'\n'}) - bytes.Count(raw, []byte("\r\n"))
	if mended == 0 {
		return raw, 0, nil
	}
	text = slices.Grow(text, len(raw)+mended)
	for i, c := range raw {
		if c == '\n' && (i == 0 || raw[i-1] != '\r') {
			text = append(text, '\r')
		}
		text = append(text, c)
	}
	return text, mended, nil
}

// show prints the answer: 0 where nothing refuses the message, else 1.
func (a *authenticated) show(e cli.Env, asJSON bool) int {
	code := cli.Done
	if a.event.Verdict.Outcome.Refuses() {
		code = cli.Found
	}
	if !asJSON {
		fmt.Fprint(e.Out, journal.RenderAuth(a.event, a.results, journal.RenderOptions{Color: e.Terminal()}))
		return code
	}
	err := json.NewEncoder(e.Out).Encode(struct {
		*journal.Story
		Results string `json:"authentication_results"`
	}{journal.NewStory(a.event), a.results})
	if err != nil {
		return cli.Found
	}
	return code
}
