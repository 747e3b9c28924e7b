package user

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// Questions about tokens and sessions. Their right is that of one's own: of others they show and change only what accounts
// allows whoever asks.
func tokensQuestion() control.Operation {
	return control.Operation{Name: "token list", Method: http.MethodGet, Path: "/tokens", Doc: "List tokens of programs, without their secrets", Right: access.Own}
}
func tokenQuestion() control.Operation {
	return control.Operation{Name: "token add", Method: http.MethodPost, Path: "/tokens", Doc: "Make a token by which a program asks the API", Right: access.Own}
}
func revokeQuestion() control.Operation {
	return control.Operation{Name: "token revoke", Method: http.MethodDelete, Path: "/tokens/{id}", Doc: "End a token", Right: access.Own}
}
func sessionsQuestion() control.Operation {
	return control.Operation{Name: "session list", Method: http.MethodGet, Path: "/sessions", Doc: "List who is logged in", Right: access.Own}
}
func endQuestion() control.Operation {
	return control.Operation{Name: "session end", Method: http.MethodPost, Path: "/sessions/end", Doc: "End one session of a user, or all but the one that asks", Right: access.Own}
}

// whose is what picks a user; whoever asks, where it says nothing.
type whose struct {
	page
	User string `json:"user" doc:"whose; by default one's own, on the machine's own terminal everybody's"`
	All  bool   `json:"all" doc:"of all users"`
}

type tokenIn struct {
	User    string    `json:"user" doc:"whose it is; by default one's own"`
	Name    string    `json:"name" doc:"what it is for" required:"true"`
	Rights  []string  `json:"rights" doc:"that it has of those of the user; none: all of them"`
	Domains []string  `json:"domains" doc:"that bound it; none: those of the user"`
	Expires time.Time `json:"expires" doc:"when it ends, within a year" required:"true"`
}

type revokeIn struct {
	ID string `path:"id" json:"-" doc:"of the token"`
}

type endIn struct {
	User string `json:"user" doc:"whose; by default one's own"`
	ID   string `json:"id" doc:"of the session"`
	All  bool   `json:"all" doc:"all of them, but the one that asks"`
}

// Check implements what control asks.
func (in *endIn) Check() error {
	if in.All == (in.ID != "") {
		return &control.Fault{Status: http.StatusBadRequest, Message: "id or all is needed, and not both", Field: "id"}
	}
	return nil
}

func (d *Desk) tokenOperations() []control.Operation {
	return []control.Operation{control.Define(tokensQuestion(), d.tokens), control.Define(tokenQuestion(), d.token), control.Define(revokeQuestion(), d.revoke)}
}

func (d *Desk) sessionOperations() []control.Operation {
	return []control.Operation{control.Define(sessionsQuestion(), d.sessions), control.Define(endQuestion(), d.end)}
}

// pick says whose tokens or sessions are shown: "" for everybody's. Others' are for whoever may read users.
func pick(who access.Actor, w *whose) (string, error) {
	if w.All && w.User != "" {
		return "", &control.Fault{Status: http.StatusBadRequest, Message: "user or all, and not both", Field: "user"}
	}
	name := accounts.Name(w.User)
	if w.User == "" && !w.All && who.Via != access.BySocket {
		name = who.Name
	}
	if name == who.Name && name != "" && who.Via != access.BySocket || who.May(access.UsersRead) {
		if w.User != "" {
			return w.User, nil // as it was written, for the error that names it
		}
		return name, nil
	}
	return "", &control.Fault{Status: http.StatusForbidden, Message: "what is another's needs the right " + string(access.UsersRead), Field: "user"}
}

// own is a user that was named, or whoever asks.
func own(who access.Actor, name string) (string, error) {
	if name == "" && who.Via == access.BySocket {
		return "", &control.Fault{Status: http.StatusBadRequest, Message: "say whose", Hint: "name a user", Field: "user"}
	}
	if name == "" {
		name = who.Name
	}
	return name, nil
}

