package relay

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"testing"

	"gatepost/gateway"
)

// BenchmarkRelay is messages through the pool to a next hop that throws them away: by DATA and BDAT, from memory and from
// a file, with what the strict reader knows of them (clean) and without.
func BenchmarkRelay(b *testing.B) {
	for _, size := range []int{10 << 10, 1 << 20} {
		for _, how := range []string{"DATA", "clean", "file", "clean file", "BDAT"} {
			b.Run(fmt.Sprintf("%s/%dKB", how, size>>10), func(b *testing.B) {
				f := newFake(b, append([]string{"CHUNKING"}, everything...)...)
				f.discard = true
				r := newRelay(b, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: long(), Chunking: how == "BDAT"})
				line := []byte("The quick brown fox jumps over the lazy dog, and the dog does not mind..\r\n")
				head, message := line[:], bytes.Repeat(line, size/len(line))
				copy(message, ".")
				var in *os.File
				if how == "file" || how == "clean file" {
					in, _, _ = fileOf(inFile(b, string(message)))
				}
				b.SetBytes(int64(len(message)))
				b.SetParallelism(5)
				b.ReportAllocs()
				var failed atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						d := delivery("")
						d.Content = gateway.Content{Parts: []io.Reader{bytes.NewReader(head), bytes.NewReader(message)}, Size: int64(len(head) + len(message))}
						if in != nil {
							d.Content.Parts[1] = io.NewSectionReader(in, 14, int64(len(message)))
						}
						if how == "clean" || how == "clean file" {
							d.Content.Clean, d.Content.Dots = true, []int64{0}
						}
						if got := r.Relay(b.Context(), d); got.Result != gateway.Delivered {
							failed.Add(1)
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
				if n := failed.Load(); n > 0 {
					b.Fatalf("%d messages were not delivered", n)
				}
			})
		}
	}
}

func fileOf(r io.Reader) (*os.File, int64, int64) {
	in, at, n := r.(*io.SectionReader).Outer()
	return in.(*os.File), at, n
}
