package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"gatepost/internal/api"
)

// domain is the one that mail comes for, and box whose it is.
const (
	domain = "corp.example"
	box    = "bob@" + domain
)

// screenOf reads from the screen of the machine what its first owner needs: the code, and the digits of the certificate. Each is what was
// shown last.
func screenOf(said string) (code, fingerprint string, err error) {
	codes := regexp.MustCompile(`The first owner comes in by this code:\s+(\S+)`).FindAllStringSubmatch(said, -1)
	if len(codes) == 0 {
		return "", "", errors.New("no code was shown")
	}
	fingerprint, err = certificateOf(said)
	return codes[len(codes)-1][1], fingerprint, err
}

// certificateOf reads the digits of the certificate that was shown last.
func certificateOf(said string) (string, error) {
	digits := regexp.MustCompile(`must show this certificate \(SHA-256\):\s+([0-9A-F:]{47})\s+([0-9A-F:]{47})`).FindAllStringSubmatch(said, -1)
	if len(digits) == 0 {
		return "", errors.New("no certificate was shown")
	}
	last := digits[len(digits)-1]
	return strings.ToLower(strings.ReplaceAll(last[1]+last[2], ":", "")), nil
}

// meets waits until the console shows the certificate that the screen says it must: another one, where the gateway has another name.
func (o *owner) meets() error {
	return o.await("the console with the certificate on the screen", func(ctx context.Context) error {
		digits, err := certificateOf(o.v.lately())
		if err != nil {
			return err
		}
		o.fingerprint = digits
		_, err = o.status(ctx)
		return err
	})
}

// enters becomes the first owner, by the code on the screen.
func (o *owner) enters(ctx context.Context) error {
	var code string
	err := o.v.await(ctx, "the screen", func() (err error) {
		code, o.fingerprint, err = screenOf(o.v.lately())
		return err
	})
	if err != nil {
		return err
	}
	o.v.took("the code on the screen")
	if err := o.await("the page of the first owner", func(ctx context.Context) error { _, err := o.page(ctx, "/setup"); return err }); err != nil {
		return err
	}
	return o.leads(ctx, "/begin", "/setup", "/setup", "code", code, "name", ownerName, "password", ownerPassword, "again", ownerPassword)
}

// wizard goes from the code on the screen to a gateway that takes mail for the domain, by the pages alone, and makes a token for the API.
func (o *owner) wizard(ctx context.Context) error {
	if err := o.enters(ctx); err != nil {
		return err
	}
	if err := o.leads(ctx, "/begin?step=host", "/begin?step=host", "/begin/host"); err != nil {
		return err
	}
	if err := o.leads(ctx, "/begin?step=dns", "/begin?step=server", "/begin/server", "domain", domain, "host", sinkHost, "port", "25", "do", "save"); err != nil {
		return err
	}
	if page, err := o.page(ctx, "/begin?step=dns"); err != nil || !strings.Contains(page, domain+". 3600 IN MX 10 ") {
		return fmt.Errorf("the lines for DNS: %w: %.3000s", err, page)
	}
	if err := o.v.banner(); err != nil {
		return fmt.Errorf("before the last step: %w", err)
	}
	if err := o.leads(ctx, "/", "/begin?step=live", "/begin/live"); err != nil {
		return err
	}
	o.v.took("the wizard over HTTPS")
	a, err := o.send(ctx, "/account", "/tokens", "name", "boot test", "days", "90")
	if err != nil {
		return err
	}
	_, texts, err := formsOf(a.body)
	if o.token = texts["secret"]; err != nil || o.token == "" {
		return fmt.Errorf("no token: %d %w %.3000s", a.code, err, a.body)
	}
	return nil
}

// status is what the API says of the versions.
func (o *owner) status(ctx context.Context) (a api.Appliance, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return a, o.ask(ctx, http.MethodGet, "/appliance", nil, &a)
}
