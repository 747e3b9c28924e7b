package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// owner is who owns the gateway: he comes in by its pages, and by the API afterwards. He trusts the certificate that the machine's screen
// shows, and no other.
type owner struct {
	http.Client
	v           *vm // the machine as it runs now
	fingerprint string
	token       string
}

const (
	ownerName     = "olga"
	ownerPassword = "seven quiet herons beside a canal"
)

func newOwner(v *vm) *owner {
	o := &owner{v: v}
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // its options are empty
	}
	o.Client = http.Client{Jar: jar, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, VerifyPeerCertificate: o.verify}}}
	return o
}

func (o *owner) verify(shown [][]byte, _ [][]*x509.Certificate) error {
	if len(shown) == 0 {
		return errors.New("it shows no certificate")
	}
	if sum := sha256.Sum256(shown[0]); hex.EncodeToString(sum[:]) != o.fingerprint {
		return fmt.Errorf("it shows the certificate %x, and its screen says %s", sum, o.fingerprint)
	}
	return nil
}

// answer is what came of a question.
type answer struct {
	code int
	to   string // where it leads
	body string
}

func (o *owner) do(ctx context.Context, method, path string, body io.Reader, header ...string) (answer, error) {
	base := "https://" + o.v.ports[8443].Addr()
	r, err := http.NewRequestWithContext(ctx, method, base+path, body)
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Origin", base)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := o.Client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	return answer{res.StatusCode, res.Header.Get("Location"), string(text)}, err
}

// page gets a page, which must be there.
func (o *owner) page(ctx context.Context, path string) (string, error) {
	a, err := o.do(ctx, http.MethodGet, path, nil)
	if err == nil && a.code != http.StatusOK {
		err = fmt.Errorf("%s answers %d %s %.500s", path, a.code, a.to, a.body)
	}
	return a.body, err
}

// send fills in the form of a page that goes to action, and sends it. said are names and values.
func (o *owner) send(ctx context.Context, path, action string, said ...string) (answer, error) {
	page, err := o.page(ctx, path)
	if err != nil {
		return answer{}, err
	}
	f, err := formOf(page, action)
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", path, err)
	}
	for i := 0; i+1 < len(said); i += 2 {
		f.fields.Set(said[i], said[i+1])
	}
	return o.do(ctx, http.MethodPost, action, strings.NewReader(f.fields.Encode()), "Content-Type", "application/x-www-form-urlencoded")
}

// leads is send where the answer must lead to a page.
func (o *owner) leads(ctx context.Context, to, path, action string, said ...string) error {
	a, err := o.send(ctx, path, action, said...)
	if err == nil && (a.code != http.StatusSeeOther || a.to != to) {
		_, texts, _ := formsOf(a.body) // what is wrong is in one of these
		err = fmt.Errorf("%s answers %d, to %q and not %q: %s %s %.3000s", action, a.code, a.to, to, texts["msg err"], texts["bad"], a.body)
	}
	return err
}

// ask asks the API. in becomes JSON, or the query of a GET; nil for nothing.
func (o *owner) ask(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if q, ok := in.(url.Values); ok {
		path += "?" + q.Encode()
	} else if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	return o.api(ctx, method, path, body, "application/json", out)
}

func (o *owner) api(ctx context.Context, method, path string, body io.Reader, kind string, out any) error {
	a, err := o.do(ctx, method, "/api/v1"+path, body, "Authorization", "Bearer "+o.token, "Content-Type", kind)
	if err != nil {
		return err
	}
	if a.code != http.StatusOK {
		return fmt.Errorf("%s %s answers %d %.2000s", method, path, a.code, a.body)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal([]byte(a.body), out)
}

// await is that of the machine, with the time that one step may take.
func (o *owner) await(what string, missing func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return o.v.await(ctx, what, func() error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return missing(ctx)
	})
}
