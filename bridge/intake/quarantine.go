package intake

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// The quarantine keeps what was refused, so that an operator can see why. An item is a file
// of its own, <id>.q, where the id begins with the time so that names sort by age:
//
//	"EMRQ" ‖ version 1 ‖ length of the label (u32, big-endian) ‖ label (JSON) ‖ sealed bytes
//
// The label names no patient: reason, sender, control id, sizes and times. Everything before
// the sealed bytes is authenticated with them, so neither can be exchanged. Bytes are sealed
// with the quarantine key; listing needs no key, showing does.
const (
	quarantineMagic  = "EMRQ\x01"
	quarantineSuffix = ".q"
	maxLabel         = 16 << 10
)

// Errors of the quarantine.
var (
	// ErrQuarantineFull: the limit of bytes or items is reached; an operator has to look and remove.
	ErrQuarantineFull = errors.New("intake: quarantine is full")
	// ErrNotQuarantined: there is no such item.
	ErrNotQuarantined = errors.New("intake: no such item in the quarantine")
	// ErrDamaged: the file is not a quarantined item, or was altered.
	ErrDamaged = errors.New("intake: quarantined item is damaged")
)

// Refused describes something that was refused.
type Refused struct {
	// Raw is what came, perhaps only its beginning; see Truncated.
	Raw []byte
	// Code and Reason say why, without patient data; Stage says where.
	Code, Reason, Stage string
	// Sender, ControlID, Kind and Peer as far as they are known.
	Sender, ControlID, Kind, Peer string
	// Record is the record id in text form, if there is one.
	Record     string
	ReceivedAt time.Time
	// Truncated says that Raw is not all that came, Size how much that was.
	Truncated bool
	Size      int64
}

// LogValue implements slog.LogValuer: the bytes never reach a log.
func (r Refused) LogValue() slog.Value {
	return slog.GroupValue(slog.String("code", r.Code), slog.String("stage", r.Stage), slog.String("sender", r.Sender),
		slog.Int("bytes", len(r.Raw)))
}

// Label is what is listed of an item.
type Label struct {
	ID         string    `json:"id"`
	At         time.Time `json:"at"` // when it was put here
	Code       string    `json:"code"`
	Reason     string    `json:"reason,omitempty"`
	Stage      string    `json:"stage,omitempty"`
	Sender     string    `json:"sender,omitempty"`
	ControlID  string    `json:"control_id,omitempty"`
	Kind       string    `json:"kind,omitempty"`
	Peer       string    `json:"peer,omitempty"`
	Record     string    `json:"record,omitempty"`
	ReceivedAt time.Time `json:"received_at"`
	Kept       int       `json:"kept_bytes"`
	Truncated  bool      `json:"truncated,omitempty"`
	Size       int64     `json:"size"` // bytes that came
}

// QuarantineLimits bound the quarantine; zero fields take their defaults.
type QuarantineLimits struct {
	Bytes int64 // of all files; default 512 MiB
	Items int   // default 100,000
}

// Quarantine is a folder of refused items. It is safe for concurrent use by one process;
// others may list and show.
type Quarantine struct {
	dir    string
	cipher bus.Cipher
	limits QuarantineLimits

	mu    sync.Mutex
	bytes int64
	items int
}

// OpenQuarantine opens the folder, which is made with mode 0700 if it is missing. Items are
// sealed with cipher; nil allows listing only.
func OpenQuarantine(dir string, cipher bus.Cipher, limits QuarantineLimits) (*Quarantine, error) {
	if err := fsatomic.MkdirPrivate(dir); err != nil {
		return nil, fmt.Errorf("intake: quarantine: %w", err)
	}
	if limits.Bytes <= 0 {
		limits.Bytes = 512 << 20
	}
	if limits.Items <= 0 {
		limits.Items = 100_000
	}
	q := &Quarantine{dir: dir, cipher: cipher, limits: limits}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("intake: quarantine: %w", err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), quarantineSuffix) {
			q.items, q.bytes = q.items+1, q.bytes+info.Size()
		}
	}
	return q, nil
}

// Put seals r and returns its id once it is on disk. It fails with ErrQuarantineFull rather
// than to remove what nobody has seen.
func (q *Quarantine) Put(ctx context.Context, r Refused) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if q.cipher == nil {
		return "", errors.New("intake: quarantine is open for listing only")
	}
	now := time.Now().UTC()
	id, err := newQuarantineID(now)
	if err != nil {
		return "", err
	}
	file, err := q.encode(labelOf(r, id, now), r.Raw)
	if err != nil {
		return "", err
	}
	if err := q.reserve(int64(len(file))); err != nil {
		return "", err
	}
	if err := fsatomic.WriteFile(q.path(id), file, 0o600); err != nil {
		q.release(int64(len(file)))
		return "", fmt.Errorf("intake: quarantine: %w", err)
	}
	return id, nil
}

func newQuarantineID(now time.Time) (string, error) {
	var tail [6]byte
	if _, err := rand.Read(tail[:]); err != nil {
		return "", fmt.Errorf("intake: quarantine id: %w", err)
	}
	return fmt.Sprintf("%013x-%s", now.UnixMicro(), hex.EncodeToString(tail[:])), nil
}

