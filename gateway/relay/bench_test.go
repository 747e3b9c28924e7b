package relay

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"gatepost/gateway"
)

// BenchmarkRelay is messages through the pool to a next hop that throws them away.
func BenchmarkRelay(b *testing.B) {
	for _, size := range []int{10 << 10, 1 << 20} {
		for _, chunking := range []bool{false, true} {
			for _, senders := range []int{1, 10} {
				name := map[bool]string{false: "DATA", true: "BDAT"}[chunking]
				b.Run(fmt.Sprintf("%s/%dKB/%d", name, size>>10, senders), func(b *testing.B) {
					f := newFake(b, append([]string{"CHUNKING"}, everything...)...)
					f.discard = true
					r := newRelay(b, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: long(), Chunking: chunking})
					line := []byte("The quick brown fox jumps over the lazy dog, and the dog does not mind..\r\n")
					message := bytes.Repeat(line, size/len(line))
					b.SetBytes(int64(len(message)))
					b.SetParallelism(senders)
					b.ReportAllocs()
					var failed atomic.Int64
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							d := delivery("")
							d.Content = gateway.Content{Parts: []io.Reader{bytes.NewReader(message)}, Size: int64(len(message))}
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
}
