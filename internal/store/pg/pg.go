// Package pg is what the stores that can be in PostgreSQL have in common: how a server is named and spoken to.
//
// Beyond this machine nothing is said in clear, or to a server whose certificate nobody looks at, unless whoever runs it says
// so. No error of this package holds a password. No RFC applies.
package pg

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// dialTime is what making one connection may take.
const dialTime = 3 * time.Second

// Options name a server.
type Options struct {
	Key      string // of the configuration where the URL stands, for errors: "store.url"
	URL      string // postgres://user@host/database, with parameters as libpq has them
	Password string // beside what the URL says; ""
	Insecure bool   // a server beyond this machine may be spoken to in clear, or without knowing who it is
}

// Config reads the options. What runs by it says who it is, and gives up making a connection after three seconds.
func Config(o Options) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: it is postgres://user@host/database, with parameters as libpq has them", o.Key) // pgx's words may hold the password
	}
	if o.Password != "" {
		c.Password = o.Password
	}
	if err := safe(o.Key, &c.Config); err != nil && !o.Insecure {
		return nil, err
	}
	c.ConnectTimeout = dialTime
	c.RuntimeParams["application_name"] = "gatepost"
	return c, nil
}

// safe refuses to speak, beyond this machine, in clear or to a server whose certificate nobody looks at.
func safe(key string, c *pgconn.Config) error {
	places := []*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}
	for _, p := range append(places, c.Fallbacks...) {
		ip, err := netip.ParseAddr(p.Host)
		if strings.HasPrefix(p.Host, "/") || strings.HasPrefix(p.Host, "@") || p.Host == "localhost" || err == nil && ip.IsLoopback() {
			continue
		}
		if p.TLSConfig == nil || p.TLSConfig.InsecureSkipVerify && p.TLSConfig.VerifyPeerCertificate == nil && p.TLSConfig.VerifyConnection == nil {
			return fmt.Errorf("%s: %s is not on this machine, and what is told there could be read and changed on the way: add sslmode=verify-full, or say store.insecure = true", key, p.Host)
		}
	}
	return nil
}

// Away reports whether an error is the server's and not the statement's: a connection that broke, a deadline, no room on its
// disk, a server that ends or begins.
func Away(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrBadConn) {
		return true
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok { // PostgreSQL, appendix A: classes of errors
		return strings.HasPrefix(e.Code, "08") || strings.HasPrefix(e.Code, "53") || strings.HasPrefix(e.Code, "57") || strings.HasPrefix(e.Code, "58")
	}
	_, network := errors.AsType[net.Error](err)
	return network || pgconn.SafeToRetry(err)
}

// Placeholders numbers the parameters of a statement, question marks, from $1. No question mark stands in a text in quotes.
func Placeholders(text string) string {
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(text, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}
