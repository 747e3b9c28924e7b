package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
)

// usersView is the list of users, with the form of a new one.
type usersView struct {
	*api.Users
	Form  url.Values
	Roles []access.Role
}

// userView is one user.
type userView struct {
	*api.User
	Roles    []access.Role
	Sessions []api.Session
	Tokens   []api.Token
	Self     bool
}

// Bounds tells of which domains a user is, as a form has it.
func (u *userView) Bounds() string { return strings.Join(u.Domains, "\n") }

// secretView shows what is shown once.
type secretView struct {
	Head, Text, Secret, Where, Next string
	Until                           time.Time
}

func (c *Console) usersPage(w http.ResponseWriter, r *http.Request) {
	page, err := ask[*api.Users](c, r, "user list", values("cursor", r.URL.Query().Get("cursor")))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "users", "Users", &usersView{Users: page, Roles: access.Roles()})
}

// userAdd makes a user, and shows the code by which he comes in.
func (c *Console) userAdd(w http.ResponseWriter, r *http.Request) {
	in := posted(r, "name", "display", "mail", "role")
	in["domains"] = lines(r.PostFormValue("domains"))
	out, err := ask[*api.Invited](c, r, "user add", in)
	if err != nil {
		page, listErr := ask[*api.Users](c, r, "user list", nil)
		if listErr != nil {
			c.failed(w, r, err)
			return
		}
		c.again(w, r, "users", "Users", &usersView{Users: page, Roles: access.Roles(), Form: r.PostForm}, err)
		return
	}
	c.invited(w, r, out, "is a user now")
}

func (c *Console) invited(w http.ResponseWriter, r *http.Request, in *api.Invited, what string) {
	c.show(w, r, http.StatusOK, "secret", in.User.Name, &secretView{Head: in.User.Name + " " + what, Text: "This code sets a password, once. It is shown only now; hand it over in a way that you trust.",
		Secret: in.Code, Where: "https://" + r.Host + "/redeem", Next: "/users", Until: in.Until})
}

func (c *Console) userPage(w http.ResponseWriter, r *http.Request) {
	v, err := c.userView(r, r.PathValue("name"))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "user", v.Name, v)
}

func (c *Console) userView(r *http.Request, name string) (*userView, error) {
	u, err := ask[*api.User](c, r, "user show", values("name", name))
	if err != nil {
		return nil, err
	}
	sessions, err := ask[*api.Sessions](c, r, "session list", values("user", u.Name))
	if err != nil {
		return nil, err
	}
	tokens, err := ask[*api.Tokens](c, r, "token list", values("user", u.Name))
	if err != nil {
		return nil, err
	}
	actor := access.Of(r.Context())
	return &userView{u, access.Roles(), sessions.Sessions, tokens.Tokens, u.Name == actor.Name}, nil
}

