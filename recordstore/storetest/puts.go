package storetest

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
)

func putAndReadBack(t *testing.T, open Factory) {
	s := New(t, open)
	requireStats(t, s, 0, 0, 0)
	before := time.Now().UnixMilli()
	r := Record(3000)
	want := bytes.Clone(r.Data)
	item := put(t, s, r)
	clear(r.Data) // the store must not have kept a reference
	r.Data = want
	requireItem(t, r, item)
	assert.Nil(t, item.Anchor)
	assert.InDelta(t, before, item.StoredAt, 60_000)
	assert.Equal(t, item, requireContent(t, s, r))
	stat, err := s.Stat(t.Context(), r.ID)
	require.NoError(t, err)
	assert.Equal(t, item, stat)
	requireStats(t, s, 1, 3000, 0)
}

func firstPutWins(t *testing.T, open Factory) {
	s := New(t, open)
	first := Record(100)
	item := put(t, s, first)
	again := With(first.ID, evidence.Tag{7}, []byte("the same message, sealed again"))
	again.Kind, again.Epoch = "ADT^A01", 9
	for _, second := range []recordstore.Sealed{first, again} {
		got, created, err := s.Put(t.Context(), second.Draft, second.Data)
		require.NoError(t, err)
		assert.False(t, created)
		assert.Equal(t, item, got)
		got, created, err = s.PutStream(t.Context(), second.Draft, bytes.NewReader(second.Data))
		require.NoError(t, err)
		assert.False(t, created)
		assert.Equal(t, item, got)
	}
	requireContent(t, s, first)
	requireStats(t, s, 1, 100, 0)
}

func groups(t *testing.T, open Factory) {
	s := New(t, open)
	results, err := s.PutAll(t.Context(), nil)
	require.NoError(t, err)
	assert.Empty(t, results)

	old := Record(10)
	oldItem := put(t, s, old)
	group := []recordstore.Sealed{Record(20), old, Record(2 << 20), Record(30)}
	group = append(group, With(group[0].ID, group[0].Tag, []byte("second of an id in the group")))
	results, err = s.PutAll(t.Context(), group)
	require.NoError(t, err)
	require.Len(t, results, len(group))
	for i, created := range []bool{true, false, true, true, false} {
		assert.Equal(t, created, results[i].Created, "member %d", i)
		if created {
			assert.Equal(t, results[i].Item, requireContent(t, s, group[i]))
		}
	}
	assert.Equal(t, oldItem, results[1].Item)
	assert.Equal(t, results[0].Item, results[4].Item)
	assert.Less(t, results[0].Item.Sequence(), results[2].Item.Sequence())

	bad := Record(5)
	bad.CipherHash[0] ^= 1
	lost := Record(5)
	_, err = s.PutAll(t.Context(), []recordstore.Sealed{lost, bad})
	require.ErrorIs(t, err, recordstore.ErrMismatch)
	_, err = s.Stat(t.Context(), lost.ID)
	require.ErrorIs(t, err, recordstore.ErrNotFound, "a group is stored whole or not at all")
	_, err = s.PutAll(t.Context(), make([]recordstore.Sealed, recordstore.MaxGroup+1))
	require.ErrorIs(t, err, recordstore.ErrTooLarge)
	requireStats(t, s, 4, 10+20+2<<20+30, 0)
}

