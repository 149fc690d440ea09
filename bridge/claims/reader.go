package claims

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// Reader reads a body in a memory of one chunk (64 KiB). It implements io.ReadSeekCloser
// and belongs to one goroutine.
type Reader struct {
	file  *os.File
	aead  cipher.AEAD
	head  header
	size  int64
	pos   int64
	buf   []byte // plaintext of the chunk at hand
	chunk int64  // its number, -1 for none
}

// Open opens the body of a claim. The error wraps ErrMissing, ErrDamaged or ErrKey, or is
// the file system's.
func (s *Store) Open(id string) (*Reader, error) {
	raw, err := parseID(id)
	if err != nil {
		return nil, err
	}
	if err := s.o.Fault(StepOpen); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrMissing, id)
	}
	if err != nil {
		return nil, fmt.Errorf("claims: open: %w", err)
	}
	r := &Reader{file: f, chunk: -1}
	if err := r.begin(s, raw); err != nil {
		_ = f.Close()
		return nil, err
	}
	return r, nil
}

// begin reads the header and derives the key.
func (r *Reader) begin(s *Store, id [idSize]byte) error {
	info, err := r.file.Stat()
	if err != nil {
		return fmt.Errorf("claims: open: %w", err)
	}
	if r.size = plainSize(info.Size()); r.size < 0 {
		return fmt.Errorf("%w: it is cut short", ErrDamaged)
	}
	if _, err := r.file.ReadAt(r.head[:], 0); err != nil {
		return fmt.Errorf("claims: read: %w", err)
	}
	version, err := r.head.check(id)
	if err != nil {
		return err
	}
	master, ok := s.o.Keys.Master[version]
	if !ok {
		return fmt.Errorf("%w: version %d", ErrKey, version)
	}
	if r.aead, err = aeadOf(s.o.Provider, master, id); err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	r.buf = make([]byte, 0, chunkSize+tagSize)
	return nil
}

// Size is the length of the body in bytes.
func (r *Reader) Size() int64 { return r.size }

// Read implements io.Reader. The error wraps ErrDamaged if a chunk was altered.
func (r *Reader) Read(p []byte) (int, error) {
	if r.pos >= r.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if n := r.pos / chunkSize; n != r.chunk {
		if err := r.load(n); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.buf[r.pos-r.chunk*chunkSize:])
	r.pos += int64(n)
	return n, nil
}

// load reads and opens a chunk.
func (r *Reader) load(n int64) error {
	r.chunk = -1
	const step = chunkSize + tagSize
	plain := min(chunkSize, r.size-n*chunkSize)
	sealed := r.buf[:plain+tagSize]
	if _, err := r.file.ReadAt(sealed, int64(headerSize)+n*step); err != nil {
		return fmt.Errorf("claims: read: %w", err)
	}
	nonce := nonceOf(uint32(n), n*chunkSize+plain == r.size)
	out, err := r.aead.Open(sealed[:0], nonce[:], sealed, r.head[:])
	if err != nil {
		return fmt.Errorf("%w: chunk %d", ErrDamaged, n)
	}
	r.buf, r.chunk = out, n
	return nil
}

// Seek implements io.Seeker.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 || offset > r.size {
		return 0, errors.New("claims: seek outside the body")
	}
	r.pos = offset
	return offset, nil
}

// Close overwrites the buffer and closes the file.
func (r *Reader) Close() error {
	smcrypto.Zero(r.buf[:cap(r.buf)])
	r.chunk, r.pos = -1, r.size
	return r.file.Close()
}
