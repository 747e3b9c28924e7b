package e2e

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

var hugeMegabytes = flag.Int("huge-megabytes", 2, "the size of each message of TestHuge; the soak sends 49")

// hugeMemory is what the daemon may have held at most, in kilobytes, whatever came: its own code and tables included. It is far more
// than it needs (58 MB were seen with messages of 49 MB), and less than any of them held twice.
const hugeMemory = 96 << 10

// hugeBlock is a message that is all of one kind, with what is to become of it.
type hugeBlock struct {
	name, verdict string
	make          func(size int) string
}

func hugeTop(kind string) string {
	return "From: Alice <alice@example.org>\r\nDate: " + time.Now().Format(time.RFC1123Z) + "\r\nMessage-ID: <" + strconv.FormatInt(time.Now().UnixNano(), 36) +
		"@example.org>\r\nSubject: big\r\nMIME-Version: 1.0\r\nContent-Type: " + kind + "\r\n"
}

func hugeFile(name string, content []byte) string {
	return hugeTop("application/octet-stream; name="+name) + "Content-Transfer-Encoding: base64\r\n\r\n" + strings.ReplaceAll(lines64(content), "\n", "\r\n")
}

func hugeNoise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// hugeZip packs one content under several names.
func hugeZip(names int, content []byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range names {
		f, _ := z.Create(fmt.Sprintf("%d.zip", i))
		_, _ = f.Write(content)
	}
	_ = z.Close()
	return b.Bytes()
}

func hugeBlocks() []hugeBlock {
	repeat := func(s string, size int) string { return strings.Repeat(s, size/len(s)) }
	mixed := hugeTop("multipart/mixed; boundary=b") + "\r\n"
	return []hugeBlock{
		{"one zip", "accept", func(size int) string { return hugeFile("a.zip", hugeZip(1, hugeNoise(size*7/10))) }},
		{"text", "accept", func(size int) string {
			return hugeTop("text/plain") + "\r\n" + repeat(strings.Repeat("x", 70)+"\r\n", size)
		}},
		{"links", "accept", func(size int) string {
			return hugeTop("text/html") + "\r\n" + repeat("<a href=\"https://a.example.net/\">x</a>\r\n", size)
		}},
		{"parts", "quarantine", func(size int) string {
			return mixed + repeat("--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n", size/10) + "--b--\r\n"
		}},
		{"multiparts in multiparts", "quarantine", func(size int) string {
			var b strings.Builder
			b.WriteString(hugeTop("multipart/mixed; boundary=b0") + "\r\n")
			for i := 0; b.Len() < min(size, 2<<20); i++ {
				fmt.Fprintf(&b, "--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n", i, i+1)
			}
			return b.String()
		}},
		{"messages in messages", "quarantine", func(size int) string {
			return hugeTop("message/rfc822") + "\r\n" + repeat("Content-Type: message/rfc822\r\n\r\n", size)
		}},
		{"the header of a part", "quarantine", func(size int) string {
			return mixed + "--b\r\n" + repeat("X-A: "+strings.Repeat("x", 70)+"\r\n", size) + "\r\nx\r\n--b--\r\n"
		}},
		{"boundaries", "quarantine", func(size int) string { return mixed + repeat("--b\r\n", size) }},
		{"zeros in gzip", "quarantine", func(size int) string { return hugeFile("a.gz", hugeZeros(size>>20)) }},
		{"zips in zips", "quarantine", func(int) string {
			inner := make([]byte, 1<<20)
			for range 5 {
				inner = hugeZip(16, inner)
			}
			return hugeFile("a.zip", inner)
		}},
		{"base64 in one line a kilobyte", "accept", func(size int) string {
			return hugeTop("application/zip; name=a.zip") + "Content-Transfer-Encoding: base64\r\n\r\n" + repeat(strings.Repeat("QUJD", 240)+"\r\n", size)
		}},
	}
}

// TestHuge sends messages as large as may come, each all of one kind, while small mail goes on: each has its verdict, small mail has
// its own, and what the daemon holds stays bounded. Short: 2 MB each; scripts/soak sends 49.
func TestHuge(t *testing.T) {
	virus := labtest.Clamd(t, lab.ClamdOptions{AtBeginning: true})
	w := begin(t, setup{policy: noGreylist, limits: noWaits + "message_size = \"50M\"\nconnections_per_client = 100\n", clamav: "unix:" + virus.Socket})
	for _, c := range hugeBlocks() {
		message := c.make(*hugeMegabytes << 20)
		done := make(chan struct{})
		small := 0
		var beside sync.WaitGroup
		beside.Go(func() {
			for {
				if _, v, _ := w.judged(t, head+"small\r\n"); v != "accept" {
					t.Errorf("%s: meanwhile a small mail: %s", c.name, v)
				}
				small++
				select {
				case <-done:
					return
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
		cl := w.hello(t)
		cl.want("250", "MAIL FROM:<alice@example.org>")
		cl.want("250", "RCPT TO:<bob@served.test>")
		cl.want("354", "DATA")
		cl.send(message + ".\r\n")
		said := cl.replyWithin(5 * time.Minute)
		close(done)
		beside.Wait()
		e := w.awaitEvent(t, "transaction", "id="+anyRef.FindString(said))
		most := hugeHeld(t, w.daemon.PID())
		t.Logf("%s (%d MB): %s %v; %d small ones meanwhile; held at most %d MB", c.name, len(message)>>20, e.text("verdict"), seenBy(e), small, most>>10)
		if e.text("verdict") != c.verdict {
			t.Errorf("%s: %s, want %s: %s", c.name, e.text("verdict"), c.verdict, said)
		}
		if !lab.Raced() && most > hugeMemory {
			t.Errorf("%s: the daemon held %d MB", c.name, most>>10)
		}
	}
}

// hugeZeros are some gigabytes of nothing: at 49 MB of mail, ten.
func hugeZeros(megabytes int) []byte {
	var one bytes.Buffer
	g, _ := gzip.NewWriterLevel(&one, 9)
	_, _ = g.Write(make([]byte, 64<<20))
	_ = g.Close()
	return bytes.Repeat(one.Bytes(), 1+megabytes*160/49)
}

// hugeHeld is the most memory that a process has held since it was asked the last time, in kilobytes.
func hugeHeld(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(b)
	if err != nil || m == nil {
		t.Fatalf("status of the daemon: %v", err)
	}
	n, _ := strconv.Atoi(string(m[1]))
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
	return n
}