// names are those of users by their ID.
func (d *Desk) names(ctx context.Context) (map[string]string, error) {
	all, err := d.Accounts.Users(ctx)
	out := map[string]string{}
	for _, u := range all {
		out[u.ID] = u.Name
	}
	return out, err
}

// newest is a key of what is listed the newest first.
func newest(t time.Time, id string) string {
	return fmt.Sprintf("%020d-%s", math.MaxInt64-t.UnixMicro(), id)
}

func (d *Desk) tokens(ctx context.Context, in *whose) (*api.Tokens, error) {
	name, err := pick(access.Of(ctx), in)
	if err != nil {
		return nil, err
	}
	names, err := d.names(ctx)
	if err != nil {
		return nil, d.fault(err)
	}
	all, err := d.Accounts.Tokens(ctx, name)
	if err != nil {
		return nil, d.fault(err)
	}
	all, next := pageOf(all, in.page, func(t accounts.Token) string { return newest(t.Created, t.ID) })
	out := &api.Tokens{Tokens: []api.Token{}, Next: next}
	for _, t := range all {
		out.Tokens = append(out.Tokens, shownToken(t, names[t.User]))
	}
	return out, nil
}

func shownToken(t accounts.Token, user string) api.Token {
	return api.Token{ID: t.ID, User: user, Name: t.Name, Rights: t.Rights, Domains: t.Domains, Created: t.Created, Expires: t.Expires, Used: t.Used, UsedFrom: t.UsedFrom}
}

func (d *Desk) token(ctx context.Context, in *tokenIn) (*api.NewToken, error) {
	name, err := own(access.Of(ctx), in.User)
	if err != nil {
		return nil, err
	}
	n := accounts.NewToken{Name: in.Name, Domains: in.Domains, Expires: in.Expires}
	for _, r := range in.Rights {
		n.Rights = append(n.Rights, access.Right(r))
	}
	secret, t, err := d.Accounts.AddToken(ctx, access.Of(ctx), name, n)
	if err != nil {
		return nil, d.fault(err)
	}
	out := shownToken(t, accounts.Name(name))
	control.Changed(ctx, control.Change{Object: out.User, After: out})
	return &api.NewToken{Token: out, Secret: secret}, nil
}

func (d *Desk) revoke(ctx context.Context, in *revokeIn) (*api.Token, error) {
	t, err := d.Accounts.RevokeToken(ctx, access.Of(ctx), in.ID)
	if err != nil {
		return nil, d.fault(err)
	}
	names, err := d.names(ctx)
	if err != nil {
		names = nil // it is revoked; whose it was is not worth an error
	}
	out := shownToken(t, names[t.User])
	control.Changed(ctx, control.Change{Object: out.User, Before: out})
	return &out, nil
}

func (d *Desk) sessions(ctx context.Context, in *whose) (*api.Sessions, error) {
	who := access.Of(ctx)
	name, err := pick(who, in)
	if err != nil {
		return nil, err
	}
	names, err := d.names(ctx)
	if err != nil {
		return nil, d.fault(err)
	}
	all, err := d.Accounts.Sessions(ctx, name)
	if err != nil {
		return nil, d.fault(err)
	}
	all, next := pageOf(all, in.page, func(s accounts.Session) string { return newest(s.Created, s.ID) })
	out := &api.Sessions{Sessions: []api.Session{}, Next: next}
	for _, s := range all {
		out.Sessions = append(out.Sessions, api.Session{ID: s.ID, User: names[s.User], Created: s.Created, Seen: s.Seen, Address: s.Address, Agent: s.Agent, How: s.How, Source: s.Source,
			Mine: who.Session != "" && s.ID == who.Session})
	}
	return out, nil
}

func (d *Desk) end(ctx context.Context, in *endIn) (*api.Ended, error) {
	name, err := own(access.Of(ctx), in.User)
	if err != nil {
		return nil, err
	}
	n, err := d.Accounts.EndSession(ctx, access.Of(ctx), name, in.ID)
	if err != nil {
		return nil, d.fault(err)
	}
	control.Changed(ctx, control.Change{Object: accounts.Name(name), After: map[string]int{"ended": n}})
	return &api.Ended{Ended: n}, nil
}
