package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gatepost/internal/clamd"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/spamd"
)

// BenchmarkContent measures what it costs to look into mail: messages of text, and with an archive, through the real daemon,
// with the checks of content alone, with the real clamd and spamd besides, and with none of it; and the two scanners asked
// without the daemon, over the same messages. Each process that works is counted by itself, from /proc, the processes that
// open archives with the daemon.
func BenchmarkContent(b *testing.B) {
	parts := startReal(b)
	off := "[checks.clamav]\naction = \"off\"\n[checks.spamassassin]\naction = \"off\"\n"
	none := off
	for _, check := range []string{"mime", "attachments.type", "attachments.name", "attachments.encrypted", "attachments.archive", "attachments.macro", "attachments.active", "urls", "rbl.url",
		"impersonation.person", "impersonation.domain", "impersonation.own", "impersonation.reply", "impersonation.first"} {
		none += "[checks." + check + "]\naction = \"off\"\n"
	}
	limits := noWaits + "message_size = \"4M\"\ntransactions = 100000\n"
	worlds := []struct {
		name string
		w    *world
	}{
		{"none", parts.gate(b, setup{policy: none, limits: limits, trusted: `"127.0.0.0/8"`})},
		{"content", parts.gate(b, setup{policy: off, limits: limits, trusted: `"127.0.0.0/8"`})},
		{"everything", parts.gate(b, setup{limits: limits, trusted: `"127.0.0.0/8"`})},
	}
	for _, kind := range []string{"text", "zip"} {
		for _, size := range []int{10 << 10, 1 << 20} {
			message := contentMail(b, kind, size)
			for i := range worlds {
				w := worlds[i].w
				b.Run(fmt.Sprintf("%s/%dK/%s", kind, size>>10, worlds[i].name), func(b *testing.B) {
					c := w.hello(b)
					defer c.conn.Close()
					send := func() {
						c.want("250", "MAIL FROM:<"+sender+">")
						c.want("250", "RCPT TO:<"+mailbox+">")
						c.want("354", "DATA")
						c.send(message + ".\r\n")
						if r := c.reply(); !strings.HasPrefix(r, "250 ") {
							b.Fatalf("%q", r)
						}
					}
					counted(b, len(message), map[string]int{"gatepost": w.daemon.PID(), "clamd": parts.clamd.PID(), "spamd": parts.spamd.PID()}, send)
				})
			}
			b.Run(fmt.Sprintf("%s/%dK/clamd alone", kind, size>>10), func(b *testing.B) {
				client, err := clamd.New(clamd.Config{Address: "unix:" + parts.clamd.Socket})
				if err != nil {
					b.Fatal(err)
				}
				counted(b, len(message), map[string]int{"clamd": parts.clamd.PID()}, func() {
					if _, err := client.Scan(labtest.Context(b), strings.NewReader(message), int64(len(message))); err != nil {
						b.Fatal(err)
					}
				})
			})
			b.Run(fmt.Sprintf("%s/%dK/spamd alone", kind, size>>10), func(b *testing.B) {
				client, err := spamd.New(spamd.Config{Address: parts.spamd.Addr})
				if err != nil {
					b.Fatal(err)
				}
				head := message[:min(len(message), 512<<10)]
				counted(b, len(message), map[string]int{"spamd": parts.spamd.PID()}, func() {
					if _, err := client.Check(labtest.Context(b), spamd.Request{Size: int64(len(head)), Message: strings.NewReader(head)}); err != nil {
						b.Fatal(err)
					}
				})
			})
		}
	}
}

// counted runs the loop of a benchmark and reports the CPU time that each process, with its children, took for a turn.
func counted(b *testing.B, octets int, pids map[string]int, turn func()) {
	b.Helper()
	turn() // caches are warm
	before := map[string]float64{}
	for name, pid := range pids {
		before[name] = labtest.CPU(b, pid).Seconds()
	}
	b.SetBytes(int64(octets))
	b.ResetTimer()
	began := time.Now()
	for range b.N {
		turn()
	}
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "messages/s")
	for name, pid := range pids {
		b.ReportMetric((labtest.CPU(b, pid).Seconds()-before[name])*1e6/float64(b.N), name+"-cpu-us/op")
	}
}

// contentMail is a message of about that size: of text, or with an archive of two files in it.
func contentMail(b *testing.B, kind string, size int) string {
	b.Helper()
	var text strings.Builder
	text.WriteString("From: Anna <" + sender + ">\r\nTo: " + mailbox + "\r\nSubject: The figures of this week\r\nDate: " + time.Now().Format(time.RFC1123Z) + "\r\nMessage-ID: <bench@sender.test>\r\nMIME-Version: 1.0\r\n")
	words := strings.Fields("the report of this week lies here with all figures that were asked for and some that nobody wanted yet see https://sender.test/report for more")
	random := rand.New(rand.NewPCG(1, 2))
	line := func(w *strings.Builder) {
		for range 10 {
			w.WriteString(words[random.IntN(len(words))] + " ")
		}
		w.WriteString("\r\n")
	}
	if kind == "text" {
		text.WriteString("Content-Type: text/plain; charset=utf-8\r\n\r\n")
		for text.Len() < size {
			line(&text)
		}
		return text.String()
	}
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	for _, name := range []string{"figures.csv", "notes.txt"} {
		w, err := z.Create(name)
		if err != nil {
			b.Fatal(err)
		}
		noise := make([]byte, size*3/8) // does not shrink
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		if _, err := w.Write(noise); err != nil {
			b.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		b.Fatal(err)
	}
	text.WriteString("Content-Type: multipart/mixed; boundary=next\r\n\r\n--next\r\nContent-Type: text/plain\r\n\r\n")
	line(&text)
	text.WriteString("--next\r\nContent-Type: application/zip; name=figures.zip\r\nContent-Disposition: attachment; filename=figures.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	encoded := base64.StdEncoding.EncodeToString(packed.Bytes())
	for len(encoded) > 0 {
		n := min(76, len(encoded))
		text.WriteString(encoded[:n] + "\r\n")
		encoded = encoded[n:]
	}
	text.WriteString("--next--\r\n")
	return text.String()
}
