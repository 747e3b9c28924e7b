package smtpwire

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
)

// mailText is a message of n octets in lines as base64 has them.
func mailText(n int) []byte {
	line := strings.Repeat("QUJDRA==", 9) + "abcd\r\n"
	return bytes.Repeat([]byte(line), n/len(line)+1)
}

func BenchmarkReadData(b *testing.B) {
	dots := bytes.Repeat([]byte("..\r\n"), 1<<18)
	for _, c := range []struct {
		name string
		body []byte
	}{{"10KB", mailText(10 << 10)}, {"1MB", mailText(1 << 20)}, {"dots", dots}} {
		b.Run(c.name, func(b *testing.B) {
			stream := append(bytes.Clone(c.body), ".\r\n"...)
			var pool Pool
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			src := bytes.NewReader(stream)
			for b.Loop() {
				src.Reset(stream)
				r := pool.Get(src)
				if _, err := r.ReadData(io.Discard, Limits{}); err != nil {
					b.Fatal(err)
				}
				pool.Put(r)
			}
		})
	}
}

func BenchmarkReadBDAT(b *testing.B) {
	body := mailText(1 << 20)
	var pool Pool
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	src := bytes.NewReader(body)
	for b.Loop() {
		src.Reset(body)
		r := pool.Get(src)
		if err := NewChunks(io.Discard, Limits{}).Read(r, int64(len(body)), true); err != nil {
			b.Fatal(err)
		}
		pool.Put(r)
	}
}

func BenchmarkDotWriter(b *testing.B) {
	dots := bytes.Repeat([]byte(".\r\n"), 1<<18)
	for _, c := range []struct {
		name string
		body []byte
	}{{"10KB", mailText(10 << 10)}, {"1MB", mailText(1 << 20)}, {"dots", dots}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			sink := bufio.NewWriterSize(io.Discard, 32<<10)
			for b.Loop() {
				d := NewDotWriter(sink)
				for rest := c.body; len(rest) > 0; {
					n := min(len(rest), 64<<10)
					if _, err := d.Write(rest[:n]); err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
				if _, err := d.Finish(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCommand(b *testing.B) {
	line := []byte("MAIL FROM:<someone.else@mail.example.org> SIZE=123456 BODY=8BITMIME")
	b.ReportAllocs()
	for b.Loop() {
		_, arg, err := ParseCommand(line)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := ParseMail(arg, Offer{Size: true, EightBitMIME: true}); err != nil {
			b.Fatal(err)
		}
	}
}
