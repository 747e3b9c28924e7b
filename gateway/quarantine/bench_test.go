package quarantine

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"gatepost/gateway"
)

// BenchmarkKeep prepares and shows messages of two sizes: half of each is text, half what does not compress.
func BenchmarkKeep(b *testing.B) {
	for name, size := range map[string]int{"10KB": 10 << 10, "1MB": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			w.Tune(Tuning{MaxSize: 1 << 40})
			text := make([]byte, size)
			for i := range text {
				if text[i] = "the quick brown fox "[i%20]; i%2000 < 1000 {
					text[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[rand.N(64)]
				}
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				k := keeping(w.ids.Next(), string(text), gateway.SpamScore, "a@example.org")
				k.Message = ""
				kept, err := w.Prepare(b.Context(), k)
				if err == nil {
					err = kept.Publish()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("write only, 1MB", func(b *testing.B) {
		w := newWorld(b)
		k := keeping(w.ids.Next(), string(bytes.Repeat([]byte("the quick brown fox "), 50_000)), gateway.SpamScore, "a@example.org")
		m, err := newMeta(k, k.Rcpts, k.Keys)
		if err != nil {
			b.Fatal(err)
		}
		z, err := newWriter()
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(m.Size)
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := z.write(b.Context(), new(bytes.Buffer), w.opts.Keys, m, gateway.Reader(k.Envelope.Body)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
