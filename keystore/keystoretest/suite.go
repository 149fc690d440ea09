// Package keystoretest holds the conformance suite of key custody. An
// implementation is a keystore.Custody if it passes Run.
package keystoretest

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Run checks one implementation. open returns a fresh custody that has hospital
// keys and no patients; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) keystore.Custody) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, keystore.Custody)
	}{
		{"HospitalKeysWork", hospitalKeys},
		{"TokensAreKeyedAndNormalised", tokens},
		{"DigestsSeparateTheirInputs", digests},
		{"PatientIsCreatedOnce", ensureOnce},
		{"RecordKeysAreStableAndDistinct", recordKeys},
		{"RotationKeepsOldEpochsReadable", rotation},
		{"DestroyedPatientIsGone", destroyPatient},
		{"DestroyedRecordIsGoneAndOthersStay", destroyRecord},
		{"DataKeysRotate", dataKeys},
		{"MissingKeysAreReported", missing},
		{"CancelledContextIsHonoured", cancelled},
		{"ConcurrentUse", concurrent},
		{"ClosedIsClosed", closed},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := open(t)
			defer func() { assert.NoError(t, c.Close()) }()
			test.run(t, c)
		})
	}
}

func tag(b byte) keystore.Tag         { return keystore.Tag{b, 1} }
func record(b byte) keystore.RecordID { return keystore.RecordID{0, 1, b} }

func hospitalKeys(t *testing.T, c keystore.Custody) {
	ctx := t.Context()
	h, err := c.Hospital(ctx)
	require.NoError(t, err)
	assert.NotZero(t, h.Number)
	assert.NotEmpty(t, h.MSPID)
	assert.NotEqual(t, h.SigningKey, h.EncryptionKey)
	for _, p := range smcrypto.Providers() {
		sig, err := c.Sign(ctx, []byte("statement"))
		require.NoError(t, err)
		assert.NoError(t, p.Verify(h.SigningKey, []byte("statement"), sig))
		ct, err := p.Encrypt(h.EncryptionKey, []byte("sixteen byte key"))
		require.NoError(t, err)
		plain, err := c.Decrypt(ctx, ct)
		require.NoError(t, err)
		assert.Equal(t, "sixteen byte key", string(plain))
	}
	_, err = c.Decrypt(ctx, []byte("junk"))
	assert.ErrorIs(t, err, smcrypto.ErrInvalidCiphertext)
}

func tokens(t *testing.T, c keystore.Custody) {
	ctx := t.Context()
	token := func(id keystore.Identity) keystore.Token {
		v, err := c.PatientToken(ctx, id)
		require.NoError(t, err)
		return v
	}
	full := token(keystore.Identity{ResidentID: "11010519491231002X"})
	assert.Equal(t, full, token(keystore.Identity{ResidentID: " 11010519491231002x "}))
	assert.Equal(t, full, token(keystore.Identity{ResidentID: "110105491231002"}), "15 digits name the same person")
	local := keystore.LocalIdentity{MSPID: "H1MSP", Authority: "HIS", Type: "MR", Value: "0001"}
	other := local
	other.MSPID = "H2MSP"
	assert.NotEqual(t, token(keystore.Identity{Local: local}), token(keystore.Identity{Local: other}))
	for name, id := range map[string]keystore.Identity{
		"nothing":     {},
		"check digit": {ResidentID: "110105194912310021"},
		"no such day": {ResidentID: "110105194902300020"},
		"two forms":   {ResidentID: "11010519491231002X", Local: local},
		"no value":    {Local: keystore.LocalIdentity{MSPID: "H1MSP"}},
	} {
		_, err := c.PatientToken(ctx, id)
		assert.ErrorIs(t, err, keystore.ErrIdentity, name)
	}
	tagA, err := c.Tag(ctx, full)
	require.NoError(t, err)
	assert.NotEqual(t, full[:16], tagA[:])
}

func digests(t *testing.T, c keystore.Custody) {
	ctx := t.Context()
	a, err := c.RegistrationDigest(ctx, "12", "3")
	require.NoError(t, err)
	b, err := c.RegistrationDigest(ctx, "1", "23")
	require.NoError(t, err)
	assert.NotEqual(t, a, b)
	_, err = c.RegistrationDigest(ctx, " ", "")
	assert.ErrorIs(t, err, keystore.ErrIdentity)
	s, err := c.StaffDigest(ctx, "D1001")
	require.NoError(t, err)
	again, err := c.StaffDigest(ctx, "D1001")
	require.NoError(t, err)
	assert.Equal(t, s, again)
	_, err = c.StaffDigest(ctx, "")
	assert.ErrorIs(t, err, keystore.ErrIdentity)
	check, err := c.IdentityCheck(ctx)
	require.NoError(t, err)
	assert.NotZero(t, check)
}

