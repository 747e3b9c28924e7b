package control

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"gatepost/internal/access"
)

// closing tells whether it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// TestFileFrom sends a large file as it comes, with its length; one that is cut off is seen by that; it is closed each time.
func TestFileFrom(t *testing.T) {
	const size = 3<<20 + 7
	whole := strings.Repeat("x", size)
	var from *closing
	s := &Surface{Who: func(*http.Request) (access.Actor, error) { return access.Actor{Name: "o", Role: access.Owner}, nil },
		Operations: []Operation{Define(Look("get", "/get", "Get it", access.SystemRead), func(context.Context, *struct{}) (*File, error) {
			return &File{Name: "a b\"c", Type: "application/octet-stream", From: from, Size: size}, nil
		})}}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler(""))
	defer server.Close()
	for name, c := range map[string]struct {
		from  io.Reader
		whole bool
	}{
		"whole":   {strings.NewReader(whole), true},
		"longer":  {strings.NewReader(whole + "more"), true},
		"shorter": {strings.NewReader(whole[1:]), false},
		"broken":  {io.MultiReader(strings.NewReader(whole[:1<<20]), iotest.ErrReader(errors.New("the disk"))), false},
	} {
		from = &closing{Reader: c.from}
		resp, err := http.Get(server.URL + "/get")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if (err == nil) != c.whole || c.whole && string(got) != whole || resp.ContentLength != size || resp.Header.Get("Content-Disposition") != `attachment; filename="a_b_c"` {
			t.Errorf("%s: %d octets of %d, %v, %q", name, len(got), resp.ContentLength, err, resp.Header)
		}
		server.CloseClientConnections()
		if !from.closed {
			t.Errorf("%s: it is open still", name)
		}
	}
}