func labelOf(r Refused, id string, now time.Time) Label {
	cut := func(s string, n int) string { return s[:min(len(s), n)] }
	l := Label{ID: id, At: now, Code: cut(r.Code, 64), Reason: cut(r.Reason, 512), Stage: cut(r.Stage, 64),
		Sender: cut(r.Sender, 256), ControlID: cut(r.ControlID, 512), Kind: cut(r.Kind, 256), Peer: cut(r.Peer, 256),
		Record: cut(r.Record, 64), ReceivedAt: r.ReceivedAt.UTC(), Kept: len(r.Raw), Truncated: r.Truncated, Size: r.Size}
	l.Size = max(l.Size, int64(len(r.Raw)))
	return l
}

func (q *Quarantine) encode(l Label, raw []byte) ([]byte, error) {
	label, err := json.Marshal(l)
	if err != nil || len(label) > maxLabel {
		return nil, fmt.Errorf("intake: quarantine label of %d bytes: %w", len(label), errors.Join(err, ErrTooLarge))
	}
	head := binary.BigEndian.AppendUint32([]byte(quarantineMagic), uint32(len(label)))
	head = append(head, label...)
	sealed, err := q.cipher.Seal(head, raw)
	if err != nil {
		return nil, fmt.Errorf("intake: quarantine: %w", err)
	}
	return append(head, sealed...), nil
}

func (q *Quarantine) reserve(n int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes+n > q.limits.Bytes || q.items >= q.limits.Items {
		return fmt.Errorf("%w: %d items, %d bytes", ErrQuarantineFull, q.items, q.bytes)
	}
	q.bytes, q.items = q.bytes+n, q.items+1
	return nil
}

func (q *Quarantine) release(n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes, q.items = q.bytes-n, q.items-1
}

// List returns the labels of all items, the oldest first. Damaged files are listed with
// code DAMAGED.
func (q *Quarantine) List(ctx context.Context) ([]Label, error) {
	entries, err := os.ReadDir(q.dir)
	if err != nil {
		return nil, fmt.Errorf("intake: quarantine: %w", err)
	}
	var out []Label
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), quarantineSuffix)
		if !ok || !validQuarantineID(id) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		label, err := readLabel(filepath.Join(q.dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil || label.ID != id {
			label = Label{ID: id, Code: "DAMAGED"}
		}
		out = append(out, label)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out, nil
}

// Show returns an item with its bytes.
func (q *Quarantine) Show(ctx context.Context, id string) (Label, []byte, error) {
	if err := ctx.Err(); err != nil {
		return Label{}, nil, err
	}
	if !validQuarantineID(id) {
		return Label{}, nil, ErrNotQuarantined
	}
	file, err := os.ReadFile(q.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return Label{}, nil, ErrNotQuarantined
	}
	if err != nil {
		return Label{}, nil, fmt.Errorf("intake: quarantine: %w", err)
	}
	label, head, sealed, err := splitItem(file)
	if err != nil || label.ID != id {
		return Label{}, nil, fmt.Errorf("%w: %s", ErrDamaged, id)
	}
	if q.cipher == nil {
		return label, nil, errors.New("intake: quarantine is open for listing only")
	}
	raw, err := q.cipher.Open(head, sealed)
	if err != nil {
		return label, nil, fmt.Errorf("%w: %s: %w", ErrDamaged, id, err)
	}
	return label, raw, nil
}

// Remove deletes an item that was dealt with.
func (q *Quarantine) Remove(_ context.Context, id string) error {
	if !validQuarantineID(id) {
		return ErrNotQuarantined
	}
	info, err := os.Stat(q.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotQuarantined
	}
	if err == nil {
		err = os.Remove(q.path(id))
	}
	if err == nil {
		err = fsatomic.SyncDir(q.dir)
		q.release(info.Size())
	}
	if err != nil {
		return fmt.Errorf("intake: quarantine: %w", err)
	}
	return nil
}

func (q *Quarantine) path(id string) string { return filepath.Join(q.dir, id+quarantineSuffix) }

// validQuarantineID keeps ids from leaving the folder.
func validQuarantineID(id string) bool {
	return len(id) == 26 && strings.Trim(id, "0123456789abcdef-") == ""
}

func readLabel(path string) (Label, error) {
	f, err := os.Open(path)
	if err != nil {
		return Label{}, err
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, len(quarantineMagic)+4+maxLabel)
	n, err := f.ReadAt(buf, 0)
	if n == 0 {
		return Label{}, errors.Join(ErrDamaged, err)
	}
	label, _, _, err := splitItem(buf[:n])
	return label, err
}

// splitItem takes a file apart without opening what is sealed.
func splitItem(file []byte) (label Label, head, sealed []byte, err error) {
	start := len(quarantineMagic) + 4
	if len(file) < start || string(file[:len(quarantineMagic)]) != quarantineMagic {
		return label, nil, nil, ErrDamaged
	}
	n := int64(binary.BigEndian.Uint32(file[len(quarantineMagic):start]))
	if n > maxLabel || int64(len(file)) < int64(start)+n {
		return label, nil, nil, ErrDamaged
	}
	end := start + int(n)
	if json.Unmarshal(file[start:end], &label) != nil {
		return Label{}, nil, nil, ErrDamaged
	}
	return label, file[:end:end], file[end:], nil
}
