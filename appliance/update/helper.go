package update

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"gatepost/appliance/bundle"
)

// Socket is where the helper of root is asked.
const Socket = "/run/gatepost-update.sock"

// What the helper can be asked for.
const (
	DoStatus   = "status"
	DoApply    = "apply" // the bundle stands behind the question, up to the end of what is sent
	DoRollback = "rollback"
	DoRestart  = "restart"
)

// Bounds of a question.
const (
	maxQuestion = 1 << 10
	maxAnswer   = 64 << 10
	idleTime    = time.Minute      // that nothing may come
	drainTime   = 30 * time.Second // that what is refused is read on, so that its sender reads why
)

type question struct {
	Do string `json:"do"`
}

// Answer is what the helper says, in lines of JSON: one for each step, and the last with Done.
type Answer struct {
	Step    string         `json:"step,omitempty"` // of an update: receives, writes, verifies
	Done    bool           `json:"done,omitempty"`
	Error   string         `json:"error,omitempty"`   // why it was not done; for people
	Version bundle.Version `json:"version,omitempty"` // that was applied, or is booted next after a rollback
	Status  *Status        `json:"status,omitempty"`  // as it is then
}

// Helper answers one question on one connection, with the rights of root. Whoever can ask it can install what is signed and newer, and
// no other thing.
type Helper struct {
	Find    func() (*Machine, error)
	Restart func() error                     // restarts the machine
	Log     func(format string, args ...any) // a line of what is done, for the journal
}

// Serve answers what comes on a connection, and closes it. The error is for the journal: whoever asked was told.
func (h *Helper) Serve(conn net.Conn) error {
	defer conn.Close()
	from := bufio.NewReaderSize(&patient{conn}, maxQuestion)
	line, err := from.ReadSlice('\n')
	var q question
	if err == nil {
		err = json.Unmarshal(line, &q)
	}
	if err != nil {
		err = fmt.Errorf("the question: %w", err)
		return errors.Join(err, say(conn, Answer{Done: true, Error: err.Error()}))
	}
	h.Log("asked for %.20q", q.Do)
	a, err := h.do(q.Do, from, func(step string) {
		h.Log("%s", step)
		_ = say(conn, Answer{Step: step}) // who went away is not waited for: what is written is verified already
	})
	if a.Done = true; err != nil {
		a.Error = err.Error()
	}
	said := say(conn, a)
	if c, ok := conn.(interface{ CloseWrite() error }); ok && said == nil && c.CloseWrite() == nil {
		// To close with something unread resets the connection, and its sender may never read why.
		_ = conn.SetReadDeadline(time.Now().Add(drainTime))
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, 2*bundle.MaxPart))
	}
	if err == nil && q.Do == DoRestart {
		err = h.Restart()
	}
	return err
}

func (h *Helper) do(what string, from io.Reader, tell func(string)) (a Answer, err error) {
	m, err := h.Find()
	if err != nil {
		return a, err
	}
	switch what {
	case DoStatus, DoRestart:
	case DoApply:
		b, err := m.Apply(from, tell)
		if b != nil {
			a.Version = b.Version
		}
		if err != nil {
			return a, err
		}
	case DoRollback:
		if a.Version, err = m.Rollback(); err != nil {
			return a, err
		}
	default:
		return a, fmt.Errorf("%.20q is nothing that can be asked for", what)
	}
	a.Status, err = m.Status()
	return a, err
}

func say(conn net.Conn, a Answer) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := conn.SetWriteDeadline(time.Now().Add(drainTime)); err != nil {
		return err
	}
	_, err = conn.Write(append(text, '\n'))
	return err
}

// patient reads from a connection that may not be silent for long.
type patient struct{ net.Conn }

func (p *patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(idleTime)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

// Ask asks the helper at a socket. body is the bundle of DoApply, else nil; tell is told the steps, and may be nil. The error is
// ErrNoAppliance where there is no helper, and what the helper answered where it did not do it.
func Ask(ctx context.Context, socket, do string, body io.Reader, tell func(step string)) (*Answer, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoAppliance
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	text, err := json.Marshal(question{Do: do})
	if err != nil {
		return nil, err
	}
	if body == nil {
		body = bytes.NewReader(nil)
	}
	sent := make(chan error, 1)
	go func() {
		own := &source{from: io.MultiReader(bytes.NewReader(append(text, '\n')), body)}
		_, _ = io.Copy(conn, own) // where the helper reads no more it says why
		if own.err != nil {       // what is sent cannot be read: the helper must not wait for more of it
			sent <- errors.Join(own.err, conn.SetReadDeadline(time.Unix(1, 0)))
			return
		}
		_ = conn.(*net.UnixConn).CloseWrite()
		sent <- nil
	}()
	a, err := hear(conn, tell)
	_ = conn.Close() // ends who sends
	if own := <-sent; own != nil {
		return nil, own
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return a, err
}

// source keeps the error of what is sent apart from those of sending.
type source struct {
	from io.Reader
	err  error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.from.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// hear reads answers up to the last.
func hear(conn io.Reader, tell func(string)) (*Answer, error) {
	d := json.NewDecoder(io.LimitReader(conn, maxAnswer))
	for {
		a := new(Answer)
		if err := d.Decode(a); err != nil {
			return nil, fmt.Errorf("the helper ended without an answer: %w", err)
		}
		switch {
		case a.Done && a.Error != "":
			return a, errors.New(a.Error)
		case a.Done:
			return a, nil
		case tell != nil:
			tell(a.Step)
		}
	}
}
