package record_test

import (
	"bytes"
	"testing"

	"github.com/emmansun/gmsm/sm3"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/record"
)

// withPayload is a sample with a payload of n bytes under the id that belongs to it.
func withPayload(n int) *record.Record {
	r := sample()
	r.Payload = bytes.Repeat([]byte{'x', 0x40, 0xff}, n/3+1)[:n]
	r.ID = record.NewID(record.Origin{HospitalNumber: 1, HospitalMSP: r.HospitalMSP, Sender: r.Sender, ControlID: r.ControlID, Payload: r.Payload})
	return r
}

func TestPrefixAndPayloadAreTheCanonicalBytes(t *testing.T) {
	for _, n := range []int{1, 23, 24, 255, 256, 65535, 65536, 3 << 20, record.MaxPayload} {
		r := withPayload(n)
		want, err := r.Canonical()
		require.NoError(t, err)
		bare := *r
		bare.Payload = nil
		prefix, err := bare.CanonicalPrefix(int64(n))
		require.NoError(t, err)
		require.True(t, bytes.Equal(want[:len(prefix)], prefix), "%d", n)
		require.True(t, bytes.Equal(want[len(prefix):], r.Payload), "%d", n)
		back, size, err := record.ParsePrefix(prefix)
		require.NoError(t, err)
		require.Equal(t, int64(n), size)
		require.Equal(t, &bare, back)
	}
}

func TestPrefixBounds(t *testing.T) {
	r := sample()
	_, err := r.CanonicalPrefix(record.MaxPayload + 1)
	require.ErrorContains(t, err, "the limit is")
	_, err = r.CanonicalPrefix(0)
	require.ErrorIs(t, err, record.ErrInvalid)
	r.Encounter = string(make([]byte, record.MaxPrefix))
	_, err = r.CanonicalPrefix(5)
	require.ErrorIs(t, err, record.ErrInvalid)
}

func TestParsePrefixRefuses(t *testing.T) {
	prefix, err := sample().CanonicalPrefix(70000)
	require.NoError(t, err)
	for name, bad := range map[string][]byte{
		"empty": nil, "cut": prefix[:len(prefix)-1], "cut early": prefix[:10], "one byte more": append(bytes.Clone(prefix), 0),
		"not a map": {0x01}, "no payload": {0xa1, 0x00, 0x01}, "payload is text": {0xa1, 0x12, 0x61, 'x'},
		"longer form of the length": append(bytes.Clone(prefix[:len(prefix)-5]), 0x5b, 0, 0, 0, 0, 0, 1, 0x11, 0x70),
		"unbounded":                 append(bytes.Clone(prefix[:len(prefix)-5]), 0x5b, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0),
	} {
		_, _, err := record.ParsePrefix(bad)
		require.ErrorIs(t, err, record.ErrInvalid, name)
	}
}

// scan writes b in pieces of step bytes.
func scan(b []byte, step int) (record.Scanned, error) {
	var s record.Scan
	for len(b) > 0 {
		n := min(step, len(b))
		if _, err := s.Write(b[:n]); err != nil {
			return record.Scanned{}, err
		}
		b = b[n:]
	}
	return s.Done()
}

func TestScanFindsWhatParseFinds(t *testing.T) {
	for _, n := range []int{1, 300, 70000} {
		r := withPayload(n)
		b, err := r.Canonical()
		require.NoError(t, err)
		for _, step := range []int{1, 2, 7, 100, 4096, len(b)} {
			got, err := scan(b, step)
			require.NoError(t, err, "%d in steps of %d", n, step)
			bare := *r
			bare.Payload = nil
			require.Equal(t, &bare, got.Record)
			require.Equal(t, int64(n), got.Size)
			require.Equal(t, sm3.Sum(r.Payload), got.Digest)
			require.Equal(t, r.ID, got.ID(1))
		}
		for name, bad := range map[string][]byte{"empty": nil, "cut": b[:len(b)-1], "cut in the envelope": b[:40], "trailing": append(bytes.Clone(b), 1)} {
			for _, step := range []int{1, 50, 1 << 20} {
				_, err := scan(bad, step)
				require.ErrorIs(t, err, record.ErrInvalid, name)
			}
		}
	}
	_, err := scan(bytes.Repeat([]byte{0xa1}, 3*record.MaxPrefix), 1000)
	require.ErrorIs(t, err, record.ErrInvalid, "an envelope without end")
}

func TestIDFromDigest(t *testing.T) {
	o := record.Origin{HospitalNumber: 9, HospitalMSP: "H9MSP", Sender: "A|B", ControlID: "7", Payload: []byte("payload")}
	require.Equal(t, record.NewID(o), record.NewIDFromDigest(record.Origin{HospitalNumber: 9, HospitalMSP: "H9MSP", Sender: "A|B", ControlID: "7"}, sm3.Sum(o.Payload)))
}

// FuzzScan: the stream reads a record if and only if Parse does, in whatever pieces.
func FuzzScan(f *testing.F) {
	b, err := sample().Canonical()
	require.NoError(f, err)
	f.Add(b, uint16(3))
	f.Add(b[:len(b)-2], uint16(1))
	f.Add([]byte{0xa1, 0x12, 0x41, 0x00}, uint16(2))
	f.Fuzz(func(t *testing.T, in []byte, step uint16) {
		want, wantErr := record.Parse(in)
		got, err := scan(in, int(step)+1)
		require.Equal(t, wantErr == nil, err == nil, "%v / %v", wantErr, err)
		if err == nil {
			require.Equal(t, sm3.Sum(want.Payload), got.Digest)
			want.Payload = nil
			require.Equal(t, want, got.Record)
		}
	})
}
