package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
	"gatepost/internal/alarm"
	"gatepost/internal/config"
)

// alarmRoute is the name of the way of notices. No route of the configuration can be named so.
const alarmRoute = "alarm notices"

// smarthostTimes bound the dialogue with the smarthost of notices, which has a minute in all.
func smarthostTimes() relay.Timeouts {
	return relay.Timeouts{Connect: 10 * time.Second, Command: 20 * time.Second, Write: 20 * time.Second, Final: 40 * time.Second}
}

// makeAlarms makes the paths by which people are told, and mailer, the one of mail; nil where nothing is mailed.
func makeAlarms(c *config.Config) (s alarm.Settings, mailer *smarthost, err error) {
	a := &c.Policy.Alarms
	s.Repeat = a.Repeat
	if a.Mail.Used() {
		if mailer, err = makeSmarthost(c); err != nil {
			return s, nil, err
		}
		s.Paths = append(s.Paths, alarm.Path{Name: "mail", Least: alarm.Severity(a.Mail.Least), To: strings.Join(a.Mail.To, ", ") + " by " + mailer.route.Hops[0].Address(),
			Send: func(ctx context.Context, n *alarm.Notice) (string, error) {
				return mailer.send(ctx, a.Mail.To, n.Mail(mailer.from, a.Mail.To))
			}})
	}
	if a.Webhook.URL != "" {
		hook, err := makeWebhook(c)
		if err != nil {
			return s, nil, err
		}
		s.Paths = append(s.Paths, alarm.Path{Name: "webhook", Least: alarm.Severity(a.Webhook.Least), To: hook.Where(), Send: hook.Send})
	}
	if a.Syslog.Used() {
		network, address, _ := strings.Cut(a.Syslog.Server, ":")
		if network == "unix" {
			network = "unixgram"
		}
		log := &alarm.Syslog{Network: network, Address: address}
		s.Paths = append(s.Paths, alarm.Path{Name: "syslog", Least: alarm.Severity(a.Syslog.Least), To: a.Syslog.Server, Send: log.Send})
	}
	return s, mailer, nil
}

