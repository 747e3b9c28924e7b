package lab

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Action is what a fake server does at one step in place of its usual answer.
// The zero value answers as usual.
type Action struct {
	After  int           // at BODY: octets read first; then nothing more is read
	Delay  time.Duration // wait before anything else
	Bytes  []byte        // sent as they are; nil: the usual answer
	Gap    time.Duration // wait between two octets sent
	Repeat bool          // send Bytes again and again until the client goes
	Then   Then
}

// Then is how a fake server goes on after it answered.
type Then int

const (
	GoOn  Then = iota // take the next step
	Close             // close the connection
	Reset             // close it so that the client gets a reset
	Hang              // stay connected, read nothing more and say nothing
)

// usual says whether the action is the zero value.
func (a Action) usual() bool {
	return a.After == 0 && a.Delay == 0 && a.Bytes == nil && a.Gap == 0 && !a.Repeat && a.Then == GoOn
}

// Reply answers with one line of SMTP, or several when the text has CRLF inside.
func Reply(text string) Action { return Action{Bytes: []byte(text + "\r\n")} }

// ReplyThenClose answers with a line of SMTP and closes the connection.
func ReplyThenClose(text string) Action { return Action{Bytes: []byte(text + "\r\n"), Then: Close} }

// ReplyAfter answers as usual (an empty text) or with a line, after a delay.
func ReplyAfter(delay time.Duration, text string) Action {
	if text == "" {
		return Action{Delay: delay}
	}
	return Action{Delay: delay, Bytes: []byte(text + "\r\n")}
}

// Raw sends exactly these octets.
func Raw(b string) Action { return Action{Bytes: []byte(b)} }

// Silence says nothing and hangs.
func Silence() Action { return Action{Bytes: []byte{}, Then: Hang} }

// Gone says nothing and closes the connection.
func Gone() Action { return Action{Bytes: []byte{}, Then: Close} }

// Endless sends the text over and over until the client goes.
func Endless(text string) Action { return Action{Bytes: []byte(text), Repeat: true, Then: Close} }

// Trickle sends the text with a pause after each octet.
func Trickle(text string, gap time.Duration) Action { return Action{Bytes: []byte(text), Gap: gap} }

// fake is what all fake servers share: a listener, connections that end with
// it, and the script of its steps.
type fake struct {
	listener net.Listener
	serve    func(net.Conn)

	wg     sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	scripts  map[string][]Action
	conns    map[net.Conn]struct{}
	accepted int
	most     int // connections at the same time
}

// listen starts the fake on a port of the system's choice.
func (f *fake) listen(serve func(net.Conn)) error { return f.listenAt("127.0.0.1:0", serve) }

// listenAt starts the fake at a host:port.
func (f *fake) listenAt(addr string, serve func(net.Conn)) error {
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		return fmt.Errorf("fake server: %w", err)
	}
	f.listener, f.serve = l, serve
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.scripts = make(map[string][]Action)
	f.conns = make(map[net.Conn]struct{})
	f.wg.Go(f.acceptAll)
	return nil
}

func (f *fake) acceptAll() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		if !f.keep(conn) {
			conn.Close()
			return
		}
		f.wg.Go(func() {
			defer f.drop(conn)
			f.serve(conn)
		})
	}
}

func (f *fake) keep(conn net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() != nil {
		return false
	}
	f.accepted++
	f.conns[conn] = struct{}{}
	f.most = max(f.most, len(f.conns))
	return true
}

func (f *fake) drop(conn net.Conn) {
	conn.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, conn)
}

// Addr is its host:port.
func (f *fake) Addr() string { return f.listener.Addr().String() }

// Connections is how many connections it has taken so far.
func (f *fake) Connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accepted
}

// Most is how many connections it had at the same time, at most.
func (f *fake) Most() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most
}

// Close ends the server and all its connections, and waits for them.
func (f *fake) Close() {
	f.cancel()
	f.listener.Close()
	f.Disconnect()
	f.wg.Wait()
}

// Disconnect closes all connections and takes new ones.
func (f *fake) Disconnect() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for conn := range f.conns {
		conn.Close()
	}
}

// On says what happens at a step: at its first occurrence the first action, and
// so on; the last action stays for all further ones. Without actions the step is
// as usual again. The steps are named at each kind of server.
func (f *fake) On(step string, actions ...Action) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scripts[step] = actions
}

func (f *fake) forgetSteps() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.scripts)
}

// next is the action for a step that occurs now.
func (f *fake) next(step string) Action {
	f.mu.Lock()
	defer f.mu.Unlock()
	actions := f.scripts[step]
	if len(actions) == 0 {
		return Action{}
	}
	if len(actions) > 1 {
		f.scripts[step] = actions[1:]
	}
	return actions[0]
}

// perform does an action; false means that the connection is at its end.
func (f *fake) perform(conn net.Conn, a Action, usual []byte) bool {
	if !f.sleep(a.Delay) {
		return false
	}
	if a.Bytes == nil {
		a.Bytes = usual
	}
	for {
		if !f.write(conn, a) {
			return false
		}
		if !a.Repeat || f.ctx.Err() != nil {
			break
		}
	}
	switch a.Then {
	case Hang:
		<-f.ctx.Done()
		return false
	case Reset:
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		conn.Close()
		return false
	case Close:
		conn.Close()
		return false
	}
	return true
}

func (f *fake) write(conn net.Conn, a Action) bool {
	if a.Gap == 0 {
		_, err := conn.Write(a.Bytes)
		return err == nil
	}
	for i := range a.Bytes {
		if _, err := conn.Write(a.Bytes[i : i+1]); err != nil || !f.sleep(a.Gap) {
			return false
		}
	}
	return true
}

// sleep waits; false when the server was closed meanwhile.
func (f *fake) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-f.ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
