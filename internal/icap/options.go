package icap

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxPreview is how much of the content is shown first at most.
const maxPreview = 64 << 10

// Options returns what the service says of itself, asked for anew when that is too old.
func (c *Client) Options(ctx context.Context) (Options, error) {
	c.mu.Lock()
	if o := c.options; time.Now().Before(c.until) {
		c.mu.Unlock()
		return o, nil
	}
	c.mu.Unlock()
	return c.ask(ctx)
}

// ask asks for the options and keeps them for as long as they say.
func (c *Client) ask(ctx context.Context) (o Options, err error) {
	age := optionsAge
	err = c.with(ctx, func(_ context.Context, k *conn) (keep bool, err error) {
		if _, err := fmt.Fprintf(k, "OPTIONS icap://%s/%s ICAP/1.0\r\nHost: %s\r\nUser-Agent: gatepost\r\nEncapsulated: null-body=0\r\n\r\n", c.cfg.Address, c.cfg.Service, c.cfg.Address); err != nil {
			return false, fmt.Errorf("icap: write: %w", err)
		}
		h, err := k.head()
		if err != nil {
			return false, err
		}
		if h.code != 200 {
			return false, fmt.Errorf("%w with %d", ErrStatus, h.code)
		}
		headers, body, err := h.parts()
		if err != nil || headers > 0 {
			return false, fmt.Errorf("%w: OPTIONS with a header section", ErrReply)
		}
		if body {
			if err := k.chunks(maxHeader, func([]byte) error { return nil }); err != nil {
				return false, err
			}
		}
		if o, err = h.options(c.cfg.Request); err != nil {
			return false, err
		}
		if n, err := strconv.ParseUint(h.fields["options-ttl"], 10, 31); err == nil {
			age = min(age, time.Duration(n)*time.Second)
		}
		return !strings.EqualFold(h.fields["connection"], "close"), nil
	})
	if err != nil {
		return Options{}, fmt.Errorf("icap: options of %s: %w", c.cfg.Address, err)
	}
	c.mu.Lock()
	c.options, c.until = o, time.Now().Add(age)
	c.mu.Unlock()
	return o, nil
}

// options reads the fields of a reply to OPTIONS.
func (h *head) options(request bool) (Options, error) {
	o := Options{Methods: printable(h.fields["methods"]), Service: printable(h.fields["service"]), ISTag: printable(strings.Trim(h.fields["istag"], `"`)), Preview: -1}
	want := "RESPMOD"
	if request {
		want = "REQMOD"
	}
	if !strings.Contains(o.Methods, want) {
		return o, fmt.Errorf("%w: the service takes %s, and not %s", ErrReply, o.Methods, want)
	}
	if v, ok := h.fields["preview"]; ok {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return o, fmt.Errorf("%w: Preview: %.40q", ErrReply, v)
		}
		o.Preview = min(int(n), maxPreview)
	}
	if n, err := strconv.ParseUint(h.fields["max-connections"], 10, 31); err == nil {
		o.Max = int(n)
	}
	o.Allows = strings.Contains(h.fields["allow"], "204")
	return o, nil
}

// eicar is the EICAR test file, put together here so that neither the source nor the program contains it.
func eicar() []byte {
	return []byte(strings.Join([]string{`X5O!P%@AP[4\PZX54(P^)7CC)7}$`, "EICAR-STANDARD-ANTIVIRUS-TEST", `-FILE!$H+H*`}, ""))
}

// Probe asks whether the service really works: its options, and a scan that must find EICAR. It returns what it calls itself.
func (c *Client) Probe(ctx context.Context) (string, error) {
	o, err := c.ask(ctx)
	if err != nil {
		return "", err
	}
	said := strings.TrimSpace(o.Service + " " + o.ISTag)
	if c.cfg.NoVirus {
		return said, nil
	}
	data := eicar()
	r, err := c.Scan(ctx, Content{Name: "eicar.com", Data: bytes.NewReader(data), Size: int64(len(data))})
	if err == nil && r.Kind != Infected && r.Kind != Blocked {
		err = fmt.Errorf("icap: probe of %s: %w: %s", c.cfg.Address, ErrBlind, r.Kind)
	}
	if err != nil {
		return "", err
	}
	return said, nil
}