// makeWebhook makes the path of the webhook.
func makeWebhook(c *config.Config) (*alarm.Webhook, error) {
	w := &c.Policy.Alarms.Webhook
	out := &alarm.Webhook{URL: w.URL}
	if w.SecretFile != "" {
		secret, err := readPassword(w.SecretFile, slog.New(slog.DiscardHandler))
		if err != nil {
			return nil, faultAt(c, "alarms.webhook.secret_file", err, "write the path of a file that the user of the daemon can read")
		}
		out.Secret = []byte(secret)
	}
	if w.CAFile != "" {
		pool, err := readCAs(w.CAFile)
		if err != nil {
			return nil, faultAt(c, "alarms.webhook.ca_file", err, "write the path of certificates in PEM")
		}
		out.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return out, nil
}

// smarthost takes mails of ours.
type smarthost struct {
	route relay.Route
	from  string
}

func makeSmarthost(c *config.Config) (*smarthost, error) {
	m := &c.Policy.Alarms.Mail
	out := &smarthost{from: m.From, route: relay.Route{Name: alarmRoute, Hops: []relay.Hop{{Host: m.Smarthost, Port: m.Port}}, ServerName: m.ServerName, PoolSize: 1, Queue: 1,
		Hostname: c.Bootstrap.Hostname, Timeouts: smarthostTimes(), TLS: map[config.RouteTLS]relay.Mode{config.TLSNone: relay.None, config.TLSRequired: relay.Required}[m.TLS]}}
	if out.from == "" {
		out.from = "gatepost@" + c.Bootstrap.Hostname
	}
	if m.CAFile != "" {
		pool, err := readCAs(m.CAFile)
		if err != nil {
			return nil, faultAt(c, "alarms.mail.ca_file", err, "write the path of certificates in PEM")
		}
		out.route.RootCAs = pool
	}
	if m.Auth.Used() {
		password, err := readPassword(m.Auth.PasswordFile, slog.New(slog.DiscardHandler))
		if err != nil {
			return nil, faultAt(c, "alarms.mail.auth.password_file", err, "write the path of a file that the user of the daemon can read")
		}
		mechanism := map[string]relay.Mechanism{"scram-sha-256": relay.ScramSHA256, "plain": relay.Plain, "login": relay.Login}[m.Auth.Mechanism]
		out.route.Auth = &relay.Auth{User: m.Auth.User, Password: relay.Secret(password), Mechanism: mechanism, Key: "alarms.mail.auth"}
	}
	way, err := relay.New(relay.NewPools(nil, nil), []relay.Route{out.route})
	if err != nil {
		return nil, fmt.Errorf("alarms.mail: %w", err)
	}
	way.Close()
	return out, nil
}

// send hands a mail over, on a connection of its own: it is rare, and what was learned of the smarthost an hour ago helps
// nobody. Where some recipients are refused, the others get it.
func (s *smarthost) send(ctx context.Context, to []string, mail []byte) (string, error) {
	way, err := relay.New(relay.NewPools(nil, nil), []relay.Route{s.route})
	if err != nil {
		return "", err
	}
	defer way.Close()
	d := &gateway.Delivery{Route: alarmRoute}
	if err := d.From.UnmarshalText([]byte(s.from)); err != nil {
		return "", fmt.Errorf("from: %w", err)
	}
	for _, text := range to {
		var a gateway.Address
		if err := a.UnmarshalText([]byte(text)); err != nil {
			return "", fmt.Errorf("to: %w", err)
		}
		d.Rcpts = append(d.Rcpts, gateway.Recipient{Address: a, Reply: gateway.Reply{Code: 250}})
	}
	refused := ""
	for {
		d.Content = gateway.Content{Parts: []io.Reader{bytes.NewReader(mail)}, Size: int64(len(mail))}
		r := way.Relay(ctx, d)
		if r.Result == gateway.MixedByHop && r.At == gateway.AtRcpt && len(r.Rcpts) == len(d.Rcpts) && refused == "" {
			d.Rcpts, refused = taken(d.Rcpts, r.Rcpts)
			if len(d.Rcpts) > 0 {
				continue
			}
		}
		said := r.NextHop + ": " + r.Said
		if r.Result == gateway.Delivered {
			if r.TLS != "" {
				said += " (" + r.TLS + ")"
			}
			return said + refused, nil
		}
		return "", errors.New(r.NextHop + ": " + r.AtStep(r.Said) + refused)
	}
}

// taken are the recipients that were accepted, and in words those that were not.
func taken(rcpts []gateway.Recipient, replies []gateway.Reply) (out []gateway.Recipient, refused string) {
	for i := range rcpts {
		if replies[i].Code == 250 {
			out = append(out, rcpts[i])
			continue
		}
		refused += fmt.Sprintf("; refused <%s>: %s", rcpts[i].Address.Text, replies[i].Text)
	}
	return out, refused
}

// alarmFiles are the files that the paths of notices need.
func alarmFiles(c *config.Config) []string {
	a := &c.Policy.Alarms
	return []string{a.Mail.CAFile, a.Mail.Auth.PasswordFile, a.Webhook.SecretFile, a.Webhook.CAFile}
}

// alarmWarnings tells what works, but not well, of what the policy says of alarms.
func alarmWarnings(c *config.Config) (out config.Problems) {
	a := &c.Policy.Alarms
	for _, f := range [...]struct{ key, name string }{{"alarms.mail.auth.password_file", a.Mail.Auth.PasswordFile}, {"alarms.webhook.secret_file", a.Webhook.SecretFile}} {
		if exposed(f.name) {
			p := config.Problem{File: c.PolicyPath, Key: f.key, Warning: true, Message: f.name + " can be read by everybody on this machine", Instead: "chmod o= " + f.name}
			p.Line, p.Column = lineOf(c.Where[f.key])
			out = append(out, p)
		}
	}
	return out
}
