package view

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir/index"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/smcrypto"
)

const columns = "r.seq, r.key, r.type, r.version, r.updated, r.deleted, r.record, r.part, r.date_from, r.date_to, r.sealed"

// found is a row as it was read.
type found struct {
	entry index.Entry
	seq   int64
}

func (v *View) scan(rows *sql.Rows) (found, error) {
	var f found
	var key, id, blob []byte
	var updated int64
	var from, to sql.NullInt64
	e := &f.entry
	if err := rows.Scan(&f.seq, &key, &e.Type, &e.Version, &updated, &e.Deleted, &id, &e.Part, &from, &to, &blob); err != nil {
		return f, fmt.Errorf("view: %w", err)
	}
	body, err := smcrypto.OpenBlob(v.cfg.Provider, v.seal, append([]byte("entry/"), key...), blob)
	if err != nil {
		return f, fmt.Errorf("view: an entry of the index does not open: %w", err)
	}
	var s sealed
	if err := json.Unmarshal(body, &s); err != nil {
		return f, fmt.Errorf("view: %w", err)
	}
	e.ID, e.Method, e.Links, e.Updated = s.ID, s.Method, s.Links, time.UnixMilli(updated).UTC()
	if from.Valid {
		e.From = time.UnixMilli(from.Int64).UTC()
	}
	if to.Valid {
		e.To = time.UnixMilli(to.Int64).UTC()
	}
	e.Record, err = record.IDFromBytes(id)
	return f, err
}

func (v *View) list(ctx context.Context, query string, args ...any) ([]found, error) {
	rows, err := v.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	defer rows.Close()
	var out []found
	for rows.Next() {
		f, err := v.scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	return out, nil
}

func (v *View) one(ctx context.Context, query string, args ...any) (index.Entry, error) {
	list, err := v.list(ctx, query, args...)
	if err != nil {
		return index.Entry{}, err
	}
	if len(list) == 0 {
		return index.Entry{}, index.ErrNotFound
	}
	return list[0].entry, nil
}

// Current implements index.Store.
func (v *View) Current(ctx context.Context, kind, id string) (index.Entry, error) {
	return v.one(ctx, "SELECT "+columns+" FROM resource r WHERE r.key = ? AND r.visible = 1 ORDER BY r.version DESC LIMIT 1", v.keyOf(kind, id))
}

// Version implements index.Store.
func (v *View) Version(ctx context.Context, kind, id string, version int) (index.Entry, error) {
	return v.one(ctx, "SELECT "+columns+" FROM resource r WHERE r.key = ? AND r.version = ? AND r.visible = 1", v.keyOf(kind, id), version)
}

// History implements index.Store.
func (v *View) History(ctx context.Context, kind, id string, before, limit int) ([]index.Entry, error) {
	if before <= 0 {
		before = 1 << 31
	}
	list, err := v.list(ctx, "SELECT "+columns+" FROM resource r WHERE r.key = ? AND r.version < ? AND r.visible = 1 ORDER BY r.version DESC LIMIT ?",
		v.keyOf(kind, id), before, limit)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 && before == 1<<31 {
		return nil, index.ErrNotFound
	}
	return entriesOf(list), nil
}

func entriesOf(list []found) []index.Entry {
	out := make([]index.Entry, len(list))
	for i, f := range list {
		out[i] = f.entry
	}
	return out
}

// order is how a page is sorted: a column that is never NULL, and its direction.
type order struct{ column, direction, beyond string }

var orders = map[string]order{
	"":              {"r.updated", "DESC", "<"},
	"-_lastUpdated": {"r.updated", "DESC", "<"},
	"_lastUpdated":  {"r.updated", "ASC", ">"},
	"-date":         {"IFNULL(r.date_from, -9223372036854775807)", "DESC", "<"},
	"date":          {"IFNULL(r.date_from, 9223372036854775807)", "ASC", ">"},
}

// condition is a WHERE clause in the making.
type condition struct {
	text strings.Builder
	args []any
}

func (c *condition) and(text string, args ...any) {
	if c.text.Len() > 0 {
		c.text.WriteString(" AND ")
	}
	c.text.WriteString(text)
	c.args = append(c.args, args...)
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

// Search implements index.Store.
func (v *View) Search(ctx context.Context, q index.Query) (index.Page, error) {
	by, ok := orders[q.Sort]
	if !ok || q.Limit < 0 || q.Limit > 1000 {
		return index.Page{}, index.ErrQuery
	}
	c := v.where(q)
	page := index.Page{Total: -1}
	if q.Count {
		if err := v.db.QueryRowContext(ctx, "SELECT count(*) FROM resource r WHERE "+c.text.String(), c.args...).Scan(&page.Total); err != nil {
			return page, fmt.Errorf("view: %w", err)
		}
	}
	if q.Limit == 0 {
		return page, nil
	}
	if q.After != "" {
		value, seq, err := parseCursor(q.After)
		if err != nil {
			return page, err
		}
		c.and("("+by.column+", r.seq) "+by.beyond+" (?, ?)", value, seq)
	}
	list, err := v.list(ctx, "SELECT "+columns+" FROM resource r WHERE "+c.text.String()+ //nolint:gosec // the parts are constants, values are bound
		" ORDER BY "+by.column+" "+by.direction+", r.seq "+by.direction+" LIMIT ?", append(c.args, q.Limit+1)...)
	if err != nil {
		return page, err
	}
	if len(list) > q.Limit {
		list = list[:q.Limit]
		page.Next = cursorOf(list[len(list)-1], q.Sort)
	}
	page.Entries = entriesOf(list)
	return page, nil
}

func (v *View) where(q index.Query) *condition {
	c := &condition{}
	c.and("r.type = ? AND r.current = 1 AND r.deleted = 0", q.Type)
	if len(q.IDs) > 0 {
		var keys []any
		for _, id := range q.IDs {
			keys = append(keys, v.keyOf(q.Type, id))
		}
		c.and("r.key IN ("+marks(len(keys))+")", keys...)
	}
	for _, alternatives := range q.Tokens {
		var hashes []any
		for _, t := range alternatives {
			hashes = append(hashes, v.hashOf(q.Type, t, t.System == ""))
		}
		c.and("r.seq IN (SELECT t.seq FROM token t WHERE t.hash IN ("+marks(len(hashes))+"))", hashes...)
	}
	for _, d := range q.Dates {
		// An open end of the event reaches as far as it may.
		c.and("r.date_from IS NOT NULL")
		if !d.To.IsZero() {
			c.and("r.date_from < ?", d.To.UnixMilli())
		}
		if !d.From.IsZero() {
			c.and("(r.date_to IS NULL OR r.date_to > ?)", d.From.UnixMilli())
		}
	}
	for _, u := range q.Updated {
		if !u.From.IsZero() {
			c.and("r.updated >= ?", u.From.UnixMilli())
		}
		if !u.To.IsZero() {
			c.and("r.updated < ?", u.To.UnixMilli())
		}
	}
	return c
}

// cursorOf names the place behind a match: the value that it is sorted by, and its number.
func cursorOf(f found, sort string) string {
	value := f.entry.Updated.UnixMilli()
	switch {
	case strings.HasSuffix(sort, "date") && !f.entry.From.IsZero():
		value = f.entry.From.UnixMilli()
	case sort == "date":
		value = 9223372036854775807
	case sort == "-date":
		value = -9223372036854775807
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(value))
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(b, uint64(f.seq)))
}

func parseCursor(s string) (value, seq int64, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != 16 {
		return 0, 0, fmt.Errorf("%w: the cursor is not one of this server", index.ErrQuery)
	}
	return int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:])), nil
}

