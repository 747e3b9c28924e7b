package console

import (
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// ErrLogin says that nobody is let in: wrong, unknown, or over. A page says no more than that; another error of Accounts that
// has Public() string is shown by it.
var ErrLogin = errors.New("console: not let in")

// Attempt is what somebody typed who wants in.
type Attempt struct {
	Name, Password string
	Code           string // of the second factor; with Token
	Token          string // of the first step, where a second is needed
	Ticket, Answer string // of a passkey, in place of Code; with Token
	Address        netip.Addr
	Agent          string // as the browser calls itself, cut
}

// Login is what came of an Attempt.
type Login struct {
	Token string // of the session, or of its first step
	More  bool   // a second factor is needed
	// Passkey is asked of the browser, where it may be the second factor; NoCode says that nothing else may.
	Passkey *Ceremony
	NoCode  bool
}

// Accounts knows who operators are. Its methods bound themselves in time, and in how often a client may try.
type Accounts interface {
	// Login takes a name and a password, or the Token of that step and a Code. Each Login that lets in makes a new Token.
	Login(context.Context, *Attempt) (Login, error)
	// Session returns who is behind a token of Login.
	Session(ctx context.Context, token string, from netip.Addr) (access.Actor, error)
	// Bearer returns who is behind a token of the API.
	Bearer(ctx context.Context, token string, from netip.Addr) (access.Actor, error)
	// Logout ends a session.
	Logout(ctx context.Context, token string) error
	// Prove takes the password or a code again, and returns the token under which the session goes on.
	Prove(ctx context.Context, actor access.Actor, proof string) (token string, err error)
	// Empty reports whether there is no user yet.
	Empty(ctx context.Context) (bool, error)
	// First makes the first user, an owner, with a Name and a Password, by the Code that the machine printed.
	First(context.Context, *Attempt) (Login, error)
	// Redeem sets a Password by a Code that an admin made for a user.
	Redeem(context.Context, *Attempt) (Login, error)
}

// Frame is what every page shows around it. It is asked for each, and waits for nothing.
type Frame struct {
	Host, Version, Policy string
	Mode                  gateway.Mode
}

// Options are what a Console is made of.
type Options struct {
	Accounts Accounts         // nil: nobody is let in
	Outside  Outside          // nil: there are accounts of ours only
	Own      Own              // nil: nobody changes what proves him here
	Surface  *control.Surface // its Who is set by the console
	Frame    func() Frame
	// Thresholds are those that count for a recipient of a message, by the policy in force, and its version.
	Thresholds func(rcpt string) (gateway.Thresholds, string)
	Logger     *slog.Logger
	Sections   func() config.Sections // the tables of the policy that checks describe; nil: none
	Served     func() bool            // whether mail is accepted for some domain; nil: it is
}

// Console answers browsers and programs.
type Console struct {
	Options
	templates map[string]*template.Template
	assets    *assets
	streams   chan struct{} // a place for each live view
	settled   atomic.Bool   // there is a user
	board     board
}

// How many live views there may be at once.
const maxStreams = 64

// New reads the templates and the assets.
func New(o Options) (*Console, error) {
	c := &Console{Options: o, streams: make(chan struct{}, maxStreams)}
	var err error
	if c.assets, err = readAssets(); err != nil {
		return nil, err
	}
	if c.templates, err = c.parse(); err != nil {
		return nil, err
	}
	return c, nil
}

// Handler is what a server asks.
func (c *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{name}", c.assets.serve)
	mux.HandleFunc("GET /login", c.loginPage)
	mux.HandleFunc("POST /login", c.login)
	mux.HandleFunc("POST /logout", c.logout)
	mux.HandleFunc("GET "+issuerPath, c.toIssuer)
	mux.HandleFunc("GET "+issuerBack, c.fromIssuer)
	mux.HandleFunc("GET /setup", c.setupPage)
	mux.HandleFunc("POST /setup", c.setup)
	mux.HandleFunc("GET /redeem", c.redeemPage)
	mux.HandleFunc("POST /redeem", c.redeem)
	mux.HandleFunc("POST /theme", c.theme)
	mux.Handle("/api/v1/", c.api())
	c.page(mux, "GET /{$}", access.LogRead, c.overview)
	c.page(mux, "GET /log", access.LogRead, c.logPage)
	c.page(mux, "GET /log/m/{id}", access.LogRead, c.messagePage)
	c.page(mux, "GET /log/live", access.LogRead, c.liveLog)
	c.page(mux, "GET /policy/whatif", access.PolicyRead, c.whatIf)
	c.page(mux, "GET /users", access.UsersRead, c.usersPage)
	c.page(mux, "POST /users", access.UsersChange, c.userAdd)
	c.page(mux, "GET /users/{name}", access.UsersRead, c.userPage)
	c.page(mux, "POST /users/{name}/{what}", access.UsersChange, c.userDo)
	c.page(mux, "GET /sessions", access.UsersRead, c.sessionsPage)
	c.page(mux, "POST /sessions/end", access.Own, c.sessionEnd)
	c.page(mux, "GET /tokens", access.UsersRead, c.tokensPage)
	c.page(mux, "POST /tokens", access.Own, c.tokenAdd)
	c.page(mux, "POST /tokens/end", access.Own, c.tokenEnd)
	c.page(mux, "GET /account", access.Own, c.accountPage)
	c.page(mux, "POST /account/keys", access.Own, c.keyAdd)
	c.page(mux, "POST /account/keys/end", access.Own, c.keyEnd)
	c.securityPages(mux)
	c.policyPages(mux)
	c.rulePages(mux)
	c.shadowPages(mux)
	c.quarantinePages(mux)
	c.alarmPages(mux)
	c.queuePages(mux)
	c.senderPages(mux)
	c.portalPages(mux)
	c.auditPages(mux)
	c.healthPages(mux)
	c.nodePages(mux)
	c.appliancePages(mux)
	c.backupPages(mux)
	c.beginPages(mux)
	c.page(mux, "GET /settings", access.SystemRead, c.settingsPage)
	mux.HandleFunc("/", c.nowhere)
	return c.guard(http.NewCrossOriginProtection().Handler(mux))
}

// places are the pages of the navigation, in its order; whoever lacks the right does not see one.
func places() []place {
	return []place{
		{"", "Overview", "/", "home", "o", access.LogRead, ""},
		{"", "Message log", "/log", "log", "l", access.LogRead, ""},
		{"", "Quarantine", "/quarantine", "box", "q", access.QuarantineRead, "quarantine list"},
		{"", "Queue", "/queue", "queue", "w", access.QueueRead, "queue list"},
		{"", "Greylist", "/greylist", "wait", "", access.SendersRead, "greylist list"},
		{"", "Senders", "/senders", "lists", "", access.SendersRead, "reputation top"},
		{"", "Reports", "/reports", "down", "", access.ReportsRead, "reports list"},
		{"Rules", "Policy", "/policy", "policy", "p", access.PolicyRead, "policy show"},
		{"Rules", "Allow and block", "/lists", "lists", "", access.PolicyRead, "policy show"},
		{"Rules", "Domains and routes", "/domains", "route", "d", access.PolicyRead, "policy show"},
		{"System", "TLS and DNS", "/tls", "cert", "", access.SystemRead, "tls status"},
		{"System", "Alarms", "/alarms", "warn", "a", access.AlarmsRead, "alarm list"},
		{"System", "Health", "/health", "node", "h", access.StatusRead, "status"},
		{"System", "Users' portal", "/portal", "user", "", access.QuarantineRead, "portal links"},
		{"System", "Nodes", "/nodes", "node", "", access.SystemRead, "node list"},
		{"System", "Appliance", "/appliance", "node", "", access.SystemRead, "appliance status"},
		{"System", "Backups", "/backups", "box", "", access.SystemRead, "backup status"},
		{"System", "Settings", "/settings", "policy", "", access.SystemRead, "settings"},
		{"System", "Users", "/users", "user", "u", access.UsersRead, "user list"},
		{"System", "Audit log", "/audit", "audit", "", access.AuditRead, "audit list"},
		{"System", "API", "/api/v1/openapi.json", "audit", "", access.Own, ""},
	}
}

// place is a page of the navigation.
type place struct {
	Group, Title, Path, Icon, Key string
	right                         access.Right
	operation                     string // without which it is left out; "" for none
}
