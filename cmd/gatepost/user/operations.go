package user

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// Questions about users, as they are asked.
func listQuestion() control.Operation {
	return control.Operation{Name: "user list", Method: http.MethodGet, Path: "/users", Doc: "List users", Right: access.UsersRead}
}
func showQuestion() control.Operation {
	return control.Operation{Name: "user show", Method: http.MethodGet, Path: "/users/{name}", Doc: "Show a user", Right: access.UsersRead}
}
func addQuestion() control.Operation {
	return control.Operation{Name: "user add", Method: http.MethodPost, Path: "/users", Doc: "Make a user, and a code by which he sets a password", Right: access.UsersChange}
}
func editQuestion() control.Operation {
	return control.Operation{Name: "user edit", Method: http.MethodPatch, Path: "/users/{name}", Doc: "Change the name that is shown and the address of a user", Right: access.UsersChange}
}
func roleQuestion() control.Operation {
	return control.Operation{Name: "user role", Method: http.MethodPut, Path: "/users/{name}/role", Doc: "Give a user another role", Right: access.UsersChange}
}
func domainsQuestion() control.Operation {
	return control.Operation{Name: "user domains", Method: http.MethodPut, Path: "/users/{name}/domains", Doc: "Bound a user by domains, or by none", Right: access.UsersChange}
}
func resetQuestion() control.Operation {
	return control.Operation{Name: "user reset", Method: http.MethodPost, Path: "/users/{name}/reset", Doc: "Take away a user's password, and make a code by which he sets another", Right: access.UsersChange}
}
func disableQuestion() control.Operation {
	return control.Operation{Name: "user disable", Method: http.MethodPost, Path: "/users/{name}/disable", Doc: "Let a user in no more, and end his sessions", Right: access.UsersChange}
}
func enableQuestion() control.Operation {
	return control.Operation{Name: "user enable", Method: http.MethodPost, Path: "/users/{name}/enable", Doc: "Let a user in again", Right: access.UsersChange}
}
func removeQuestion() control.Operation {
	return control.Operation{Name: "user remove", Method: http.MethodDelete, Path: "/users/{name}", Doc: "Remove a user, with his sessions and tokens", Right: access.UsersChange}
}
func setupQuestion() control.Operation {
	return control.Operation{Name: "user setup-code", Method: http.MethodPost, Path: "/setup-code", Doc: "Make the code by which the first owner comes in, while there is no user", Right: access.UsersChange}
}
func rolesQuestion() control.Operation {
	return control.Operation{Name: "role list", Method: http.MethodGet, Path: "/roles", Doc: "List roles and their rights", Right: access.Own}
}

// page is what picks a page of a list.
type page struct {
	Limit  int    `json:"limit" doc:"how many at most" default:"100" min:"1" max:"1000"`
	Cursor string `json:"cursor" doc:"next of the page before"`
}

// pageOf returns a page of a list, and the cursor of the next. The list is in the order of its keys, so that a page goes on where
// the one before ended, whatever came or went meanwhile.
func pageOf[T any](all []T, p page, key func(T) string) ([]T, string) {
	i := slices.IndexFunc(all, func(x T) bool { return key(x) > p.Cursor })
	if i < 0 {
		return nil, ""
	}
	all = all[i:]
	limit := cmp.Or(p.Limit, 100)
	if len(all) <= limit {
		return all, ""
	}
	return all[:limit], key(all[limit-1])
}

// named is what names a user.
type named struct {
	Name string `path:"name" json:"-" doc:"of the user"`
}

type listIn struct{ page }

type addIn struct {
	Name    string   `json:"name" doc:"by which he logs in" required:"true"`
	Role    string   `json:"role" doc:"one of role list" required:"true"`
	Domains []string `json:"domains" doc:"that bound him; none: all"`
	Display string   `json:"display" doc:"name that is shown"`
	Mail    string   `json:"mail" doc:"his address"`
}

