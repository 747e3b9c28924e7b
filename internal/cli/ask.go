package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"unicode"

	"gatepost/internal/config"
	"gatepost/internal/control"
)

// Call asks an operation of the daemon whose socket the configuration names, or of another's API.
func Call[Out, In any](ctx context.Context, e Env, f *Flags, o control.Operation, in *In) (*Out, error) {
	client, err := clientOf(e, f)
	if err != nil {
		return nil, err
	}
	o, out := control.Asking[In](o), new(Out)
	if err := client.Ask(ctx, &o, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Upload is Call of an operation that takes an upload.
func Upload[Out, In any](ctx context.Context, e Env, f *Flags, o control.Operation, in *In, body io.Reader) (*Out, error) {
	client, err := clientOf(e, f)
	if err != nil {
		return nil, err
	}
	o, out := control.Asking[In](o), new(Out)
	if err := client.Upload(ctx, &o, in, body, out); err != nil {
		return nil, err
	}
	return out, nil
}

// clientOf is that of another's API, or of the daemon here.
func clientOf(e Env, f *Flags) (*control.Client, error) {
	if e.Remote != nil {
		return e.Remote, nil
	}
	if e.Apart {
		return nil, errors.New("nobody is asked")
	}
	b, problems := config.LoadBootstrap(f.Config)
	if b == nil {
		Tell(e, problems)
		return nil, problems.Err()
	}
	client := control.NewClient(b.Control.Socket)
	client.By = By()
	return client, nil
}

// List is Call of an operation that answers a list.
func List[Item, In any](ctx context.Context, e Env, f *Flags, o control.Operation, in *In) ([]Item, error) {
	out, err := Call[[]Item](ctx, e, f, o, in)
	if err != nil {
		return nil, err
	}
	return *out, nil
}

// CallFields is Call by the names of fields, as an operation's In has them.
func CallFields[Out, In any](ctx context.Context, e Env, f *Flags, o control.Operation, fields url.Values) (*Out, error) {
	o = control.Asking[In](o)
	in, err := o.Fill(fields)
	if err != nil {
		return nil, err
	}
	return Call[Out](ctx, e, f, o, in.(*In))
}

// Complain tells an error and returns the exit code that belongs to it.
func Complain(e Env, what string, err error) int {
	fmt.Fprintf(e.Err, "gatepost %s: %v\n", what, err)
	switch fault, ok := errors.AsType[*control.Fault](err); {
	case errors.Is(err, control.ErrNotRunning), errors.Is(err, control.ErrUnreachable):
		return Unreachable
	case ok && (fault.Status == http.StatusForbidden || fault.Status == http.StatusUnauthorized), errors.Is(err, os.ErrPermission):
		return NotAllowed
	}
	return Found
}

// Reply shows what an operation answered, as JSON with --json and else by show, or complains of what there is instead. It returns
// the exit code.
func Reply[Out any](e Env, f *Flags, what string, out *Out, err error, show func(*Out)) int {
	switch {
	case err != nil:
		return Complain(e, what, err)
	case f.JSON:
		return JSON(e, out)
	}
	show(out)
	return Done
}

// FromHere is an address of a listener as it is reached from this host.
func FromHere(a netip.AddrPort) netip.AddrPort {
	switch a.Addr() {
	case netip.IPv4Unspecified():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	case netip.IPv6Unspecified():
		return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
	}
	return a
}

// By names the person at the terminal, for the journal: what he says of himself, which the daemon completes by what the
// kernel says.
func By() string {
	for _, name := range [...]string{"SUDO_USER", "USER", "LOGNAME"} {
		if who := os.Getenv(name); who != "" {
			return plain(who, 64)
		}
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}

// plain leaves of a name what can stand in a line and in a field of a header.
func plain(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	return text[:min(len(text), most)]
}
