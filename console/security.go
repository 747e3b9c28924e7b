package console

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"gatepost/internal/access"
	"gatepost/internal/control"
)

// Own is what a user changes of what proves him. What is not told otherwise returns the token under which his session goes on; all
// his other sessions end. A *control.Fault of the field "proof" asks for his password or a code first.
type Own interface {
	Proofs(context.Context, access.Actor) (*Proofs, error)
	// SetPassword sets a password by proof of the present one, or a code where there is an app.
	SetPassword(ctx context.Context, who access.Actor, proof, password string) (token string, err error)
	// StartApp makes a secret for an app that shows codes; nothing is kept until ConfirmApp, which returns recovery codes too.
	StartApp(context.Context, access.Actor) (*Enrolment, error)
	ConfirmApp(ctx context.Context, who access.Actor, ticket, code string) (token string, recovery []string, err error)
	DropApp(context.Context, access.Actor) (token string, err error)
	// NewRecovery makes recovery codes in place of the old ones; the session stays.
	NewRecovery(context.Context, access.Actor) ([]string, error)
	StartPasskey(context.Context, access.Actor) (*Ceremony, error)
	FinishPasskey(ctx context.Context, who access.Actor, ticket, name string, answer []byte) (token string, err error)
	DropPasskey(ctx context.Context, who access.Actor, id []byte) (token string, err error)
}

// Proofs are what a user proves himself by.
type Proofs struct {
	Password, App bool
	Recovery      int // codes that are left
	Passkeys      []Passkey
}

// Passkey is one of a user.
type Passkey struct {
	ID            []byte
	Name          string
	Created, Used time.Time
}

// Key names it in a form.
func (p *Passkey) Key() string { return base64.RawURLEncoding.EncodeToString(p.ID) }

// Enrolment is a secret for an app.
type Enrolment struct {
	Secret, URI, Ticket string
	Code                string // that was typed, of no use
}

// Picture is the URI as the path of a QR code, and the width of its square.
func (e *Enrolment) Picture() (out struct {
	Path string
	Size int
}, err error) {
	m, err := qrcode.NewQRCodeWriter().Encode(e.URI, gozxing.BarcodeFormat_QR_CODE, 0, 0, map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_MARGIN: 4})
	if err != nil {
		return out, fmt.Errorf("console: QR code: %w", err)
	}
	var b strings.Builder
	for y := range m.GetHeight() {
		for x := range m.GetWidth() {
			if m.Get(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x, y)
			}
		}
	}
	out.Path, out.Size = b.String(), m.GetWidth()
	return out, nil
}

// Ceremony is what a browser asks of a passkey.
type Ceremony struct {
	Options json.RawMessage
	Ticket  string
}

// Text is the options as an attribute has them.
func (c *Ceremony) Text() string { return string(c.Options) }

// securityView is the page of what proves oneself.
type securityView struct {
	*Proofs
	Enrol   *Enrolment // while an app is set up
	Codes   []string   // that are shown once
	Passkey *Ceremony  // while a passkey is added
	Name    string     // of it
}

// securityPages are those by which everybody changes what proves him.
func (c *Console) securityPages(mux *http.ServeMux) {
	if c.Own == nil {
		return
	}
	c.page(mux, "GET /account/security", access.Own, func(w http.ResponseWriter, r *http.Request) { c.security(w, r, &securityView{}, nil) })
	c.page(mux, "POST /account/security/password", access.Own, c.passwordSet)
	c.page(mux, "POST /account/security/app", access.Own, c.appStart)
	c.page(mux, "POST /account/security/app/confirm", access.Own, c.appConfirm)
	c.page(mux, "POST /account/security/app/drop", access.Own, c.appDrop)
	c.page(mux, "POST /account/security/recovery", access.Own, c.recoveryNew)
	c.page(mux, "POST /account/security/passkey", access.Own, c.passkeyStart)
	c.page(mux, "POST /account/security/passkey/add", access.Own, c.passkeyAdd)
	c.page(mux, "POST /account/security/passkey/drop", access.Own, c.passkeyDrop)
}

// security shows the page, with what is wrong with the form that was sent.
func (c *Console) security(w http.ResponseWriter, r *http.Request, v *securityView, wrong error) {
	if f, ok := errors.AsType[*control.Fault](wrong); wrong != nil && (!ok || f.Field == proofField) {
		c.failed(w, r, wrong)
		return
	}
	var err error
	if v.Proofs, err = c.Own.Proofs(r.Context(), access.Of(r.Context())); err != nil {
		c.failed(w, r, err)
		return
	}
	if wrong != nil {
		c.again(w, r, "security", "Sign-in and security", v, wrong)
		return
	}
	c.show(w, r, http.StatusOK, "security", "Sign-in and security", v)
}

