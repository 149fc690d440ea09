package chainclient

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// Position says which transaction is to be handled next: number Tx of block Block, or the
// first after it. The zero value is the beginning of the ledger.
type Position struct {
	Ledger   string `json:"ledger"`   // hash of block 0, hexadecimal; empty before the first block
	Block    uint64 `json:"block"`    // number of the next block
	Tx       int    `json:"tx"`       // transactions of it that are done
	Previous string `json:"previous"` // hash of the block before, hexadecimal
}

// Checkpoint keeps a position. Save returns once the position survives a crash. A handler
// that keeps state in a database implements Checkpoint there and stores position and
// effect in one transaction: then no event is missed or repeated, whatever happens.
type Checkpoint interface {
	// Load returns the zero position if none was saved yet.
	Load() (Position, error)
	Save(p Position) error
}

// fileCheckpoint keeps the position in a small JSON file.
type fileCheckpoint struct{ path string }

// NewFileCheckpoint returns a checkpoint in the file path, whose folder must exist. Every
// save is synced to disk. A crash after an event was handled and before its position was
// saved repeats that one event and no other.
func NewFileCheckpoint(path string) Checkpoint { return fileCheckpoint{path: path} }

// maxCheckpoint is the largest checkpoint file read, in bytes.
const maxCheckpoint = 4 << 10

// Load implements Checkpoint.
func (f fileCheckpoint) Load() (Position, error) {
	raw, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Position{}, nil
	}
	if err != nil {
		return Position{}, fmt.Errorf("chainclient: read checkpoint: %w", err)
	}
	p, err := parsePosition(raw)
	if err != nil {
		return Position{}, fmt.Errorf("chainclient: checkpoint %s: %w: remove the file to read the ledger from the beginning", f.path, err)
	}
	return p, nil
}

// Save implements Checkpoint.
func (f fileCheckpoint) Save(p Position) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("chainclient: save checkpoint: %w", err)
	}
	if err := fsatomic.WriteFile(f.path, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("chainclient: save checkpoint: %w", err)
	}
	return nil
}

func parsePosition(raw []byte) (Position, error) {
	if len(raw) > maxCheckpoint {
		return Position{}, fmt.Errorf("%d bytes, %d are possible", len(raw), maxCheckpoint)
	}
	var p Position
	if err := json.Unmarshal(raw, &p); err != nil {
		return Position{}, fmt.Errorf("not the expected JSON: %w", err)
	}
	if p.Tx < 0 || !isHash(p.Ledger) || !isHash(p.Previous) {
		return Position{}, errors.New("damaged")
	}
	return p, nil
}

func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && (len(b) == 32 || len(b) == 0)
}