type editIn struct {
	named
	Match   string  `header:"If-Match" json:"-" doc:"the version that he must still have"`
	Display *string `json:"display" doc:"name that is shown"`
	Mail    *string `json:"mail" doc:"his address"`
}

type roleIn struct {
	named
	Match string `header:"If-Match" json:"-" doc:"the version that he must still have"`
	Role  string `json:"role" doc:"one of role list" required:"true"`
}

type domainsIn struct {
	named
	Match   string   `header:"If-Match" json:"-" doc:"the version that he must still have"`
	Domains []string `json:"domains" doc:"that bound him"`
	All     bool     `json:"all" doc:"nothing bounds him"`
}

// Check implements what control asks: an empty list must not be read as all.
func (in *domainsIn) Check() error {
	if in.All == (len(in.Domains) > 0) {
		return &control.Fault{Status: http.StatusBadRequest, Message: "domains or all is needed, and not both", Field: "domains"}
	}
	return nil
}

type resetIn struct {
	named
	Second bool `json:"second" doc:"takes away his second factors too"`
}

// Desk is what the operations work with.
type Desk struct {
	Accounts *accounts.Accounts
	// Away words an error of the store as whoever asks may read it; nil: it is none of his.
	Away func(error) error
	// HostKey is the fingerprint by which clients of SSH know this gateway; nil, or "", where nobody comes in so.
	HostKey func() string
}

// Operations are all that can be asked about users, tokens and sessions.
func (d *Desk) Operations() []control.Operation {
	return slices.Concat([]control.Operation{
		control.Define(listQuestion(), d.list), control.Define(showQuestion(), d.show), control.Define(addQuestion(), d.add),
		control.Define(editQuestion(), d.edit), control.Define(roleQuestion(), d.role), control.Define(domainsQuestion(), d.domains),
		control.Define(resetQuestion(), d.reset), control.Define(removeQuestion(), d.remove),
		control.Define(disableQuestion(), func(ctx context.Context, in *named) (*api.User, error) { return d.disable(ctx, in, true) }),
		control.Define(enableQuestion(), func(ctx context.Context, in *named) (*api.User, error) { return d.disable(ctx, in, false) }),
		control.Define(setupQuestion(), d.setupCode),
		control.Define(rolesQuestion(), func(context.Context, *struct{}) (*api.Roles, error) { return roles(), nil }),
	}, d.tokenOperations(), d.keyOperations(), d.sessionOperations())
}

// shown is a user as an admin sees him.
func shown(u accounts.User) *api.User {
	return &api.User{Name: u.Name, Display: u.Display, Mail: u.Mail, Role: u.Role, Domains: u.Domains, Disabled: u.Disabled, Source: u.Source, Lapsed: u.Lapsed, Password: u.Password, TOTP: u.TOTP,
		Passkeys: u.Passkeys, Created: u.Created, Login: u.Login, LoginFrom: u.LoginFrom, Version: u.Version()}
}

// kept is what the audit log keeps of a user.
func kept(u accounts.User) map[string]any {
	return map[string]any{"role": u.Role, "domains": u.Domains, "display": u.Display, "mail": u.Mail, "disabled": u.Disabled}
}

func (d *Desk) list(ctx context.Context, in *listIn) (*api.Users, error) {
	all, err := d.Accounts.Users(ctx)
	if err != nil {
		return nil, d.fault(err)
	}
	all, next := pageOf(all, in.page, func(u accounts.User) string { return u.Name })
	out := &api.Users{Users: []api.User{}, Next: next}
	for _, u := range all {
		out.Users = append(out.Users, *shown(u))
	}
	return out, nil
}

func (d *Desk) show(ctx context.Context, in *named) (*api.User, error) {
	u, err := d.Accounts.User(ctx, in.Name)
	if err != nil {
		return nil, d.fault(err)
	}
	out := shown(u)
	out.Recovery, err = d.Accounts.RecoveryLeft(ctx, in.Name)
	return out, d.fault(err)
}

