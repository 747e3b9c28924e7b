package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"gatepost/gateway"
)

// TestBodyReadsBackWhatWasWritten writes sizes around every border in pieces of every kind.
func TestBodyReadsBackWhatWasWritten(t *testing.T) {
	bodies := &Bodies{Dir: t.TempDir(), Memory: 100_000, MaxMemory: 1 << 20}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, smallBuffer - 1, smallBuffer, smallBuffer + 1, fileBuffer, fileBuffer + 1, 99_999,
		100_000, 100_001, 100_000 + fileBuffer, 1 << 20} {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(rng.Uint32())
		}
		for _, piece := range []int{1 << 30, 70_000, 4096, 1000, lent, mixed} {
			w := bodies.New()
			if err := fill(w, want, piece); err != nil {
				t.Fatalf("size %d, piece %d: %v", size, piece, err)
			}
			b, err := w.Done()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(gateway.Reader(b))
			if err != nil || !bytes.Equal(got, want) || b.Size() != int64(size) {
				t.Fatalf("size %d, piece %d: read %d octets, err %v", size, piece, len(got), err)
			}
			for _, from := range []int{0, size / 2, size} {
				rest := gateway.Rest(b, int64(from))
				switch r := rest.(type) {
				case *bytes.Reader:
					if piece > 0 && size > 100_000 {
						t.Errorf("size %d: a file is read as memory", size)
					}
				case *io.SectionReader:
					if in, _, _ := r.Outer(); piece > 0 && size <= 100_000 || in == io.ReaderAt(nil) {
						t.Errorf("size %d: memory is read as a section", size)
					} else if _, ok := in.(*os.File); !ok {
						t.Errorf("size %d: a section of %T", size, in)
					}
				}
				if got, err := io.ReadAll(rest); err != nil || !bytes.Equal(got, want[from:]) {
					t.Fatalf("size %d, piece %d: %d octets from %d on, err %v", size, piece, len(got), from, err)
				}
			}
			if onDisk := bodies.OnDisk(); piece > 0 && (onDisk > 0) != (size > 100_000) {
				t.Errorf("size %d: %d octets on disk", size, onDisk)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := b.ReadAt(make([]byte, 1), 0); !errors.Is(err, os.ErrClosed) {
				t.Errorf("read after close: %v", err)
			}
			if got, err := io.ReadAll(gateway.Rest(b, 0)); len(got) > 0 {
				t.Errorf("%d octets after close, err %v", len(got), err)
			}
		}
	}
	if bodies.OnDisk() != 0 || bodies.Open() != 0 {
		t.Errorf("left: %d octets, %d bodies", bodies.OnDisk(), bodies.Open())
	}
	if names, _ := os.ReadDir(bodies.Dir); len(names) != 0 {
		t.Errorf("files with names were left: %v", names)
	}
}

// Ways of filling a body, besides in pieces: into memory that it lends, and by turns.
const (
	lent  = -1
	mixed = -2
)

// room is smtpwire.Room.
type room interface {
	Room(most int) ([]byte, error)
	Keep(n int)
}

func fill(w gateway.BodyWriter, text []byte, piece int) error {
	for turn := 0; len(text) > 0; turn++ {
		n := min(max(piece, 3000), len(text))
		if piece < 0 && (piece == lent || turn%3 > 0) {
			space, err := w.(room).Room(64 << 10)
			if err != nil {
				return err
			}
			if len(space) < 4<<10 || len(space) > 64<<10 {
				return fmt.Errorf("%d octets were lent", len(space))
			}
			n = copy(space, text[:min(len(text), 1+turn*977)])
			w.(room).Keep(n)
		} else if _, err := w.Write(text[:n]); err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

// TestBodyDoesNotLeakIntoTheNext shows that a reused buffer holds nothing of the message before.
func TestBodyDoesNotLeakIntoTheNext(t *testing.T) {
	bodies := &Bodies{Dir: t.TempDir()}
	for i := range 50 {
		w := bodies.New()
		want := bytes.Repeat([]byte{byte(i)}, 1000*(50-i))
		w.Write(want)
		b, _ := w.Done()
		if got, _ := io.ReadAll(gateway.Reader(b)); !bytes.Equal(got, want) {
			t.Fatalf("body %d differs", i)
		}
		b.Close()
	}
}

func TestBodyRefusesBeyondItsBounds(t *testing.T) {
	full := &Bodies{Dir: t.TempDir(), Memory: 1000, Disk: 500_000}
	w := full.New()
	var err error
	for range 10 {
		if _, err = w.Write(make([]byte, 100_000)); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrNoRoom) {
		t.Errorf("beyond Disk: %v", err)
	}
	w.Discard()
	if full.OnDisk() != 0 {
		t.Errorf("%d octets still counted", full.OnDisk())
	}
	reserved := &Bodies{Dir: t.TempDir(), Memory: 1000, Reserve: 1 << 60}
	if _, err := reserved.New().Write(make([]byte, 2000)); !errors.Is(err, ErrNoRoom) {
		t.Errorf("below the reserve: %v", err)
	}
	lost := &Bodies{Dir: t.TempDir() + "/gone", Memory: 1000}
	if _, err := lost.New().Write(make([]byte, 2000)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without its folder: %v", err)
	}
}

// TestMemory shows that what Memory lends is the body, and nothing once there is a file or the body is closed.
func TestMemory(t *testing.T) {
	b := &Bodies{Dir: t.TempDir(), Memory: 1 << 20}
	for size, lies := range map[int]bool{10: true, 1 << 20: true, 1<<20 + 1: false} {
		w := b.New()
		text := bytes.Repeat([]byte{'x'}, size)
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		body, err := w.Done()
		if err != nil {
			t.Fatal(err)
		}
		if got := body.(gateway.InMemory).Memory(); (got != nil) != lies || lies && !bytes.Equal(got, text) {
			t.Errorf("%d octets: %d in memory, want all: %v", size, len(got), lies)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
		if got := body.(gateway.InMemory).Memory(); got != nil {
			t.Errorf("closed: %d octets", len(got))
		}
	}
}
