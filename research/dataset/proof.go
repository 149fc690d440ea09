package dataset

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/emmansun/gmsm/sm3"

	"github.com/emrbridge/emrbridge/evidence"
)

// Proof shows that one row belongs to a released dataset, without any other row. It holds
// the row itself and redacts it in logs.
type Proof struct {
	Kind     Kind              `json:"kind"`
	Project  string            `json:"project"`
	Hospital string            `json:"hospital"`
	Sequence uint32            `json:"sequence"`
	File     string            `json:"file"`
	Line     int64             `json:"line"` // from 1, as editors count
	Row      string            `json:"row"`  // base64
	Salt     string            `json:"salt"`
	Leaf     int64             `json:"leaf"`
	Leaves   int64             `json:"leaves"`
	Path     []evidence.Digest `json:"path"`
	Root     evidence.Digest   `json:"root"`
}

// LogValue implements slog.LogValuer.
func (p Proof) LogValue() slog.Value {
	return slog.GroupValue(slog.String("project", p.Project), slog.String("file", p.File), slog.Int64("line", p.Line))
}

// Prove makes the proof of one line of a file of the package in dir. It reads the whole
// package, since what it proves from must be whole, in a memory of 32 bytes for each row.
func Prove(dir, file string, line int64) (Proof, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return Proof{}, err
	}
	f, ok := m.file(file)
	if !ok || line < 1 || line > f.Leaves {
		return Proof{}, fmt.Errorf("%w: the package has no line %d in that file", ErrMalformed, line)
	}
	var leaves []evidence.Digest
	if m, err = eachLeaf(dir, func(d evidence.Digest) { leaves = append(leaves, d) }); err != nil {
		return Proof{}, err
	}
	row, err := lineOf(filepath.Join(dir, filepath.FromSlash(file)), f, line)
	if err != nil {
		return Proof{}, err
	}
	salts, err := readSalts(dir)
	if err != nil {
		return Proof{}, err
	}
	index := f.Leaf + line - 1
	path, err := evidence.Prove(leaves, int(index))
	if err != nil {
		return Proof{}, err
	}
	salt := newHasher(salts).salt(index)
	return Proof{
		Kind: m.Kind, Project: m.Project, Hospital: m.Hospital, Sequence: m.Sequence, File: file, Line: line,
		Row: base64.StdEncoding.EncodeToString(row), Salt: hex.EncodeToString(salt[:]),
		Leaf: index, Leaves: int64(len(leaves)), Path: path, Root: evidence.Root(leaves),
	}, nil
}

func lineOf(path string, f File, line int64) (row []byte, err error) {
	n := int64(0)
	err = readParts(path, f, func(b []byte) error {
		if n++; n == line {
			row = append([]byte{}, b...)
		}
		return nil
	})
	return row, err
}

// Check verifies the proof under a root that the caller took from the ledger, and returns
// the row. ErrAltered: it does not belong to that root.
func (p Proof) Check(root evidence.Digest) ([]byte, error) {
	row, err := base64.StdEncoding.DecodeString(p.Row)
	if err != nil || len(row) > MaxDocument {
		return nil, fmt.Errorf("%w: row of a proof", ErrMalformed)
	}
	raw, err := hex.DecodeString(p.Salt)
	if err != nil || len(raw) != saltSize || len(p.File) > 128 || p.Leaf < 0 || p.Leaves > MaxLeaves {
		return nil, fmt.Errorf("%w: salt, file or place of a proof", ErrMalformed)
	}
	leaf := leafHash(sm3.New(), [saltSize]byte(raw), p.File, row)
	if !evidence.VerifyProof(root, leaf, int(p.Leaf), int(p.Leaves), p.Path) {
		return nil, fmt.Errorf("%w: the row does not belong to the dataset with this root", ErrAltered)
	}
	return row, nil
}
