package console

import (
	"errors"
	"net/http"
	"strings"

	"gatepost/internal/control"
)

// setupForm is what the first page of all shows, and that of a code to set a password.
type setupForm struct {
	Name, Code, Problem string
	Redeem              bool
}

func (f *setupForm) title() string {
	if f.Redeem {
		return "Set a password"
	}
	return "First sign-in"
}

// showSetup shows the form.
func (c *Console) showSetup(w http.ResponseWriter, r *http.Request, status int, f setupForm) {
	c.show(w, r, status, "setup", f.title(), f)
}

// empty reports whether there is no user yet. That there was one once is enough: who removes the last does it on the machine.
func (c *Console) empty(r *http.Request) (bool, error) {
	if c.Accounts == nil || c.settled.Load() {
		return false, nil
	}
	empty, err := c.Accounts.Empty(r.Context())
	if err == nil && !empty {
		c.settled.Store(true)
	}
	return empty, err
}

// toSetup answers every page with the way to the first, while there is no user.
func (c *Console) toSetup(w http.ResponseWriter, r *http.Request) bool {
	empty, err := c.empty(r)
	switch {
	case err != nil:
		c.failed(w, r, err)
	case empty && ofScript(r):
		w.WriteHeader(http.StatusUnauthorized)
	case empty:
		http.Redirect(w, r, "/setup", http.StatusSeeOther)
	}
	return empty || err != nil
}

// setupPage is where the first owner comes in. Afterwards it is not there.
func (c *Console) setupPage(w http.ResponseWriter, r *http.Request) {
	switch empty, err := c.empty(r); {
	case err != nil:
		c.failed(w, r, err)
	case !empty:
		c.nowhere(w, r)
	default:
		c.showSetup(w, r, http.StatusOK, setupForm{})
	}
}

// setup makes the first owner, by the code that the machine printed.
func (c *Console) setup(w http.ResponseWriter, r *http.Request) {
	empty, err := c.empty(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	if !empty {
		c.nowhere(w, r)
		return
	}
	c.enterBy(w, r, setupForm{})
}

// redeemPage is where somebody sets a password by a code that an admin made for him.
func (c *Console) redeemPage(w http.ResponseWriter, r *http.Request) {
	if !c.toSetup(w, r) {
		c.showSetup(w, r, http.StatusOK, setupForm{Redeem: true})
	}
}

func (c *Console) redeem(w http.ResponseWriter, r *http.Request) {
	if !c.toSetup(w, r) {
		c.enterBy(w, r, setupForm{Redeem: true})
	}
}

// enterBy lets in by a code and a new password.
func (c *Console) enterBy(w http.ResponseWriter, r *http.Request, f setupForm) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	p := r.PostForm
	f.Name, f.Code = p.Get("name"), strings.TrimSpace(p.Get("code"))
	a := &Attempt{Name: f.Name, Password: p.Get("password"), Code: f.Code, Address: clientOf(r), Agent: cutText(r.UserAgent(), maxAgent)}
	if c.Accounts == nil || len(a.Name) > maxName || len(a.Password) > maxPassword || len(a.Code) > maxCode {
		f.Name, f.Code, f.Problem = "", "", "The code is wrong, was used, or is over."
		c.showSetup(w, r, http.StatusUnauthorized, f)
		return
	}
	if a.Password != p.Get("again") {
		f.Problem = "The two passwords are not the same."
		c.showSetup(w, r, http.StatusBadRequest, f)
		return
	}
	enter := c.Accounts.First
	if f.Redeem {
		enter = c.Accounts.Redeem
	}
	in, err := enter(r.Context(), a)
	switch fault, told := errors.AsType[*control.Fault](err); {
	case err == nil && in.More:
		c.show(w, r, http.StatusOK, "login", "Sign in", loginForm{To: "/", Token: in.Token, More: true, Passkey: in.Passkey, NoCode: in.NoCode})
	case err == nil:
		c.letIn(w, r, in.Token)
		to := "/"
		if !f.Redeem && !c.setUp() {
			to = "/begin"
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	case told:
		f.Problem = sentence(fault.Error())
		fault.TellRetry(w.Header())
		c.showSetup(w, r, fault.Status, f)
	case errors.Is(err, ErrLogin):
		f.Problem = "The code is wrong, was used, or is over."
		c.showSetup(w, r, http.StatusUnauthorized, f)
	default:
		c.failed(w, r, err)
	}
}
