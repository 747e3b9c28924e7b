package console

import (
	"errors"
	"net/http"
	"net/url"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// accountView is one's own page.
type accountView struct {
	Sessions []api.Session
	Tokens   []api.Token
	Keys     *api.SSHKeys
	Rights   []access.Right // that a token may have
	Days     []int
	Form     url.Values
}

func (c *Console) accountPage(w http.ResponseWriter, r *http.Request) {
	v, err := c.accountView(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "account", "Your account", v)
}

func (c *Console) accountView(r *http.Request) (*accountView, error) {
	v := &accountView{Days: []int{7, 30, 90, 365}}
	sessions, err := ask[*api.Sessions](c, r, "session list", nil)
	if err != nil {
		return nil, err
	}
	tokens, err := ask[*api.Tokens](c, r, "token list", nil)
	if err != nil {
		return nil, err
	}
	if v.Keys, err = ask[*api.SSHKeys](c, r, "ssh key list", nil); err != nil {
		return nil, err
	}
	v.Sessions, v.Tokens = sessions.Sessions, tokens.Tokens
	actor := access.Of(r.Context())
	for _, right := range access.Rights() {
		if actor.May(right) {
			v.Rights = append(v.Rights, right)
		}
	}
	return v, nil
}

func (c *Console) accountAgain(w http.ResponseWriter, r *http.Request, err error) {
	v, listErr := c.accountView(r)
	if listErr != nil {
		c.failed(w, r, err)
		return
	}
	v.Form = r.PostForm
	c.again(w, r, "account", "Your account", v, err)
}

// keyAdd lets oneself in by SSH with a key.
func (c *Console) keyAdd(w http.ResponseWriter, r *http.Request) {
	in := values("key", r.PostFormValue("key"))
	in.Set("name", r.PostFormValue("name"))
	out, err := ask[*api.SSHKey](c, r, "ssh key add", in)
	if err != nil {
		if f, ok := errors.AsType[*control.Fault](err); ok && f.Field == "name" { // of the key: that of a token is another
			told := *f
			told.Field, err = "key", &told
			r.PostForm.Del("name")
		}
		c.accountAgain(w, r, err)
		return
	}
	c.done(w, r, "/account", "The key "+out.Name+" lets you in by SSH.")
}

func (c *Console) keyEnd(w http.ResponseWriter, r *http.Request) {
	if !c.confirmed(w, r, question{Head: "Remove this key?", Text: "It lets nobody in by SSH any more, and who is in by it is out.", Button: "Remove", Danger: true}) {
		return
	}
	out, err := ask[*api.SSHKey](c, r, "ssh key remove", posted(r, "id"))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, "/account", "The key "+out.Name+" was removed.")
}
