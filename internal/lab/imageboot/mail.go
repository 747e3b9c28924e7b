package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"gatepost/internal/api"
	"gatepost/internal/lab"
	"gatepost/internal/lab/mails"
)

// sender is whom mail comes from. The resolver of the tested image knows the domain.
const sender = "anna@example.org"

// send sends a message from outside, once, and returns the answer's code; 0 with an error where there was none.
func (v *vm) send(m mails.Mail) (code int, said string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	said, err = lab.GoSMTPSend{Hello: "client.example.org", From: m.From, To: []string{m.To}, Body: m.Body}.Send(ctx, v.ports[25].Addr())
	if refused, ok := errors.AsType[*smtp.SMTPError](err); ok {
		return refused.Code, refused.Message, nil
	}
	if err != nil {
		return 0, "", err
	}
	return 250, said, nil
}

// insist sends it again while it hears "later": scanners take their time after the boot.
func (v *vm) insist(m mails.Mail) (code int, said string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = v.await(ctx, m.Name, func() (err error) {
		code, said, err = v.send(m)
		if err == nil && code < 500 && code != 250 {
			err = fmt.Errorf("%d %s", code, said)
		}
		return err
	})
	return code, said, err
}

// to is a message for the domain.
func to(of func(mails.Options) mails.Mail) mails.Mail {
	return of(mails.Options{From: sender, To: box})
}

// mail sends clean mail, which must reach the sink, and the test patterns of both scanners, which must not; and has the API say why.
func (o *owner) mail(sink *lab.GoSMTP) error {
	if err := o.well(); err != nil {
		return err
	}
	had, taken := len(sink.Messages()), 0
	for _, is := range []struct {
		of    func(mails.Options) mails.Mail
		class api.Class
		tells string // must be in what the log tells of it
	}{{mails.ASCII, api.Accepted, "ALL_TRUSTED"}, {mails.GTUBE, api.Rejected, "GTUBE"}, {mails.EICAR, api.Quarantined, "Gatepost.Test.EICAR"}} { // a signature of the image
		var m mails.Mail
		err := o.await("mail of which the log says "+string(is.class)+" for "+is.tells, func(ctx context.Context) error {
			m = to(is.of)
			code, said, err := o.v.send(m)
			if err != nil || code > 400 && code < 500 {
				return fmt.Errorf("%d %s %w", code, said, err) // scanners take their time after the boot
			}
			var row api.LogRow
			var story string
			if err := o.await("what the log says of it", func(ctx context.Context) (err error) { row, story, err = o.row(ctx, m); return err }); err != nil {
				return err
			}
			if row.Class == api.Accepted {
				taken++
			}
			if row.Class != is.class || !strings.Contains(story, is.tells) { // one did not answer in time, on a slow machine
				return fmt.Errorf("%d %s: the log says %s %s", code, said, row.Class, row.Reason)
			}
			fmt.Printf("%s: %s: %d %s; the log says %s %s %s, score %.1f\n", o.v.name, m.Name, code, said, row.Class, row.Check, row.Reason, row.Score)
			return nil
		})
		if err != nil {
			return err
		}
		o.v.took(m.Name + " is as it must be")
		if is.class == api.Accepted {
			if err := arrivedWhole(sink, had+taken, m); err != nil {
				return err
			}
		}
	}
	if n := len(sink.Messages()); n != had+taken {
		return fmt.Errorf("%d messages arrived, and %d were taken", n-had, taken)
	}
	return nil
}

// well waits until the gateway finds itself well: both scanners answer. It is asked seldom, since a slow machine has enough to do.
func (o *owner) well() error {
	err := o.await("the scanners", func(ctx context.Context) error {
		var g api.Gate
		if err := o.ask(ctx, http.MethodGet, "/appliance/health", nil, &g); err != nil {
			return err
		}
		var missing []string
		for _, l := range g.Lines {
			if !l.OK {
				missing = append(missing, l.What+": "+l.Detail)
			}
		}
		if len(missing) > 0 {
			time.Sleep(5 * time.Second)
			return errors.New(strings.Join(missing, "; "))
		}
		return nil
	})
	if err == nil {
		o.v.took("log and scanners answer")
	}
	return err
}

// arrivedWhole waits until the sink has so many messages, of which the last is one that was sent.
func arrivedWhole(sink *lab.GoSMTP, n int, m mails.Mail) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	all, err := sink.Await(ctx, n)
	if err != nil {
		return err
	}
	if got := all[n-1]; len(got.To) != 1 || got.To[0] != box || !bytes.HasSuffix(got.Body, bodyOf(m.Body)) {
		return fmt.Errorf("what arrived is for %s: %.2000s", got.To, got.Body)
	}
	return nil
}

// bodyOf is what stands behind the header.
func bodyOf(message []byte) []byte {
	_, body, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	return body
}

// row is what the message log says of a message, and its whole story as it is told.
func (o *owner) row(ctx context.Context, m mails.Mail) (row api.LogRow, story string, err error) {
	var page api.LogPage
	if err := o.ask(ctx, http.MethodGet, "/log", url.Values{"from": {m.From}, "limit": {"20"}}, &page); err != nil {
		return row, "", err
	}
	for _, r := range page.Rows {
		if r.MessageID != "" && bytes.Contains(m.Body, []byte(r.MessageID)) {
			var all json.RawMessage
			err := o.ask(ctx, http.MethodGet, "/log/"+r.ID.String(), nil, &all)
			return r, string(all), err
		}
	}
	return row, "", fmt.Errorf("the log has %d rows of this sender, none with the message", len(page.Rows))
}

// sink is a server of this machine that can be switched off and on at one port.
type sink struct {
	port *lab.Port
	*lab.GoSMTP
}

func newSink() (*sink, error) {
	port, err := lab.ReservePort()
	if err != nil {
		return nil, err
	}
	s := &sink{port: port}
	if err := s.on(); err != nil {
		port.Release()
		return nil, err
	}
	return s, nil
}

func (s *sink) on() (err error) {
	s.GoSMTP, err = lab.StartGoSMTPPeer(lab.GoSMTPOptions{Port: s.port})
	return err
}

func (s *sink) close() {
	s.GoSMTP.Close()
	s.port.Release()
}