// Payload implements index.Store.
func (v *View) Payload(ctx context.Context, id record.ID) ([]byte, error) {
	r, err := v.open(ctx, id)
	if errors.Is(err, index.ErrNotFound) {
		return v.pendingPayload(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	return r.Payload, nil
}

// pendingPayload is content that the store has not got yet.
func (v *View) pendingPayload(ctx context.Context, id record.ID) ([]byte, error) {
	s, err := v.pending(ctx, id)
	if err != nil || s.Claim == "" {
		return s.Raw, err
	}
	if v.cfg.Bodies == nil {
		return nil, index.ErrNotFound
	}
	raw, err := v.body(s.Claim)
	if errors.Is(err, index.ErrNotFound) { // it may have just been sealed
		r, err := v.open(ctx, id)
		if err != nil {
			return nil, err
		}
		return r.Payload, nil
	}
	return raw, err
}

// body reads the body of a claim.
func (v *View) body(claim string) ([]byte, error) {
	in, err := v.cfg.Bodies(claim)
	if err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	var out bytes.Buffer
	if sized, ok := in.(interface{ Size() int64 }); ok && sized.Size() <= v.cfg.MaxPayload {
		out.Grow(int(sized.Size()) + bytes.MinRead)
	}
	_, err = out.ReadFrom(io.LimitReader(in, v.cfg.MaxPayload+1))
	if err := errors.Join(err, in.Close()); err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	if int64(out.Len()) > v.cfg.MaxPayload {
		return nil, fmt.Errorf("view: content in a claim is longer than %d bytes", v.cfg.MaxPayload)
	}
	return out.Bytes(), nil
}

func (v *View) pending(ctx context.Context, id record.ID) (index.Submission, error) {
	var blob []byte
	err := v.db.QueryRowContext(ctx, "SELECT sealed FROM pending WHERE record = ?", id[:]).Scan(&blob)
	if errors.Is(err, sql.ErrNoRows) {
		return index.Submission{}, index.ErrNotFound
	}
	if err != nil {
		return index.Submission{}, fmt.Errorf("view: %w", err)
	}
	return v.openPending(id, blob)
}

func (v *View) openPending(id record.ID, blob []byte) (index.Submission, error) {
	body, err := smcrypto.OpenBlob(v.cfg.Provider, v.seal, append([]byte("pending/"), id[:]...), blob)
	if err != nil {
		return index.Submission{}, fmt.Errorf("view: a copy of content does not open: %w", err)
	}
	var s index.Submission
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("view: %w", err)
	}
	return s, nil
}
