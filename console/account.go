package console

import (
	"net/http"
	"net/url"

	"gatepost/internal/access"
	"gatepost/internal/api"
)

// accountView is one's own page.
type accountView struct {
	Sessions []api.Session
	Tokens   []api.Token
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
