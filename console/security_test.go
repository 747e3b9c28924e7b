package console

import (
	"context"
	"image"
	"image/draw"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"gatepost/internal/access"
	"gatepost/internal/control"
)

// own is what a user has to prove himself, and what was asked of it.
type own struct {
	kept  Proofs
	fresh bool
	asked []string
}

func (o *own) note(what string) (string, error) {
	if !o.fresh {
		return "", &control.Fault{Status: http.StatusForbidden, Message: "this wants your password again", Field: proofField}
	}
	o.asked = append(o.asked, what)
	return "session-anna", nil
}

func (o *own) Proofs(context.Context, access.Actor) (*Proofs, error) { return &o.kept, nil }
func (o *own) SetPassword(_ context.Context, _ access.Actor, proof, password string) (string, error) {
	if proof != "right" {
		return "", &control.Fault{Status: http.StatusForbidden, Message: "the password is wrong", Field: proofField}
	}
	return o.note("password " + password)
}
func (o *own) StartApp(context.Context, access.Actor) (*Enrolment, error) {
	_, err := o.note("start")
	return &Enrolment{Secret: "JBSWY3DPEHPK3PXP", URI: appURI, Ticket: "ticket"}, err
}
func (o *own) ConfirmApp(_ context.Context, _ access.Actor, ticket, code string) (string, []string, error) {
	if code != "123456" {
		return "", nil, &control.Fault{Status: http.StatusUnprocessableEntity, Message: "the code is wrong", Field: "code"}
	}
	token, err := o.note("confirm " + ticket)
	return token, []string{"abcd-efgh"}, err
}
func (o *own) DropApp(context.Context, access.Actor) (string, error) { return o.note("drop") }
func (o *own) NewRecovery(context.Context, access.Actor) ([]string, error) {
	_, err := o.note("recovery")
	return []string{"ijkl-mnop"}, err
}
func (o *own) StartPasskey(context.Context, access.Actor) (*Ceremony, error) {
	_, err := o.note("passkey")
	return &Ceremony{Options: []byte(`{"publicKey":{"x":"\"><script>"}}`), Ticket: "t"}, err
}
func (o *own) FinishPasskey(_ context.Context, _ access.Actor, ticket, name string, answer []byte) (string, error) {
	return o.note("add " + ticket + " " + name + " " + string(answer))
}
func (o *own) DropPasskey(_ context.Context, _ access.Actor, id []byte) (string, error) {
	return o.note("drop " + string(id))
}

const appURI = "otpauth://totp/Gatepost:anna?secret=JBSWY3DPEHPK3PXP&issuer=Gatepost&algorithm=SHA1&digits=6&period=30"

// TestSecurity shows what comes of each form of the page: nothing without the session's own token, a question for the password where
// that is wanted, a word beside the field that is wrong; that codes are shown once, and text of strangers as text.
func TestSecurity(t *testing.T) {
	s, o := newSite(t), &own{kept: Proofs{Password: true, App: true, Recovery: 7, Passkeys: []Passkey{{ID: []byte{1, 255}, Name: "<i>key", Created: time.Now()}}}}
	s.Own = o
	s.handler = s.Handler()
	const page = "/account/security"
	has(t, s.ask("anna", "GET", page, nil), 200, "7 recovery codes", "&lt;i&gt;key", "!<i>", `name="id" value="Af8"`, "Code of your app")
	for _, path := range []string{"/password", "/app", "/app/confirm", "/app/drop", "/recovery", "/passkey", "/passkey/add", "/passkey/drop"} {
		has(t, s.ask("anna", "POST", page+path, formOf("both", "confirm", "yes", "present_password", "right", "code", "123456", "uri", appURI)), 403, "another session")
	}
	for _, path := range []string{"/app", "/app/drop", "/recovery", "/passkey", "/passkey/add", "/passkey/drop"} {
		has(t, s.ask("anna", "POST", page+path, formOf("anna", "confirm", "yes", "name", "x", "id", "Af8")), 403, `name="proof"`)
	}
	has(t, s.ask("anna", "POST", page+"/password", formOf("anna", "present_password", "wrong", "password", "a b", "again", "a b")), 403, "password is wrong", `!name="proof"`)
	if len(o.asked) > 0 {
		t.Fatalf("done without a proof: %q", o.asked)
	}
	o.fresh = true
	has(t, s.ask("anna", "POST", page+"/password", formOf("anna", "present_password", "right", "password", "a b", "again", "a c")), 400, "not the same")
	has(t, s.ask("anna", "POST", page+"/app", formOf("anna")), 200, "JBSWY3DPEHPK3PXP", `name="ticket" value="ticket"`)
	confirm := func(code, uri string) []string { return []string{"ticket", "ticket", "uri", uri, "code", code} }
	has(t, s.ask("anna", "POST", page+"/app/confirm", formOf("anna", confirm("1", appURI)...)), 422, "the code is wrong", `name="ticket" value="ticket"`)
	has(t, s.ask("anna", "POST", page+"/app/confirm", formOf("anna", confirm("123456", "javascript:x")...)), 400, "not ours")
	has(t, s.ask("anna", "POST", page+"/app/confirm", formOf("anna", confirm("123456", appURI)...)), 200, "abcd-efgh")
	has(t, s.ask("anna", "GET", page, nil), 200, "!abcd-efgh")
	has(t, s.ask("anna", "POST", page+"/recovery", formOf("anna")), 200, "ijkl-mnop")
	has(t, s.ask("anna", "POST", page+"/passkey", formOf("anna")), 200, `data-passkey="create"`, "!><script>")
	has(t, s.ask("anna", "POST", page+"/app/drop", formOf("anna")), 200, `name="confirm" value="yes"`)
	has(t, s.ask("anna", "POST", page+"/passkey/drop", formOf("anna", "confirm", "yes", "id", "!")), 404, "no such passkey")
	for _, form := range [][]string{{"/app/drop", "confirm", "yes"}, {"/passkey/drop", "confirm", "yes", "id", "Af8"}, {"/passkey/add", "ticket", "t", "name", "n", "answer", "{}"},
		{"/password", "present_password", "right", "password", "a b", "again", "a b"}} {
		w := s.ask("anna", "POST", page+form[0], formOf("anna", form[1:]...))
		if w.Code != 303 || w.Header().Get("Location") != page || !strings.Contains(strings.Join(w.Header().Values("Set-Cookie"), " "), sessionCookie+"=session-anna") {
			t.Errorf("%s: %d %v %s", form[0], w.Code, w.Header(), w.Body)
		}
	}
	if got := strings.Join(o.asked, ", "); got != "start, confirm ticket, recovery, passkey, drop, drop \x01\xff, add t n {}, password a b" {
		t.Errorf("%q", got)
	}
}

// TestPicture reads the QR code of a secret as an app would.
func TestPicture(t *testing.T) {
	p, err := (&Enrolment{URI: appURI}).Picture()
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewGray(image.Rect(0, 0, 4*p.Size, 4*p.Size))
	draw.Draw(img, img.Rect, image.White, image.Point{}, draw.Src)
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h1v1h-1z`).FindAllStringSubmatch(p.Path, -1) {
		x, _ := strconv.Atoi(m[1])
		y, _ := strconv.Atoi(m[2])
		draw.Draw(img, image.Rect(4*x, 4*y, 4*x+4, 4*y+4), image.Black, image.Point{}, draw.Src)
	}
	bits, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		t.Fatal(err)
	}
	got, err := qrcode.NewQRCodeReader().Decode(bits, nil)
	if err != nil || got.GetText() != appURI {
		t.Errorf("%v %v", got, err)
	}
}
