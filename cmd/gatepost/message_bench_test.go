package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/lab/dnslab"
)

// BenchmarkMessage sends messages through a whole daemon to a next hop that only answers, over one connection and in
// lock-step. Client and next hop cost little and allocate nothing, so that time, profile and allocations are the daemon's:
//
//	go test -run '^$' -bench Message -cpuprofile cpu.out -memprofile mem.out ./cmd/gatepost
func BenchmarkMessage(b *testing.B) {
	for _, size := range []int{1 << 10, 10 << 10, 100 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dK", size>>10), func(b *testing.B) { benchmarkMessage(b, "", benchMessage(size)) })
	}
}

// BenchmarkStranger is BenchmarkMessage from an address of the internet, which a PROXY header names, so that what DNS says
// of the client and the sender is looked up: SPF and DMARC with the cache warm.
func BenchmarkStranger(b *testing.B) {
	for _, size := range []int{1 << 10, 10 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dK", size>>10), func(b *testing.B) { benchmarkMessage(b, "192.0.2.7", benchMessage(size)) })
	}
}

// benchmarkMessage sends the message again and again. A client that is named stands in a PROXY header.
func benchmarkMessage(b *testing.B, client string, message []byte) {
	hop := listenLocally(b)
	go func() {
		for {
			c, err := hop.Accept()
			if err != nil {
				return
			}
			go takeAll(c)
		}
	}()
	c := bufio.NewReaderSize(nil, 4<<10)
	conn, stop := startForBench(b, hop.Addr().(*net.TCPAddr).Port, client != "")
	defer stop()
	c.Reset(conn)
	expect := func(code string) {
		for {
			line, err := c.ReadSlice('\n')
			if err != nil || len(line) < 4 || string(line[:3]) != code {
				b.Fatalf("wanted %s: %q %v", code, line, err)
			}
			if line[3] == ' ' {
				return
			}
		}
	}
	say := func(text []byte, code string) {
		if _, err := conn.Write(text); err != nil {
			b.Fatal(err)
		}
		expect(code)
	}
	if client != "" {
		if _, err := io.WriteString(conn, "PROXY TCP4 "+client+" 192.0.2.1 40000 25\r\n"); err != nil {
			b.Fatal(err)
		}
	}
	expect("220")
	say([]byte("EHLO client.test\r\n"), "250")
	mail, rcpt, data := []byte("MAIL FROM:<a@sender.test>\r\n"), []byte("RCPT TO:<user@served.test>\r\n"), []byte("DATA\r\n")
	one := func() {
		say(mail, "250")
		say(rcpt, "250")
		say(data, "354")
		say(message, "250")
	}
	one() // the pool is warm, and the recipient is known
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	began := cpuTime(b)
	for b.Loop() {
		one()
	}
	b.ReportMetric(float64(cpuTime(b)-began)/1e3/float64(b.N), "cpu-us/op")
}

// cpuTime is what the process has used so far, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func benchMessage(size int) []byte {
	var m bytes.Buffer
	m.WriteString("Received: from a.test by b.test; Thu, 26 Nov 2026 10:00:00 +0000\r\nFrom: A <a@sender.test>\r\nTo: user@served.test\r\n" +
		"Subject: A subject of some length\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.test>\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n")
	line := strings.Repeat("all work and no play ", 3) + "makes it\r\n"
	for m.Len() < size {
		m.WriteString(line)
	}
	m.WriteString(".\r\n")
	return m.Bytes()
}

func listenLocally(b *testing.B) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	return l
}

// fastRates are counted as the default ones and let the benchmark pass.
const fastRates = "[[rate]]\nof = \"client\"\nunit = \"messages\"\nunknown = \"1000000/1s\"\nknown = \"1000000/1s\"\n"

// startForBench runs the daemon, with its log and without scanners, and connects to it.
func startForBench(b *testing.B, hop int, proxied bool) (net.Conn, func()) {
	names, err := dnslab.Start(dnslab.Text("sender.test. MX 10 mail.sender.test.\nmail.sender.test. A 192.0.2.10\n" +
		"7.2.0.192.in-addr.arpa. PTR client.test.\nclient.test. A 192.0.2.7\nsender.test. TXT \"v=spf1 include:_spf.sender.test -all\"\n" +
		"_spf.sender.test. TXT \"v=spf1 ip4:192.0.2.0/24 -all\"\n_dmarc.sender.test. TXT \"v=DMARC1; p=reject\"\n"))
	if err != nil {
		b.Fatal(err)
	}
	b.Setenv("TMPDIR", os.TempDir()) // the daemon sets it for itself, and it is ours
	dir := b.TempDir()
	state := filepath.Join(dir, "state")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	proxy := ""
	if proxied {
		proxy = "proxy_from = [\"127.0.0.0/8\"]\n"
	}
	write("gatepost.toml", fmt.Sprintf("hostname = \"mx.gatepost.test\"\nstate_dir = %q\nsandbox = \"off\"\n[[listener]]\nname = \"smtp\"\naddresses = [\"127.0.0.1:0\"]\n"+proxy+
		"[dns]\nservers = [%q]\n[web]\nmetrics = \"127.0.0.1:0\"\nconsole = \"\"\n[clamav]\naddresses = []\n[spamassassin]\naddresses = []\n", state, names.Addr()))
	write("policy.toml", fmt.Sprintf(fastRates+"[limits]\ntransactions = 100000\nsession_time = \"24h\"\n[[route]]\nname = \"in\"\ntls = \"none\"\n[[route.next_hop]]\nhost = \"127.0.0.1\"\nport = %d\n"+
		"[[domain]]\nname = \"served.test\"\nroute = \"in\"\n[checks.clamav]\naction = \"off\"\n[checks.spamassassin]\naction = \"off\"\n[checks.pregreet]\naction = \"off\"\n", hop))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- serve(ctx, cli.Env{Out: io.Discard, Err: os.Stderr, Sections: sections}, []string{"--config", dir})
	}()
	var where api.Addresses
	for range 500 {
		if text, err := os.ReadFile(filepath.Join(state, "addresses.json")); err == nil && json.Unmarshal(text, &where) == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	conn, err := net.Dial("tcp", where.Listeners["smtp"])
	if err != nil {
		b.Fatal(err)
	}
	return conn, func() {
		_ = conn.Close()
		cancel()
		if code := <-ended; code != cli.Done {
			b.Errorf("exit %d", code)
		}
		names.Close()
	}
}

// takeAll is a next hop that takes everything and keeps nothing.
func takeAll(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 256<<10)
	_, _ = io.WriteString(c, "220 hop\r\n")
	replies := map[string][]byte{"EHLO": []byte("250-hop\r\n250-PIPELINING\r\n250-SIZE 0\r\n250 8BITMIME\r\n"), "DATA": []byte("354 go\r\n")}
	ok, have, inData := []byte("250 2.0.0 ok\r\n"), 0, false
	var out []byte
	for {
		n, err := c.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		out = out[:0]
		for {
			if inData {
				i := bytes.Index(buf[:have], []byte("\r\n.\r\n"))
				if i < 0 {
					have = copy(buf, buf[max(0, have-4):have]) // enough to find an end that comes in parts
					break
				}
				have = copy(buf, buf[i+5:have])
				inData, out = false, append(out, ok...)
				continue
			}
			i := bytes.IndexByte(buf[:have], '\n')
			if i < 0 {
				break
			}
			verb := buf[:min(4, i)]
			if r := replies[string(verb)]; r != nil {
				inData, out = string(verb) == "DATA", append(out, r...)
			} else {
				out = append(out, ok...)
			}
			have = copy(buf, buf[i+1:have])
		}
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}
