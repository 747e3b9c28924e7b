package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/internal/lab/bench/load"
	"gatepost/internal/lab/dnslab"
)

// crowdRole in the environment makes the test program a crowd of clients, in a process of its own: no descriptor and no
// octet of theirs is the test's.
const crowdRole = "GATEPOST_E2E_CROWD"

// crowdSaid is what a crowd tells of itself, a JSON object a line.
type crowdSaid struct {
	Held, Refused, Failed, Accepted int
	Why                             string // of the last that failed
}

// runCrowd is the crowd's process: "hold ADDR N" connects N clients, tells, and holds them until its input ends;
// "churn ADDR N SEED" connects N, each of which goes at some point. "listed JSON" is a load.Listed. "dns ADDR" is a name server.
func runCrowd(role string, in io.Reader, out io.Writer) error {
	f := strings.Fields(role)
	if len(f) == 2 && f[0] == "dns" {
		return nameServer(f[1], in, out)
	}
	if len(f) == 2 && f[0] == "listed" {
		return comeListed(f[1], out)
	}
	if len(f) < 3 {
		return fmt.Errorf("crowd: %q", role)
	}
	n, err := strconv.Atoi(f[2])
	if err != nil {
		return err
	}
	tell := json.NewEncoder(out)
	switch f[0] {
	case "hold":
		said, conns := hold(f[1], n)
		if err := tell.Encode(said); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, in)
		for _, conn := range conns {
			conn.Close()
		}
		return errors.Join(err, tell.Encode(crowdSaid{}))
	case "churn":
		seed, err := strconv.ParseUint(f[3], 10, 64)
		if err != nil {
			return err
		}
		return tell.Encode(churn(f[1], n, seed))
	}
	return fmt.Errorf("crowd: %q", role)
}

// comeListed lets clients come whose address a proxy tells.
func comeListed(job string, out io.Writer) error {
	var l load.Listed
	if err := json.Unmarshal([]byte(job), &l); err != nil {
		return err
	}
	met, err := l.Run(context.Background())
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(met)
}

// nameServer is a name server in a process of its own, which can be stopped and killed.
func nameServer(addr string, in io.Reader, out io.Writer) error {
	s, err := dnslab.StartAt(addr, zones)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := json.NewEncoder(out).Encode(crowdSaid{}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// perAddress is how many clients of a crowd share an address. Each address is in a wide network (IPv4 /21) of its own.
const perAddress = 20

// crowdAddress is the address of the ith client.
func crowdAddress(i int) *net.TCPAddr {
	i /= perAddress
	return &net.TCPAddr{IP: net.IPv4(127, byte(1+i/32%254), byte(i%32*8), 1)}
}

func crowdDial(addr string, i int) (net.Conn, error) {
	d := net.Dialer{Timeout: clientTime, LocalAddr: crowdAddress(i)}
	return d.Dial("tcp", addr)
}

// hold connects clients, some of which say EHLO, and keeps those that were greeted.
func hold(addr string, n int) (said crowdSaid, conns []net.Conn) {
	var mu sync.Mutex
	each(n, 64, func(i int) {
		conn, err := crowdDial(addr, i)
		line := ""
		if err == nil {
			_ = conn.SetDeadline(time.Now().Add(4 * clientTime))
			in := bufio.NewReaderSize(conn, 512)
			line, err = in.ReadString('\n')
			if strings.HasPrefix(line, "220 ") && i%2 == 0 {
				if _, err = conn.Write([]byte("EHLO idle.example.org\r\n")); err == nil {
					_, err = in.ReadString('\n')
				}
			}
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			said.Failed++
			said.Why = err.Error()
		case !strings.HasPrefix(line, "220 "):
			said.Refused++
			said.Why = line
		default:
			said.Held++
		}
		if conn != nil {
			conns = append(conns, conn)
		}
	})
	return said, conns
}

// each does something for 0 to n-1, so many at a time.
func each(n, atOnce int, do func(i int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(n, atOnce) {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				do(i)
			}
		})
	}
	group.Wait()
}

// churnScript is what a client of the churn says, each step after the reply to the one before; it goes after some step.
var churnScript = []string{
	"", "EHLO churn.example.org\r\n", "MAIL FROM:<alice@example.org>\r\n", "RCPT TO:<bob@served.test>\r\n", "DATA\r\n",
	head + "churned\r\n.\r\n", "QUIT\r\n",
}

// churn connects clients that go at each stage, cleanly or by a reset, with half a command said or none.
func churn(addr string, n int, seed uint64) (said crowdSaid) {
	var mu sync.Mutex
	each(n, 48, func(i int) {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		// Over all addresses in turn, so that no client seems to be in a hurry.
		conn, err := crowdDial(addr, r.IntN(8000)*perAddress)
		if err == nil {
			_ = conn.SetDeadline(time.Now().Add(4 * clientTime))
			accepted := churnOne(conn, r)
			mu.Lock()
			defer mu.Unlock()
			if said.Held++; accepted {
				said.Accepted++
			}
			return
		}
		mu.Lock()
		defer mu.Unlock()
		said.Failed++
		said.Why = err.Error()
	})
	return said
}

// churnOne goes as far as chance will have it. It is true when the client read a 250 for its message.
func churnOne(conn net.Conn, r *rand.Rand) (accepted bool) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 512)
	steps := r.IntN(len(churnScript) + 1)
	for at, text := range churnScript[:steps] {
		if _, err := conn.Write([]byte(text)); err != nil {
			return accepted
		}
		for {
			line, err := in.ReadString('\n')
			if err != nil || len(line) < 4 {
				return accepted
			}
			if line[3] == ' ' {
				accepted = accepted || at == 5 && strings.HasPrefix(line, "250")
				break
			}
		}
	}
	if steps < len(churnScript) {
		how := r.IntN(4)
		if steps == 5 && how == 1 {
			how = 0 // within a message nothing answers
		}
		switch how {
		case 0: // half of what comes next
			text := churnScript[steps]
			_, _ = conn.Write([]byte(text[:len(text)/2]))
		case 1: // a handshake that is none
			_, _ = conn.Write([]byte("STARTTLS\r\n"))
			_, _ = in.ReadString('\n')
			_, _ = conn.Write([]byte("\x16\x03\x01\x02\x00\x01\x00"))
		case 2: // half a chunk
			_, _ = conn.Write([]byte("BDAT 1000 LAST\r\nhalf"))
		}
	}
	if r.IntN(2) == 0 {
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
	return accepted
}

// crowd is a running crowd.
type crowd struct {
	cmd *exec.Cmd
	in  io.Closer
	out *json.Decoder
}

// startCrowd starts this program anew in a role. It ends with the test at the latest.
func startCrowd(ctx context.Context, t testing.TB, role string) *crowd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), crowdRole+"="+role)
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &crowd{cmd: cmd, in: in, out: json.NewDecoder(out)}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return c
}

// said waits for what the crowd tells.
func (c *crowd) said(t testing.TB) (s crowdSaid) {
	t.Helper()
	if err := c.out.Decode(&s); err != nil {
		t.Fatalf("crowd: %v", err)
	}
	return s
}
