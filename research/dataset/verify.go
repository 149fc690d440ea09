package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/emmansun/gmsm/sm3"

	"github.com/emrbridge/emrbridge/evidence"
)

// ReadManifest reads the manifest of the package in dir without checking any file.
func ReadManifest(dir string) (Manifest, error) {
	m, _, err := readManifest(dir)
	return m, err
}

func readManifest(dir string) (Manifest, []byte, error) {
	text, err := readBounded(filepath.Join(dir, ManifestName), MaxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, nil, fmt.Errorf("%w: the folder holds no %s", ErrMalformed, ManifestName)
	}
	if err != nil {
		return Manifest{}, nil, err
	}
	m, err := ParseManifest(text)
	return m, text, err
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: file of more than %d bytes", ErrLimit, limit)
	}
	return b, nil
}

// Verify reads the whole package in dir, compares every file with the manifest and returns
// the manifest and the root, which the caller compares with the ledger. ErrAltered names the
// file that differs.
func Verify(dir string) (Manifest, evidence.Digest, error) {
	t := newTree()
	m, err := eachLeaf(dir, func(leaf evidence.Digest) { t.add(leaf) })
	return m, t.root(), err
}

// eachLeaf computes the leaves of a package in order and checks each file on the way.
func eachLeaf(dir string, take func(evidence.Digest)) (Manifest, error) {
	m, text, err := readManifest(dir)
	if err != nil {
		return m, err
	}
	salts, err := readSalts(dir)
	if err != nil {
		return m, err
	}
	h := newHasher(salts)
	for _, f := range m.Files {
		if err := fileLeaves(filepath.Join(dir, filepath.FromSlash(f.Name)), f, h, take); err != nil {
			return m, err
		}
	}
	take(h.leaf(m.leaves()-1, ManifestName, text))
	return m, nil
}

func readSalts(dir string) (Salts, error) {
	b, err := readBounded(filepath.Join(dir, ProofKeyName), 128)
	if err != nil {
		return Salts{}, err
	}
	return parseSalts(b)
}

func fileLeaves(path string, f File, h *hasher, take func(evidence.Digest)) error {
	index, size, sum := f.Leaf, int64(0), sm3.New()
	add := func(line []byte) error {
		if index == f.Leaf+f.Leaves {
			return fmt.Errorf("%w: %s has more lines than the manifest says", ErrAltered, f.Name)
		}
		take(h.leaf(index, f.Name, line))
		index++
		size += int64(len(line))
		sum.Write(line)
		if f.Lines {
			size++
			sum.Write([]byte{'\n'})
		}
		return nil
	}
	if err := readParts(path, f, add); err != nil {
		return err
	}
	var d evidence.Digest
	sum.Sum(d[:0])
	if index != f.Leaf+f.Leaves || size != f.Size || !d.Equal(f.SM3) {
		return fmt.Errorf("%w: %s is not what the manifest says", ErrAltered, f.Name)
	}
	return nil
}

// readParts hands over the lines of a file, or the whole of a document.
func readParts(path string, f File, add func([]byte) error) error {
	if !f.Lines {
		b, err := readBounded(path, MaxDocument)
		if err != nil {
			return err
		}
		return add(b)
	}
	in, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	defer in.Close()
	return eachLine(in, add)
}

// eachLine hands over the lines of r without their ends. A last line without an end is
// ErrMalformed: something is missing.
func eachLine(r io.Reader, add func([]byte) error) error {
	in := bufio.NewReaderSize(r, 256<<10)
	var long []byte
	for {
		part, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if long = append(long, part...); len(long) > MaxLine {
				return fmt.Errorf("%w: line of more than %d bytes", ErrLimit, MaxLine)
			}
			continue
		}
		if errors.Is(err, io.EOF) {
			if len(part)+len(long) > 0 {
				return fmt.Errorf("%w: the last line has no end", ErrMalformed)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("dataset: read: %w", err)
		}
		line := part[:len(part)-1]
		if len(long) > 0 {
			line = append(long, line...)
		}
		if len(line) > MaxLine {
			return fmt.Errorf("%w: line of more than %d bytes", ErrLimit, MaxLine)
		}
		if err := add(line); err != nil {
			return err
		}
		long = long[:0]
	}
}
