package rspamd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Learn tells the controller that a message is spam, or that it is not. learned says that it was new: a message that was
// learned before, or that has too little to learn from, is no error. The errors are those of Check, and ErrDenied.
func (c *Client) Learn(ctx context.Context, message io.Reader, size int64, spam bool) (learned bool, err error) {
	path := "/learnham"
	if spam {
		path = "/learnspam"
	}
	h := http.Header{}
	add(h, "Password", c.cfg.Password)
	_, _, err = c.post(ctx, path, message, size, h, http.StatusOK)
	var status *statusError
	if errors.As(err, &status) {
		switch status.code {
		case http.StatusAlreadyReported, http.StatusNoContent, http.StatusNotFound: // learned before; too short; versions differ
			return false, nil
		}
	}
	if err != nil {
		return false, fmt.Errorf("rspamd: learn at %s: %w", c.cfg.Address, refused(err))
	}
	return true, nil
}

// Admits asks the controller whether it takes the password. The errors are those of Learn.
func (c *Client) Admits(ctx context.Context) error {
	h := http.Header{}
	add(h, "Password", c.cfg.Password)
	_, _, err := c.post(ctx, "/auth", http.NoBody, 0, h, http.StatusOK)
	if err != nil {
		return fmt.Errorf("rspamd: controller %s: %w", c.cfg.Address, refused(err))
	}
	return nil
}

// refused tells a refusal of the password from others.
func refused(err error) error {
	var status *statusError
	if errors.As(err, &status) && (status.code == http.StatusUnauthorized || status.code == http.StatusForbidden) {
		return fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return err
}