func (d *Desk) add(ctx context.Context, in *addIn) (*api.Invited, error) {
	u, code, err := d.Accounts.Add(ctx, access.Of(ctx), accounts.Profile{Name: in.Name, Display: in.Display, Mail: in.Mail, Role: access.Role(in.Role), Domains: in.Domains})
	if err != nil {
		return nil, d.fault(err)
	}
	control.Changed(ctx, control.Change{Object: u.Name, After: kept(u)})
	return &api.Invited{User: *shown(u), Code: code, Until: time.Now().Add(accounts.CodeTime)}, nil
}

// change changes the profile of a user.
func (d *Desk) change(ctx context.Context, name, match string, edit func(p *accounts.Profile)) (*api.User, error) {
	before, after, err := d.Accounts.Change(ctx, access.Of(ctx), name, match, func(p accounts.Profile) (accounts.Profile, error) {
		edit(&p)
		return p, nil
	})
	if err != nil {
		return nil, d.fault(err)
	}
	control.Changed(ctx, control.Change{Object: after.Name, Before: kept(before), After: kept(after)})
	return shown(after), nil
}

func (d *Desk) edit(ctx context.Context, in *editIn) (*api.User, error) {
	return d.change(ctx, in.Name, in.Match, func(p *accounts.Profile) {
		if in.Display != nil {
			p.Display = *in.Display
		}
		if in.Mail != nil {
			p.Mail = *in.Mail
		}
	})
}

func (d *Desk) role(ctx context.Context, in *roleIn) (*api.User, error) {
	return d.change(ctx, in.Name, in.Match, func(p *accounts.Profile) { p.Role = access.Role(in.Role) })
}

func (d *Desk) domains(ctx context.Context, in *domainsIn) (*api.User, error) {
	return d.change(ctx, in.Name, in.Match, func(p *accounts.Profile) { p.Domains = in.Domains })
}

func (d *Desk) disable(ctx context.Context, in *named, disabled bool) (*api.User, error) {
	before, after, err := d.Accounts.Disable(ctx, access.Of(ctx), in.Name, disabled)
	if err != nil {
		return nil, d.fault(err)
	}
	control.Changed(ctx, control.Change{Object: after.Name, Before: kept(before), After: kept(after)})
	return shown(after), nil
}

func (d *Desk) remove(ctx context.Context, in *named) (*api.User, error) {
	u, err := d.Accounts.Remove(ctx, access.Of(ctx), in.Name)
	if err != nil {
		return nil, d.fault(err)
	}
	control.Changed(ctx, control.Change{Object: u.Name, Before: kept(u)})
	return shown(u), nil
}

func (d *Desk) reset(ctx context.Context, in *resetIn) (*api.Invited, error) {
	u, code, err := d.Accounts.Reset(ctx, access.Of(ctx), in.Name, in.Second)
	if err != nil {
		return nil, d.fault(err)
	}
	control.Changed(ctx, control.Change{Object: u.Name})
	if u, err = d.Accounts.User(ctx, in.Name); err != nil {
		return nil, d.fault(err)
	}
	out := &api.Invited{User: *shown(u), Code: code, Until: time.Now().Add(accounts.CodeTime)}
	if code == "" { // his password is elsewhere
		out.Until = time.Time{}
	}
	return out, nil
}

func (d *Desk) setupCode(ctx context.Context, _ *struct{}) (*api.SetupCode, error) {
	code, err := d.Accounts.SetupCode(ctx)
	if err != nil {
		return nil, d.fault(err)
	}
	if code == "" {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "there is a user already", Hint: "gatepost user add makes another, gatepost user reset gives one a new password"}
	}
	return &api.SetupCode{Code: code}, nil
}

func roles() *api.Roles {
	out := &api.Roles{}
	for _, role := range access.Roles() {
		one := api.Role{Role: role}
		for _, right := range access.Rights() {
			if role.Has(right) {
				one.Rights = append(one.Rights, right)
			}
		}
		out.Roles = append(out.Roles, one)
	}
	return out
}