func ensureOnce(t *testing.T, c keystore.Custody) {
	ctx := t.Context()
	epoch, created, err := c.EnsurePatient(ctx, tag(1))
	require.NoError(t, err)
	assert.True(t, created)
	assert.EqualValues(t, 1, epoch)
	epoch, created, err = c.EnsurePatient(ctx, tag(1))
	require.NoError(t, err)
	assert.False(t, created)
	assert.EqualValues(t, 1, epoch)
}

func recordKeys(t *testing.T, c keystore.Custody) {
	ctx := t.Context()
	seen := map[smcrypto.Key]bool{}
	for p := byte(1); p <= 2; p++ {
		_, _, err := c.EnsurePatient(ctx, tag(p))
		require.NoError(t, err)
		for r := range byte(8) {
			k, err := c.RecordKey(ctx, tag(p), 1, record(r))
			require.NoError(t, err)
			again, err := c.RecordKey(ctx, tag(p), 1, record(r))
			require.NoError(t, err)
			assert.True(t, k.Equal(again))
			assert.False(t, seen[k])
			seen[k] = true
		}
	}
}

func rotation(t *testing.T, c keystore.Custody) {
	ctx := t.Context()
	_, _, err := c.EnsurePatient(ctx, tag(1))
	require.NoError(t, err)
	first, err := c.RecordKey(ctx, tag(1), 1, record(1))
	require.NoError(t, err)
	epoch, err := c.RotatePatient(ctx, tag(1))
	require.NoError(t, err)
	assert.EqualValues(t, 2, epoch)
	current, created, err := c.EnsurePatient(ctx, tag(1))
	require.NoError(t, err)
	assert.False(t, created)
	assert.EqualValues(t, 2, current)
	old, err := c.RecordKey(ctx, tag(1), 1, record(1))
	require.NoError(t, err)
	assert.True(t, first.Equal(old))
	fresh, err := c.RecordKey(ctx, tag(1), 2, record(1))
	require.NoError(t, err)
	assert.False(t, first.Equal(fresh))
	epochs, err := c.ListEpochs(ctx, tag(1))
	require.NoError(t, err)
	assert.Equal(t, []keystore.Epoch{{Number: 1}, {Number: 2, Current: true}}, epochs)
}

func destroyPatient(t *testing.T, c keystore.Custody) {
	ctx := t.Context()
	_, _, err := c.EnsurePatient(ctx, tag(1))
	require.NoError(t, err)
	old, err := c.RecordKey(ctx, tag(1), 1, record(1))
	require.NoError(t, err)
	_, err = c.RotatePatient(ctx, tag(1))
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, c.DestroyPatient(ctx, tag(1)))
		for epoch := uint32(1); epoch <= 2; epoch++ {
			_, err = c.RecordKey(ctx, tag(1), epoch, record(1))
			assert.ErrorIs(t, err, keystore.ErrDestroyed)
		}
	}
	epoch, created, err := c.EnsurePatient(ctx, tag(1))
	require.NoError(t, err)
	assert.True(t, created)
	assert.EqualValues(t, 3, epoch, "a patient who comes back gets a new epoch")
	fresh, err := c.RecordKey(ctx, tag(1), 3, record(1))
	require.NoError(t, err)
	assert.False(t, old.Equal(fresh))
}

func destroyRecord(t *testing.T, c keystore.Custody) {
	ctx := t.Context()
	_, _, err := c.EnsurePatient(ctx, tag(1))
	require.NoError(t, err)
	ids := []keystore.RecordID{record(0), record(1), record(0x10), record(0x80), {0xff, 0xff, 15: 0xff}, {15: 1}}
	keys := make([]smcrypto.Key, len(ids))
	for i, id := range ids {
		keys[i], err = c.RecordKey(ctx, tag(1), 1, id)
		require.NoError(t, err)
	}
	for gone := range ids[:3] {
		require.NoError(t, c.DestroyRecord(ctx, tag(1), 1, ids[gone]))
		require.NoError(t, c.DestroyRecord(ctx, tag(1), 1, ids[gone]), "repeating is no error")
		for i, id := range ids {
			k, err := c.RecordKey(ctx, tag(1), 1, id)
			if i <= gone {
				assert.ErrorIs(t, err, keystore.ErrDestroyed)
				continue
			}
			require.NoError(t, err)
			assert.True(t, keys[i].Equal(k), "record %d keeps its key", i)
		}
	}
	epochs, err := c.ListEpochs(ctx, tag(1))
	require.NoError(t, err)
	assert.Equal(t, []keystore.Epoch{{Number: 1, Current: true, DestroyedRecords: 3}}, epochs)
}