func refusedDrafts(t *testing.T, open Factory) {
	s := New(t, open)
	for name, c := range map[string]struct {
		change func(*recordstore.Sealed)
		want   error
	}{
		"no id":            {func(r *recordstore.Sealed) { r.ID = record.ID{} }, recordstore.ErrInvalid},
		"no tag":           {func(r *recordstore.Sealed) { r.Tag = evidence.Tag{} }, recordstore.ErrInvalid},
		"no kind":          {func(r *recordstore.Sealed) { r.Kind = "" }, recordstore.ErrInvalid},
		"long kind":        {func(r *recordstore.Sealed) { r.Kind = strings.Repeat("k", 65) }, recordstore.ErrInvalid},
		"kind with NUL":    {func(r *recordstore.Sealed) { r.Kind = "ADT\x00" }, recordstore.ErrInvalid},
		"kind not UTF-8":   {func(r *recordstore.Sealed) { r.Kind = "ADT\xff" }, recordstore.ErrInvalid},
		"no epoch":         {func(r *recordstore.Sealed) { r.Epoch = 0 }, recordstore.ErrInvalid},
		"no time":          {func(r *recordstore.Sealed) { r.SealedAt = 0 }, recordstore.ErrInvalid},
		"empty":            {func(r *recordstore.Sealed) { r.Data = nil }, recordstore.ErrInvalid},
		"no digest":        {func(r *recordstore.Sealed) { r.CipherHash = evidence.Digest{} }, recordstore.ErrMismatch},
		"other digest":     {func(r *recordstore.Sealed) { r.CipherHash[31] ^= 1 }, recordstore.ErrMismatch},
		"one byte altered": {func(r *recordstore.Sealed) { r.Data[50] ^= 1 }, recordstore.ErrMismatch},
		"over the limit":   {func(r *recordstore.Sealed) { r.Data = make([]byte, MaxRecord+1) }, recordstore.ErrTooLarge},
	} {
		r := Record(100)
		c.change(&r)
		_, _, err := s.Put(t.Context(), r.Draft, r.Data)
		require.ErrorIs(t, err, c.want, name)
		_, err = s.PutAll(t.Context(), []recordstore.Sealed{r})
		if !errors.Is(err, recordstore.ErrTooLarge) { // the group may reach its own limit first
			require.ErrorIs(t, err, c.want, name)
		}
		if name != "no digest" && name != "over the limit" { // see failingStreams
			_, _, err = s.PutStream(t.Context(), r.Draft, bytes.NewReader(r.Data))
			require.ErrorIs(t, err, c.want, name)
		}
	}
	requireStats(t, s, 0, 0, 0)
}

