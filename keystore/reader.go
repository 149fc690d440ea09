package keystore

import (
	"context"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// Reader derives tags, and keys of records and of data at rest, from a keystore that another process
// may have open: for the verifier and for showing quarantined input. It can neither sign,
// decrypt nor change anything. What the other process changes in the meantime is seen by
// the next Reader. It is safe for concurrent use.
type Reader struct{ f *File }

// OpenReader opens the keystore in dir for reading, without its lock. Errors are those of
// Open.
func OpenReader(ctx context.Context, dir string, passphrase []byte) (*Reader, error) {
	if err := checkPermissions(dir); err != nil {
		return nil, err
	}
	f := &File{dir: dir}
	if err := f.load(ctx, passphrase, modeRead); err != nil {
		_ = f.release() // the cause is in err
		return nil, err
	}
	return &Reader{f}, nil
}

// RecordKey derives K_r; see Custody.
func (r *Reader) RecordKey(ctx context.Context, tag Tag, epoch uint32, id RecordID) (smcrypto.Key, error) {
	return r.f.RecordKey(ctx, tag, epoch, id)
}

// DataKey returns a key for data at rest; see Custody.
func (r *Reader) DataKey(ctx context.Context, use DataUse, version uint32) (uint32, smcrypto.Key, error) {
	return r.f.DataKey(ctx, use, version)
}

// Close overwrites the keys in memory.
func (r *Reader) Close() error { return r.f.Close() }

// PatientToken is sig_p of an identity; see Custody.
func (r *Reader) PatientToken(ctx context.Context, id Identity) (Token, error) {
	return r.f.PatientToken(ctx, id)
}

// Tag is the on-chain index key of a patient token; see Custody.
func (r *Reader) Tag(ctx context.Context, token Token) (Tag, error) { return r.f.Tag(ctx, token) }
