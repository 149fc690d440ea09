package keystore

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Backup format, version 1, all integers big-endian:
//
//	"EMRK" ‖ version 1 ‖ backup id [16] ‖ u32 length ‖ master.json
//	frames: u32 length ‖ blob, each blob sealed under the backup subkey with
//	  AAD = domain ‖ SM3(all header bytes) ‖ u64 frame number ‖ kind
//
// Kinds in order: 1 the secrets file, 2 pieces of the patient database (at most
// 1 MiB each), 3 end (empty). Order, completeness and origin are thus authenticated.
const (
	backupMagic   = "EMRK"
	backupVersion = 1
	backupDomain  = "emrbridge/keystore/backup/v1\x00"
	backupPiece   = 1 << 20

	frameSecrets = 1
	framePiece   = 2
	frameEnd     = 3

	snapshotPrefix = "snapshot-"
)

// Backup writes a consistent, authenticated snapshot to w. It opens with the
// passphrase in force now. Custody goes on working while it is written; changes of
// keys wait only for the snapshot itself. Keys destroyed later live on in a backup:
// destroy old ones, and after a restore repeat the destructions that the ledger lists.
func (f *File) Backup(ctx context.Context, w io.Writer) error {
	var head masterFile
	var sealed []byte
	var key smcrypto.Key
	snapshot := ""
	defer func() {
		smcrypto.Zero(key[:])
		if snapshot != "" {
			_ = os.Remove(snapshot)
		}
	}()
	err := f.use(ctx, func() (err error) {
		if head, err = readMaster(f.dir); err != nil {
			return err
		}
		if sealed, err = readSmall(filepath.Join(f.dir, secretsName), maxSecretsFile); err != nil {
			return err
		}
		key = f.keys.backup
		snapshot, err = snapshotPatients(ctx, f.dir)
		return err
	})
	if err != nil {
		return err
	}
	enc, err := newBackupWriter(w, head, key)
	if err != nil {
		return err
	}
	if err := enc.frame(frameSecrets, sealed); err != nil {
		return err
	}
	if err := enc.file(ctx, snapshot); err != nil {
		return err
	}
	return enc.frame(frameEnd, nil)
}

// snapshotPatients copies the live database to a private file beside it.
func snapshotPatients(ctx context.Context, dir string) (path string, err error) {
	f, err := os.CreateTemp(dir, snapshotPrefix) // mode 0600; SQLite fills an empty file
	if err != nil {
		return "", fmt.Errorf("keystore: %w", err)
	}
	path = f.Name()
	if err := f.Close(); err != nil {
		return path, fmt.Errorf("keystore: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(filepath.Join(dir, patientsName)))
	if err != nil {
		return path, fmt.Errorf("keystore: snapshot patient database: %w", err)
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, path)
	if err := errors.Join(err, db.Close()); err != nil {
		return path, fmt.Errorf("keystore: snapshot patient database: %w", err)
	}
	return path, nil
}

// dropLeftovers removes what a crash left behind: snapshots and half-written files
// may hold keys that are destroyed since.
func dropLeftovers(dir string) error {
	for _, pattern := range []string{snapshotPrefix + "*", ".*.tmp-*"} {
		left, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return fmt.Errorf("keystore: %w", err)
		}
		for _, path := range left {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("keystore: remove a left-over file: %w", err)
			}
		}
	}
	return nil
}

// backupFrames numbers and seals frames on both sides.
type backupFrames struct {
	key  smcrypto.Key
	head [smcrypto.DigestSize]byte
	next uint64
}

func (b *backupFrames) aad(kind byte) []byte {
	out := append([]byte(backupDomain), b.head[:]...)
	out = binary.BigEndian.AppendUint64(out, b.next)
	b.next++
	return append(out, kind)
}

type backupWriter struct {
	backupFrames
	w io.Writer
}

func newBackupWriter(w io.Writer, head masterFile, key smcrypto.Key) (*backupWriter, error) {
	id, err := randomBytes(16)
	if err != nil {
		return nil, err
	}
	raw, err := head.encode()
	if err != nil {
		return nil, err
	}
	out := append([]byte(backupMagic), backupVersion)
	out = append(out, id...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(raw)))
	out = append(out, raw...)
	if _, err := w.Write(out); err != nil {
		return nil, fmt.Errorf("keystore: write backup: %w", err)
	}
	return &backupWriter{backupFrames{key: key, head: smcrypto.Default().SM3(out)}, w}, nil
}

func (b *backupWriter) frame(kind byte, plain []byte) error {
	blob, err := smcrypto.SealBlob(smcrypto.Default(), b.key, b.aad(kind), plain)
	if err != nil {
		return err
	}
	length := binary.BigEndian.AppendUint32(nil, uint32(len(blob)+1))
	for _, part := range [][]byte{length, {kind}, blob} {
		if _, err := b.w.Write(part); err != nil {
			return fmt.Errorf("keystore: write backup: %w", err)
		}
	}
	return nil
}

func (b *backupWriter) file(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("keystore: %w", err)
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, backupPiece)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(f, buf)
		if n > 0 {
			if err := b.frame(framePiece, buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("keystore: read snapshot: %w", err)
		}
	}
}