func hostileIDs(t *testing.T, open Factory) {
	s := New(t, open)
	fill := func(b byte) (id record.ID) { return record.ID(bytes.Repeat([]byte{b}, record.IDSize)) }
	hostile := []record.ID{
		fill(0xff), fill('\''), fill('"'), fill('%'), fill('_'), fill('\n'), fill('/'), fill('.'), fill('A'), fill('a'),
		{15: 1}, {0: 1}, record.ID([]byte("../../etc/passwd")), record.ID([]byte("';DROP TABLE x--")),
		record.ID([]byte("\xff\xfe\x00\x00\x80\xbf\xc0\xc1\xe0\x80\xed\xa0\x80\xf4\x90\x80")),
	}
	kinds := []string{"'; DROP TABLE item; --", "%", "Ａ電子病历", `\`, strings.Repeat("é", 32)}
	var want []recordstore.Sealed
	for i, id := range hostile {
		r := With(id, evidence.Tag(id), Bytes(id, 100+i))
		r.Kind, r.Epoch, r.SealedAt = kinds[i%len(kinds)], 1<<32-1, 1<<62
		want = append(want, r)
		put(t, s, r)
	}
	for _, r := range want {
		requireContent(t, s, r)
		listed, err := s.ListTag(t.Context(), r.Tag, 0, 10)
		require.NoError(t, err)
		assert.Equal(t, []record.ID{r.ID}, ids(listed))
	}
}

func sizes(t *testing.T, open Factory) {
	s := New(t, open)
	const chunk = 1 << 20
	for _, n := range []int{1, 4095, 4096, 65537, chunk - 1, chunk, chunk + 1, 2 * chunk, 3*chunk + 7} {
		whole, streamed := Record(n), Record(n)
		put(t, s, whole)
		_, created, err := s.PutStream(t.Context(), streamed.Draft, iotest.HalfReader(bytes.NewReader(streamed.Data)))
		require.NoError(t, err)
		require.True(t, created)
		requireContent(t, s, whole)
		requireContent(t, s, streamed)
	}
	r := Record(chunk + 10)
	put(t, s, r)
	_, body, err := s.Open(t.Context(), r.ID)
	require.NoError(t, err)
	require.NoError(t, iotest.TestReader(body, r.Data))
	require.NoError(t, body.Close())
	_, body, err = s.Open(t.Context(), r.ID)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	_, err = body.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, io.EOF, "a closed reader must not look like a complete record")
}

func streams(t *testing.T, open Factory) {
	s := New(t, open)
	r := Record(2_500_000)
	unhashed := r.Draft
	unhashed.CipherHash = evidence.Digest{}
	item, created, err := s.PutStream(t.Context(), unhashed, bytes.NewReader(r.Data))
	require.NoError(t, err)
	require.True(t, created)
	requireItem(t, r, item)
	assert.Equal(t, item, requireContent(t, s, r))
	_, _, err = recordstore.ReadAll(t.Context(), s, r.ID, 2_499_999)
	require.ErrorIs(t, err, recordstore.ErrTooLarge)
	requireStats(t, s, 1, 2_500_000, 0)
}

func failingStreams(t *testing.T, open Factory) {
	s := New(t, open)
	boom := errors.New("source broke")
	for name, c := range map[string]struct {
		size  int
		after error
		want  error
	}{
		"broken at once":      {0, boom, boom},
		"broken early":        {1000, boom, boom},
		"broken in the midst": {3 << 20, boom, boom},
		"empty":               {0, nil, recordstore.ErrInvalid},
		"over the limit":      {MaxRecord + 1, nil, recordstore.ErrTooLarge},
	} {
		r := Record(0)
		r.CipherHash = evidence.Digest{}
		src := io.LimitReader(stream(r.ID), int64(c.size))
		if c.after != nil {
			src = io.MultiReader(src, iotest.ErrReader(c.after))
		}
		_, _, err := s.PutStream(t.Context(), r.Draft, src)
		require.ErrorIs(t, err, c.want, name)
		_, err = s.Stat(t.Context(), r.ID)
		require.ErrorIs(t, err, recordstore.ErrNotFound, name)

		whole := With(r.ID, r.Tag, Bytes(r.ID, 2<<20))
		_, created, err := s.PutStream(t.Context(), whole.Draft, bytes.NewReader(whole.Data))
		require.NoError(t, err, name)
		assert.True(t, created, name)
		requireContent(t, s, whole)
	}
	requireStats(t, s, 5, 5*2<<20, 0)
}

func largeRecord(t *testing.T, open Factory) {
	s := New(t, open)
	const size = 50 << 20
	r := Record(0)
	r.CipherHash = evidence.Digest{}
	var peak heapPeak
	item, created, err := s.PutStream(t.Context(), r.Draft, peak.watch(io.LimitReader(stream(r.ID), size)))
	require.NoError(t, err)
	require.True(t, created)
	require.EqualValues(t, size, item.Size)

	_, body, err := s.Open(t.Context(), r.ID)
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, peak.watch(recordstore.NewCheckedReader(body, item)))
	require.NoError(t, err)
	require.NoError(t, body.Close())
	require.EqualValues(t, size, n)
	assert.Less(t, peak.grown(), uint64(24<<20), "memory grows with the record")
}

// heapPeak watches the heap while data passes.
type heapPeak struct {
	start, top uint64
	passed     int
}

func (p *heapPeak) watch(r io.Reader) io.Reader {
	p.sample()
	return io.TeeReader(r, p)
}

func (p *heapPeak) grown() uint64 { return p.top - p.start }

func (p *heapPeak) sample() {
	var m runtime.MemStats
	if p.start == 0 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	if p.start == 0 {
		p.start = m.HeapAlloc
	}
	p.top = max(p.top, m.HeapAlloc)
}

// Write implements io.Writer: it samples every 4 MiB.
func (p *heapPeak) Write(b []byte) (int, error) {
	if p.passed += len(b); p.passed > 4<<20 {
		p.passed = 0
		p.sample()
	}
	return len(b), nil
}
