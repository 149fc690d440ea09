package retrieve

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// spoolMemory is the size up to which a ciphertext waits in memory, in bytes.
const spoolMemory = 256 << 10

// spool holds a ciphertext that waits for its key. A file of it has mode 0600 and no name.
type spool struct {
	data   []byte
	file   *os.File
	size   int64
	digest evidence.Digest // SM3 of what came
}

// receive reads a sealed record of the announced length, in a memory of spoolMemory.
func receive(r io.Reader, length uint64, dir string, p smcrypto.Provider) (*spool, error) {
	s := &spool{size: int64(length)}
	sum := p.NewSM3()
	in := io.TeeReader(r, sum)
	var err error
	if length <= spoolMemory {
		s.data, err = io.ReadAll(in)
	} else {
		err = s.toFile(in, dir)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	sum.Sum(s.digest[:0])
	return s, nil
}

func (s *spool) toFile(r io.Reader, dir string) error {
	f, err := os.CreateTemp(dir, "emrbridge-delivery-*")
	if err != nil {
		return fmt.Errorf("retrieve: make a spool file: %w", err)
	}
	s.file = f
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("retrieve: unlink the spool file: %w", err)
	}
	// io.Copy would look for methods of both sides that read more than a buffer at a time.
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{r}, make([]byte, 64<<10))
	return err
}

// reader starts at the beginning of the ciphertext.
func (s *spool) reader() io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.data)
	}
	return io.NewSectionReader(s.file, 0, s.size)
}

func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
	s.data, s.file = nil, nil
}
