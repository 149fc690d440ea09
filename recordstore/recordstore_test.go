package recordstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/emmansun/gmsm/sm3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
)

func TestPointer(t *testing.T) {
	for seq, want := range map[uint64]string{
		1: "01", 255: "ff", 256: "0100", 65536: "010000", 1<<40 + 2: "010000000002", 1<<64 - 1: "ffffffffffffffff",
	} {
		p := recordstore.PointerOf(seq)
		assert.Equal(t, want, fmt.Sprintf("%x", p))
		got, err := recordstore.SequenceOf(p)
		require.NoError(t, err)
		assert.Equal(t, seq, got)
	}
	for _, bad := range [][]byte{nil, {}, {0}, {0, 1}, make([]byte, 9), bytes.Repeat([]byte{1}, 9)} {
		_, err := recordstore.SequenceOf(bad)
		require.ErrorIs(t, err, recordstore.ErrInvalid)
		assert.Zero(t, recordstore.Item{Pointer: bad}.Sequence())
	}
}

func FuzzPointer(f *testing.F) {
	f.Add([]byte{1})
	f.Add([]byte{0, 1})
	f.Add(bytes.Repeat([]byte{0xff}, 8))
	f.Fuzz(func(t *testing.T, p []byte) {
		seq, err := recordstore.SequenceOf(p)
		if err == nil && !bytes.Equal(p, recordstore.PointerOf(seq)) {
			t.Fatalf("%x is read as %d, whose pointer is %x", p, seq, recordstore.PointerOf(seq))
		}
	})
}

func TestCheckedReader(t *testing.T) {
	data := bytes.Repeat([]byte("sealed"), 1000)
	item := recordstore.Item{ID: record.ID{0, 1}, Size: int64(len(data)), CipherHash: sm3.Sum(data)}
	altered := bytes.Clone(data)
	altered[len(altered)-1] ^= 1
	boom := errors.New("disk")
	for name, c := range map[string]struct {
		src  io.Reader
		want error
	}{
		"whole":         {bytes.NewReader(data), nil},
		"byte by byte":  {iotest.OneByteReader(bytes.NewReader(data)), nil},
		"EOF with data": {iotest.DataErrReader(bytes.NewReader(data)), nil},
		"cut":           {bytes.NewReader(data[:5999]), recordstore.ErrCorrupt},
		"empty":         {bytes.NewReader(nil), recordstore.ErrCorrupt},
		"too long":      {io.MultiReader(bytes.NewReader(data), bytes.NewReader([]byte{1})), recordstore.ErrCorrupt},
		"altered":       {bytes.NewReader(altered), recordstore.ErrCorrupt},
		"failing":       {io.MultiReader(bytes.NewReader(data[:10]), iotest.ErrReader(boom)), boom},
		"failing after": {io.MultiReader(bytes.NewReader(data), iotest.ErrReader(boom)), boom},
		"silent":        {io.MultiReader(bytes.NewReader(data), silent{}), io.ErrNoProgress},
	} {
		r := recordstore.NewCheckedReader(c.src, item)
		got, err := io.ReadAll(r)
		require.ErrorIs(t, err, c.want, name)
		assert.LessOrEqual(t, len(got), len(data), name)
		if c.want != nil {
			_, err = r.Read(make([]byte, 1))
			require.ErrorIs(t, err, c.want, "the verdict stays: %s", name)
		}
	}
	require.NoError(t, iotest.TestReader(recordstore.NewCheckedReader(bytes.NewReader(data), item), data))
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

func TestMissingError(t *testing.T) {
	err := fmt.Errorf("mark: %w", &recordstore.MissingError{IDs: []record.ID{{1}, {2}}})
	require.ErrorIs(t, err, recordstore.ErrNotFound)
	assert.Contains(t, err.Error(), "2 unknown, the first is 01000000000000000000000000000000")
	assert.Equal(t, recordstore.ErrNotFound.Error(), (&recordstore.MissingError{}).Error())
}
