package dataset

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"

	"github.com/emmansun/gmsm/sm3"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// Builder writes a package into a folder, file after file. It is not safe for concurrent
// use. A folder without a manifest is no package: whoever finds one throws it away.
type Builder struct {
	dir      string
	manifest Manifest
	salts    Salts
	hasher   *hasher
	tree     *tree
	open     bool
}

// NewBuilder begins a package in dir, which must not exist or be empty. Of m the fields that
// tell of the content (files, rows) are filled in by the builder.
func NewBuilder(dir string, m Manifest, salts Salts) (*Builder, error) {
	if salts == (Salts{}) {
		return nil, fmt.Errorf("%w: no salts", ErrMalformed)
	}
	m.Version, m.Files, m.Rows = Version, nil, 0
	if err := m.validate(); err != nil {
		return nil, err
	}
	if err := fsatomic.MkdirPrivate(dir); err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		return nil, errors.Join(fmt.Errorf("dataset: the folder of a new package must be empty"), err)
	}
	return &Builder{dir: dir, manifest: m, salts: salts, hasher: newHasher(salts), tree: newTree()}, nil
}

// Lines is a file of lines in the making.
type Lines struct {
	b    *Builder
	f    *os.File
	w    *bufio.Writer
	sum  hash.Hash
	file File
	head bool
}

// Lines begins a file of lines. header, if not nil, becomes its first line, which is a leaf
// but no row. One file is open at a time.
func (b *Builder) Lines(name, mediaType, about string, header []byte) (*Lines, error) {
	f, err := b.begin(name)
	if err != nil {
		return nil, err
	}
	l := &Lines{b: b, f: f, w: bufio.NewWriterSize(f, 256<<10), sum: sm3.New(),
		file: File{Name: name, MediaType: mediaType, About: about, Lines: true, Leaf: b.tree.count}}
	if header == nil {
		return l, nil
	}
	l.head = true
	return l, l.Add(header)
}

func (b *Builder) begin(name string) (*os.File, error) {
	_, taken := b.manifest.file(name)
	switch {
	case b.open:
		return nil, errors.New("dataset: another file of the package is still open")
	case !validName(name) || taken:
		return nil, fmt.Errorf("%w: name of a file", ErrMalformed)
	case len(b.manifest.Files) == MaxFiles:
		return nil, fmt.Errorf("%w: more than %d files", ErrLimit, MaxFiles)
	}
	path := filepath.Join(b.dir, filepath.FromSlash(name))
	if err := fsatomic.MkdirPrivate(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	b.open = true
	return f, nil
}

// Add appends a line, which is given without its end and holds no line feed.
func (l *Lines) Add(line []byte) error {
	if len(line) > MaxLine || l.b.tree.count >= MaxLeaves-1 {
		return fmt.Errorf("%w: line of %d bytes, or more than %d lines", ErrLimit, len(line), MaxLeaves)
	}
	if bytes.IndexByte(line, '\n') >= 0 {
		return fmt.Errorf("%w: a line feed within a line", ErrMalformed)
	}
	l.b.tree.add(l.b.hasher.leaf(l.b.tree.count, l.file.Name, line))
	l.file.Leaves++
	l.file.Size += int64(len(line)) + 1
	l.sum.Write(line)
	l.sum.Write([]byte{'\n'})
	if _, err := l.w.Write(line); err != nil {
		return fmt.Errorf("dataset: write: %w", err)
	}
	return l.w.WriteByte('\n')
}

// Close ends the file; its content is on disk when it returns nil.
func (l *Lines) Close() error {
	err := errors.Join(l.w.Flush(), l.f.Sync(), l.f.Close())
	if err != nil {
		return fmt.Errorf("dataset: write: %w", err)
	}
	l.sum.Sum(l.file.SM3[:0])
	l.b.manifest.Files = append(l.b.manifest.Files, l.file)
	l.b.manifest.Rows += l.file.Leaves
	if l.head {
		l.b.manifest.Rows--
	}
	l.b.open = false
	return nil
}

// Document adds a file that is one leaf.
func (b *Builder) Document(name, mediaType, about string, content []byte) error {
	if len(content) > MaxDocument {
		return fmt.Errorf("%w: document of %d bytes, %d are allowed", ErrLimit, len(content), MaxDocument)
	}
	f, err := b.begin(name)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("dataset: write: %w", err)
	}
	file := File{Name: name, MediaType: mediaType, About: about, Leaf: b.tree.count, Leaves: 1, Size: int64(len(content)), SM3: sm3.Sum(content)}
	b.tree.add(b.hasher.leaf(b.tree.count, name, content))
	b.manifest.Files = append(b.manifest.Files, file)
	b.open = false
	return nil
}

// Finish writes salts and manifest, the manifest last, and returns it with the root.
func (b *Builder) Finish() (Manifest, evidence.Digest, error) {
	if b.open {
		return Manifest{}, evidence.Digest{}, errors.New("dataset: a file of the package is still open")
	}
	text, err := b.manifest.encode()
	if err != nil {
		return Manifest{}, evidence.Digest{}, err
	}
	b.tree.add(b.hasher.leaf(b.tree.count, ManifestName, text))
	if err := fsatomic.WriteFile(filepath.Join(b.dir, ProofKeyName), b.salts.encode(), 0o600); err != nil {
		return Manifest{}, evidence.Digest{}, fmt.Errorf("dataset: %w", err)
	}
	if err := fsatomic.WriteFile(filepath.Join(b.dir, ManifestName), text, 0o600); err != nil {
		return Manifest{}, evidence.Digest{}, fmt.Errorf("dataset: %w", err)
	}
	return b.manifest, b.tree.root(), nil
}
