package dataset

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// Pack writes the package in dir as a compressed archive: manifest, salts, then the files in
// the order of the manifest. The same package gives the same bytes.
func Pack(dir string, w io.Writer) error {
	m, text, err := readManifest(dir)
	if err != nil {
		return err
	}
	salts, err := readSalts(dir)
	if err != nil {
		return err
	}
	zip := gzip.NewWriter(w)
	out := tar.NewWriter(zip)
	if err := errors.Join(putBytes(out, ManifestName, text), putBytes(out, ProofKeyName, salts.encode())); err != nil {
		return err
	}
	for _, f := range m.Files {
		if err := putFile(out, dir, f); err != nil {
			return err
		}
	}
	if err := errors.Join(out.Close(), zip.Close()); err != nil {
		return fmt.Errorf("dataset: pack: %w", err)
	}
	return nil
}

func putHead(out *tar.Writer, name string, size int64) error {
	return out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600})
}

func putBytes(out *tar.Writer, name string, b []byte) error {
	err := putHead(out, name, int64(len(b)))
	if err == nil {
		_, err = out.Write(b)
	}
	if err != nil {
		return fmt.Errorf("dataset: pack: %w", err)
	}
	return nil
}

func putFile(out *tar.Writer, dir string, f File) error {
	in, err := os.Open(filepath.Join(dir, filepath.FromSlash(f.Name)))
	if err != nil {
		return fmt.Errorf("dataset: pack: %w", err)
	}
	defer in.Close()
	if err := putHead(out, f.Name, f.Size); err != nil {
		return fmt.Errorf("dataset: pack: %w", err)
	}
	n, err := io.Copy(out, in)
	if err == nil && n != f.Size {
		return fmt.Errorf("%w: %s is not what the manifest says", ErrAltered, f.Name)
	}
	if err != nil {
		return fmt.Errorf("dataset: pack: %w", err)
	}
	return nil
}

// Unpack reads what Pack wrote into dir, which must not exist or be empty, and writes no more
// than limit bytes (0: MaxPackage). It takes exactly the files that the manifest names, in
// their order and size. The content is not believed before Verify has compared it; it is not
// synced to disk, since it can be unpacked again.
func Unpack(r io.Reader, dir string, limit int64) error {
	if limit <= 0 || limit > MaxPackage {
		limit = MaxPackage
	}
	if err := fsatomic.MkdirPrivate(dir); err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	zip, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("%w: not a compressed archive", ErrMalformed)
	}
	in := tar.NewReader(zip)
	text, err := takeBytes(in, ManifestName, MaxManifest)
	if err != nil {
		return err
	}
	m, err := ParseManifest(text)
	if err != nil {
		return err
	}
	if m.size() > limit {
		return fmt.Errorf("%w: the package has %d bytes, %d are allowed", ErrLimit, m.size(), limit)
	}
	salts, err := takeBytes(in, ProofKeyName, 128)
	if err != nil {
		return err
	}
	for _, f := range m.Files {
		if err := takeFile(in, dir, f); err != nil {
			return err
		}
	}
	if err := atEnd(in, zip); err != nil {
		return err
	}
	err = errors.Join(os.WriteFile(filepath.Join(dir, ProofKeyName), salts, 0o600), os.WriteFile(filepath.Join(dir, ManifestName), text, 0o600))
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	return nil
}

// atEnd requires that nothing follows: the archive is at its end, and so is the stream.
func atEnd(in *tar.Reader, zip io.Reader) error {
	if _, err := in.Next(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the archive holds more than its manifest names", ErrMalformed)
	}
	// Reading on also makes the decompressor compare its checksum and meet the end of the stream.
	if n, err := io.Copy(io.Discard, io.LimitReader(zip, 1)); err != nil || n != 0 {
		return fmt.Errorf("%w: something follows the archive", ErrMalformed)
	}
	return nil
}

func next(in *tar.Reader, name string) (*tar.Header, error) {
	h, err := in.Next()
	if err != nil {
		return nil, fmt.Errorf("%w: the archive ends before %s", ErrMalformed, name)
	}
	if h.Name != name || h.Typeflag != tar.TypeReg {
		return nil, fmt.Errorf("%w: the archive holds another file where %s should stand", ErrMalformed, name)
	}
	return h, nil
}

func takeBytes(in *tar.Reader, name string, limit int64) ([]byte, error) {
	h, err := next(in, name)
	if err != nil {
		return nil, err
	}
	if h.Size > limit {
		return nil, fmt.Errorf("%w: %s of %d bytes", ErrLimit, name, h.Size)
	}
	b, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is cut off", ErrMalformed, name)
	}
	return b, nil
}

func takeFile(in *tar.Reader, dir string, f File) error {
	h, err := next(in, f.Name)
	if err != nil {
		return err
	}
	if h.Size != f.Size {
		return fmt.Errorf("%w: %s is not what the manifest says", ErrAltered, f.Name)
	}
	path := filepath.Join(dir, filepath.FromSlash(f.Name))
	if err := fsatomic.MkdirPrivate(filepath.Dir(path)); err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	_, err = io.Copy(out, io.LimitReader(in, f.Size))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: cut off", ErrMalformed)
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("dataset: unpack %s: %w", f.Name, err)
	}
	return nil
}