func dataKeys(t *testing.T, c keystore.Custody) {
	ctx := t.Context()
	v, first, err := c.DataKey(ctx, keystore.UseQuarantine, 0)
	require.NoError(t, err)
	_, bus, err := c.DataKey(ctx, keystore.UseBus, 0)
	require.NoError(t, err)
	assert.False(t, first.Equal(bus))
	next, err := c.RotateDataKey(ctx, keystore.UseQuarantine)
	require.NoError(t, err)
	assert.Equal(t, v+1, next)
	now, second, err := c.DataKey(ctx, keystore.UseQuarantine, 0)
	require.NoError(t, err)
	assert.Equal(t, next, now)
	assert.False(t, first.Equal(second))
	_, old, err := c.DataKey(ctx, keystore.UseQuarantine, v)
	require.NoError(t, err)
	assert.True(t, first.Equal(old))
}

func missing(t *testing.T, c keystore.Custody) {
	ctx := t.Context()
	_, err := c.RecordKey(ctx, tag(9), 1, record(1))
	assert.ErrorIs(t, err, keystore.ErrNoKey)
	_, err = c.RotatePatient(ctx, tag(9))
	assert.ErrorIs(t, err, keystore.ErrNoKey)
	assert.ErrorIs(t, c.DestroyPatient(ctx, tag(9)), keystore.ErrNoKey)
	assert.ErrorIs(t, c.DestroyRecord(ctx, tag(9), 1, record(1)), keystore.ErrNoKey)
	epochs, err := c.ListEpochs(ctx, tag(9))
	require.NoError(t, err)
	assert.Empty(t, epochs)
	_, _, err = c.DataKey(ctx, "nothing", 0)
	assert.ErrorIs(t, err, keystore.ErrNoKey)
	_, _, err = c.DataKey(ctx, keystore.UseBus, 99)
	assert.ErrorIs(t, err, keystore.ErrNoKey)
	_, _, err = c.EnsurePatient(ctx, keystore.Tag{})
	assert.ErrorIs(t, err, keystore.ErrLimit)
}

func cancelled(t *testing.T, c keystore.Custody) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Sign(ctx, nil)
	assert.ErrorIs(t, err, context.Canceled)
	_, _, err = c.EnsurePatient(ctx, tag(1))
	assert.ErrorIs(t, err, context.Canceled)
}

func concurrent(t *testing.T, c keystore.Custody) {
	ctx := t.Context()
	var wg sync.WaitGroup
	var mu sync.Mutex
	created := 0
	for w := range 16 {
		wg.Go(func() {
			for i := range 20 {
				p := tag(byte(1 + (w+i)%10))
				epoch, fresh, err := c.EnsurePatient(ctx, p)
				if !assert.NoError(t, err) {
					return
				}
				if fresh {
					mu.Lock()
					created++
					mu.Unlock()
				}
				_, err = c.RecordKey(ctx, p, epoch, record(byte(i)))
				assert.NoError(t, err)
				if w == 0 {
					assert.NoError(t, c.DestroyRecord(ctx, p, epoch, record(200)))
				}
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 10, created, "each patient is created by exactly one caller")
}

func closed(t *testing.T, c keystore.Custody) {
	ctx := t.Context()
	require.NoError(t, c.Close())
	_, err := c.Hospital(ctx)
	assert.ErrorIs(t, err, keystore.ErrClosed)
	_, err = c.Sign(ctx, nil)
	assert.ErrorIs(t, err, keystore.ErrClosed)
	_, _, err = c.EnsurePatient(ctx, tag(1))
	assert.ErrorIs(t, err, keystore.ErrClosed)
	_, err = c.RecordKey(ctx, tag(1), 1, record(1))
	assert.ErrorIs(t, err, keystore.ErrClosed)
	_, _, err = c.DataKey(ctx, keystore.UseBus, 0)
	assert.ErrorIs(t, err, keystore.ErrClosed)
}