// Restore makes a keystore in dir (which must not exist or be empty) from a backup
// and opens it. Nothing appears in dir unless the whole backup is authentic.
func Restore(ctx context.Context, dir string, r io.Reader, passphrase []byte) (*File, error) {
	err := buildDir(dir, func(tmp string) error { return unpack(ctx, tmp, r, passphrase) })
	if err != nil {
		return nil, err
	}
	return Open(ctx, dir, passphrase)
}

type backupReader struct {
	backupFrames
	r io.Reader
}

// VerifyBackup reads a whole backup and reports whether it would restore.
func VerifyBackup(ctx context.Context, r io.Reader, passphrase []byte) error {
	_, b, err := openBackup(r, passphrase)
	if err != nil {
		return err
	}
	if _, err := b.expect(frameSecrets); err != nil {
		return err
	}
	return b.pieces(ctx, io.Discard)
}

func unpack(ctx context.Context, tmp string, r io.Reader, passphrase []byte) error {
	raw, b, err := openBackup(r, passphrase)
	if err != nil {
		return err
	}
	sealed, err := b.expect(frameSecrets)
	if err != nil {
		return err
	}
	if err := fsatomic.WriteFile(filepath.Join(tmp, masterName), raw, 0o600); err != nil {
		return err
	}
	if err := fsatomic.WriteFile(filepath.Join(tmp, secretsName), sealed, 0o600); err != nil {
		return err
	}
	db, err := os.OpenFile(filepath.Join(tmp, patientsName), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keystore: %w", err)
	}
	if err := errors.Join(b.pieces(ctx, db), db.Sync(), db.Close()); err != nil {
		return fmt.Errorf("keystore: restore patient database: %w", err)
	}
	return nil
}

// openBackup reads the clear head and derives the key that opens the frames.
func openBackup(r io.Reader, passphrase []byte) ([]byte, *backupReader, error) {
	head := make([]byte, len(backupMagic)+1+16+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, nil, fmt.Errorf("%w: backup ended early", ErrCorrupt)
	}
	if !bytes.HasPrefix(head, []byte(backupMagic)) || head[4] != backupVersion {
		return nil, nil, fmt.Errorf("%w: not a keystore backup of version %d", ErrCorrupt, backupVersion)
	}
	n := binary.BigEndian.Uint32(head[len(head)-4:])
	if n > 64<<10 {
		return nil, nil, fmt.Errorf("%w: backup head too long", ErrCorrupt)
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, nil, fmt.Errorf("%w: backup ended early", ErrCorrupt)
	}
	m, err := parseMaster(raw)
	if err != nil {
		return nil, nil, err
	}
	master, err := m.unwrap(passphrase)
	if err != nil {
		return nil, nil, err
	}
	defer smcrypto.Zero(master)
	keys, err := deriveSubkeys(master, m.ID)
	if err != nil {
		return nil, nil, err
	}
	defer keys.zero()
	return raw, &backupReader{backupFrames{key: keys.backup, head: smcrypto.Default().SM3(head, raw)}, r}, nil
}

// read returns the next frame's kind and plaintext.
func (b *backupReader) read() (byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(b.r, head[:]); err != nil {
		return 0, nil, fmt.Errorf("%w: backup ended early", ErrCorrupt)
	}
	n, kind := binary.BigEndian.Uint32(head[:]), head[4]
	if n < 1 || n > maxSecretsFile+smcrypto.BlobOverhead+1 {
		return 0, nil, fmt.Errorf("%w: backup frame length", ErrCorrupt)
	}
	blob := make([]byte, n-1)
	if _, err := io.ReadFull(b.r, blob); err != nil {
		return 0, nil, fmt.Errorf("%w: backup ended early", ErrCorrupt)
	}
	plain, err := smcrypto.OpenBlob(smcrypto.Default(), b.key, b.aad(kind), blob)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: backup frame %d: %w", ErrCorrupt, b.next-1, err)
	}
	return kind, plain, nil
}

func (b *backupReader) expect(kind byte) ([]byte, error) {
	got, plain, err := b.read()
	if err != nil {
		return nil, err
	}
	if got != kind {
		return nil, fmt.Errorf("%w: backup frame of kind %d where %d was due", ErrCorrupt, got, kind)
	}
	return plain, nil
}

// pieces copies the database to w until the end frame and refuses anything after it.
func (b *backupReader) pieces(ctx context.Context, w io.Writer) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		kind, plain, err := b.read()
		if err != nil {
			return err
		}
		switch kind {
		case framePiece:
			if _, err := w.Write(plain); err != nil {
				return fmt.Errorf("keystore: write restored database: %w", err)
			}
		case frameEnd:
			var one [1]byte
			if n, _ := io.ReadFull(b.r, one[:]); n != 0 {
				return fmt.Errorf("%w: bytes after the end of the backup", ErrCorrupt)
			}
			return nil
		default:
			return fmt.Errorf("%w: backup frame of kind %d", ErrCorrupt, kind)
		}
	}
}
