package user

import (
	"context"
	"errors"
	"net/http"

	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
)

// SetupCode has the daemon make the code for the first owner, as gatepost user setup-code does; "" where there is a user.
func SetupCode(ctx context.Context, e cli.Env, f *cli.Flags) (string, error) {
	c, err := cli.Call[api.SetupCode](ctx, e, f, setupQuestion(), &struct{}{})
	if fault, ok := errors.AsType[*control.Fault](err); ok && fault.Status == http.StatusConflict { // there is a user
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return c.Code, nil
}

// Any reports whether there is a user.
func Any(ctx context.Context, e cli.Env, f *cli.Flags) (bool, error) {
	all, err := cli.Call[api.Users](ctx, e, f, listQuestion(), &page{Limit: 1})
	return err == nil && len(all.Users) > 0, err
}

// HostKey is the fingerprint by which clients of SSH know the gateway; "" where nobody comes in by SSH.
func HostKey(ctx context.Context, e cli.Env, f *cli.Flags) (string, error) {
	all, err := cli.Call[api.SSHKeys](ctx, e, f, keysQuestion(), &whose{page: page{Limit: 1}, All: true})
	if err != nil {
		return "", err
	}
	return all.Host, nil
}