// onUnder goes on under another token of the session, to the page, and says what was done.
func (c *Console) onUnder(w http.ResponseWriter, r *http.Request, token, text string) {
	c.done(w, c.goesOn(w, r, access.Of(r.Context()), token), "/account/security", text)
}

func (c *Console) passwordSet(w http.ResponseWriter, r *http.Request) {
	present, password := r.PostForm.Get("present_password"), r.PostForm.Get("password")
	if len(present) > maxPassword || len(password) > maxPassword || password != r.PostForm.Get("again") {
		c.security(w, r, &securityView{}, &control.Fault{Status: http.StatusBadRequest, Message: "the two passwords are not the same, or too long", Field: "password"})
		return
	}
	token, err := c.Own.SetPassword(r.Context(), access.Of(r.Context()), present, password)
	if f, ok := errors.AsType[*control.Fault](err); ok && (f.Field == proofField || f.Field == "code") {
		wrong := *f // it is asked in this form, and not by a page of its own
		wrong.Field = "present"
		err = &wrong
	}
	if err != nil {
		c.security(w, r, &securityView{}, err)
		return
	}
	c.onUnder(w, r, token, "Your password was changed. Your other sessions are over.")
}

func (c *Console) appStart(w http.ResponseWriter, r *http.Request) {
	e, err := c.Own.StartApp(r.Context(), access.Of(r.Context()))
	c.security(w, r, &securityView{Enrol: e}, err)
}

func (c *Console) appConfirm(w http.ResponseWriter, r *http.Request) {
	p := r.PostForm
	e := &Enrolment{Secret: p.Get("secret"), URI: p.Get("uri"), Ticket: p.Get("ticket"), Code: p.Get("code")}
	if len(e.Code) > maxCode || len(e.Secret) > 100 || len(e.URI) > 1000 || !strings.HasPrefix(e.URI, "otpauth://totp/") {
		c.security(w, r, &securityView{}, &control.Fault{Status: http.StatusBadRequest, Message: "that form is not ours; begin again", Field: "code"})
		return
	}
	token, codes, err := c.Own.ConfirmApp(r.Context(), access.Of(r.Context()), e.Ticket, e.Code)
	if err != nil {
		c.security(w, r, &securityView{Enrol: e}, err)
		return
	}
	c.security(w, c.goesOn(w, r, c.renewed(r, token), token), &securityView{Codes: codes}, nil)
}

// renewed is who acts under a new token of his session; who he was, where nobody knows it any more, and the next request tells.
func (c *Console) renewed(r *http.Request, token string) access.Actor {
	who, err := c.Accounts.Session(r.Context(), token, clientOf(r))
	if err != nil {
		return access.Of(r.Context())
	}
	return who
}

func (c *Console) appDrop(w http.ResponseWriter, r *http.Request) {
	if !c.confirmed(w, r, question{Head: "Remove the app", Text: "Your password alone lets you in then, unless you have a passkey. The recovery codes go too.", Button: "Remove", Danger: true}) {
		return
	}
	token, err := c.Own.DropApp(r.Context(), access.Of(r.Context()))
	if err != nil {
		c.security(w, r, &securityView{}, err)
		return
	}
	c.onUnder(w, r, token, "The app was removed.")
}

func (c *Console) recoveryNew(w http.ResponseWriter, r *http.Request) {
	codes, err := c.Own.NewRecovery(r.Context(), access.Of(r.Context()))
	c.security(w, r, &securityView{Codes: codes}, err)
}

func (c *Console) passkeyStart(w http.ResponseWriter, r *http.Request) {
	e, err := c.Own.StartPasskey(r.Context(), access.Of(r.Context()))
	c.security(w, r, &securityView{Passkey: e, Name: cutText(r.PostForm.Get("name"), 64)}, err)
}

func (c *Console) passkeyAdd(w http.ResponseWriter, r *http.Request) {
	p := r.PostForm
	token, err := c.Own.FinishPasskey(r.Context(), access.Of(r.Context()), p.Get("ticket"), p.Get("name"), []byte(p.Get("answer")))
	if err != nil {
		c.security(w, r, &securityView{}, err)
		return
	}
	c.onUnder(w, r, token, "The passkey was added. Your other sessions are over.")
}

func (c *Console) passkeyDrop(w http.ResponseWriter, r *http.Request) {
	if !c.confirmed(w, r, question{Head: "Remove a passkey", Text: "It lets nobody in any more.", Button: "Remove", Danger: true}) {
		return
	}
	id, err := base64.RawURLEncoding.DecodeString(r.PostForm.Get("id"))
	if err != nil || len(id) > 1023 {
		c.security(w, r, &securityView{}, &control.Fault{Status: http.StatusNotFound, Message: "there is no such passkey", Field: "id"})
		return
	}
	token, err := c.Own.DropPasskey(r.Context(), access.Of(r.Context()), id)
	if err != nil {
		c.security(w, r, &securityView{}, err)
		return
	}
	c.onUnder(w, r, token, "The passkey was removed.")
}