// userDo changes a user: what is the last part of the path.
func (c *Console) userDo(w http.ResponseWriter, r *http.Request) {
	name, what := r.PathValue("name"), r.PathValue("what")
	to := "/users/" + url.PathEscape(name)
	fields := posted(r)
	fields.Set("name", name)
	var err error
	said := ""
	switch what {
	case "edit":
		fields["display"], fields["mail"] = r.PostForm["display"], r.PostForm["mail"]
		_, err = ask[*api.User](c, r, "user edit", fields)
		said = "was changed"
	case "role":
		fields.Set("role", r.PostFormValue("role"))
		_, err = ask[*api.User](c, r, "user role", fields)
		said = "has another role"
	case "domains":
		domains := lines(r.PostFormValue("domains"))
		if fields["domains"] = domains; len(domains) == 0 {
			fields.Set("all", "true")
		}
		_, err = ask[*api.User](c, r, "user domains", fields)
		said = "sees other domains"
	case "enable":
		fields.Del("If-Match")
		_, err = ask[*api.User](c, r, "user enable", fields)
		said = "may sign in again"
	case "disable":
		if !c.confirmed(w, r, question{Head: "Let " + name + " in no more?", Text: "All sessions end at once, and no token of this user works. It can be undone.", Button: "Disable", Danger: true}) {
			return
		}
		_, err = ask[*api.User](c, r, "user disable", values("name", name))
		said = "may not sign in any more"
	case "remove":
		if !c.confirmed(w, r, question{Head: "Remove " + name + "?", Text: "The user goes with all sessions and tokens. The audit log keeps the name. It cannot be undone.", Button: "Remove", Danger: true}) {
			return
		}
		_, err = ask[*api.User](c, r, "user remove", values("name", name))
		said, to = "was removed", "/users"
	case "reset":
		if !c.confirmed(w, r, question{Head: "Reset the password of " + name + "?", Text: "The password is worth nothing any more, and all sessions end. You get a code by which another is set.", Button: "Reset", Danger: true}) {
			return
		}
		out, failed := ask[*api.Invited](c, r, "user reset", values("name", name, "second", r.PostFormValue("second")))
		if failed == nil && out.Code == "" {
			c.done(w, r, to, name+" has no second factor any more.")
			return
		}
		if failed == nil {
			c.invited(w, r, out, "needs a new password")
			return
		}
		err = failed
	default:
		c.nowhere(w, r)
		return
	}
	if err != nil {
		c.userAgain(w, r, name, err)
		return
	}
	c.done(w, r, to, name+" "+said+".")
}

func (c *Console) userAgain(w http.ResponseWriter, r *http.Request, name string, err error) {
	v, listErr := c.userView(r, name)
	if listErr != nil {
		c.failed(w, r, err)
		return
	}
	c.again(w, r, "user", name, v, err)
}

// sessionsPage shows who is logged in.
func (c *Console) sessionsPage(w http.ResponseWriter, r *http.Request) {
	page, err := ask[*api.Sessions](c, r, "session list", values("all", "true", "cursor", r.URL.Query().Get("cursor")))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "sessions", "Sessions", page)
}

// sessionEnd ends one, or all of a user but the one that asks.
func (c *Console) sessionEnd(w http.ResponseWriter, r *http.Request) {
	out, err := ask[*api.Ended](c, r, "session end", posted(r, "user", "id", "all"))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, back(r, "/account"), counted(out.Ended, "session was", "sessions were")+" ended.")
}

// tokensPage shows the tokens of all users.
func (c *Console) tokensPage(w http.ResponseWriter, r *http.Request) {
	page, err := ask[*api.Tokens](c, r, "token list", values("all", "true", "cursor", r.URL.Query().Get("cursor")))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "tokens", "Tokens", page)
}

// tokenEnd ends a token.
func (c *Console) tokenEnd(w http.ResponseWriter, r *http.Request) {
	if !c.confirmed(w, r, question{Head: "End this token?", Text: "Programs that use it are refused from now on. It cannot be undone.", Button: "End it", Danger: true}) {
		return
	}
	out, err := ask[*api.Token](c, r, "token revoke", posted(r, "id"))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, back(r, "/account"), "The token "+out.Name+" was ended.")
}

// tokenAdd makes a token for oneself, and shows it once.
func (c *Console) tokenAdd(w http.ResponseWriter, r *http.Request) {
	in := posted(r, "name", "rights")
	days, err := strconv.Atoi(r.PostFormValue("days"))
	if err != nil || days < 1 || days > 365 {
		days = 90
	}
	in.Set("expires", time.Now().Add(time.Duration(days)*24*time.Hour-time.Minute).UTC().Format(time.RFC3339))
	in["domains"] = lines(r.PostFormValue("domains"))
	out, err := ask[*api.NewToken](c, r, "token add", in)
	if err != nil {
		c.accountAgain(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "secret", "New token", &secretView{Head: "The token " + out.Token.Name, Text: "Programs send it as Authorization: Bearer, below /api/v1. It is shown only now.", Secret: out.Secret,
		Next: "/account", Until: out.Token.Expires})
}

// lines are the words of a field with a line for each, or commas between.
func lines(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == '\r' || c == ',' || c == ' ' || c == '\t' })
}

// counted is a number with its noun.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return countText(n) + " " + many
}
