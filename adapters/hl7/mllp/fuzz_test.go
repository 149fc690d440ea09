package mllp

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// chunkConn is a connection that gives its bytes in pieces of a fixed size.
type chunkConn struct {
	net.Conn
	data []byte
	size int
}

func (c *chunkConn) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.size)], c.data)
	c.data = c.data[n:]
	return n, nil
}

func (c *chunkConn) SetReadDeadline(time.Time) error { return nil }

// FuzzFrames checks that the cut does not depend on how the bytes arrive, that limits
// hold, and that the memory budget comes out even.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("junk\x0bone\x1c\r\x0btwo\x1c\r\n\x0bthree\x1c\x0bfour"), uint8(3))
	f.Add([]byte("\x0b"+string(bytes.Repeat([]byte("x"), 3000))+"\x1c\r\x0b\x1c\x1c\r"), uint8(200))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		whole, pieces := cutAll(t, data, len(data)+1), cutAll(t, data, int(size)+1)
		if len(whole) != len(pieces) {
			t.Fatalf("%d frames at once, %d in pieces", len(whole), len(pieces))
		}
		for i := range whole {
			if !bytes.Equal(whole[i], pieces[i]) {
				t.Fatalf("frame %d: %q at once, %q in pieces", i, whole[i], pieces[i])
			}
		}
	})
}

func cutAll(t *testing.T, data []byte, size int) (frames [][]byte) {
	cfg, err := Config{Handler: nil, MaxFrame: 2 << 10, MaxJunk: 1 << 20}.withDefaults()
	if err == nil {
		t.Fatal("a missing handler went unnoticed")
	}
	mem := &budget{left: cfg.MaxInFlight}
	r := newFrameReader(&chunkConn{data: data, size: size}, &cfg, mem)
	for {
		if _, err := r.skipToStart(); err != nil {
			break
		}
		err := r.readFrame()
		if len(r.buf) > cfg.MaxFrame+1 {
			t.Fatalf("%d bytes kept", len(r.buf))
		}
		if r.fault == Whole {
			frames = append(frames, bytes.Clone(r.buf))
		}
		r.release()
		if err != nil {
			break
		}
	}
	if mem.left != cfg.MaxInFlight {
		t.Fatal("memory budget does not come out even")
	}
	return frames
}
