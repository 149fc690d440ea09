package ferry

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/emmansun/gmsm/sm3"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// ErrFull reports a spool that holds as much as it may: the other side has not confirmed
// for long. The caller keeps its messages and tries again.
var ErrFull = errors.New("ferry: the spool is full")

// Item is a message with its place in the source it was read from, so that a reader can go
// on from Source after a crash.
type Item struct {
	Message
	Source uint64
}

// Send makes messages durable in the spool, in their order, as one bundle or several. When
// it returns an error, those of the bundles before are sent all the same: ask Source.
// It is safe for concurrent use.
func (p *Port) Send(ctx context.Context, lane Lane, items []Item) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spool == nil {
		return errors.New("ferry: this port has no outbox")
	}
	if !lane.known() {
		return fmt.Errorf("ferry: lane %q", lane)
	}
	for _, it := range items {
		if err := it.check(p.limits.BundleBytes); err != nil {
			return err
		}
	}
	for len(items) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := p.fits(items)
		if err := p.bundle(lane, items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

// fits is how many of the items go into one bundle.
func (p *Port) fits(items []Item) int {
	size := int64(0)
	for n, it := range items {
		size += int64(len(it.Data))
		if n == p.limits.BundleCount || n > 0 && size > p.limits.BundleBytes {
			return n
		}
	}
	return len(items)
}

func (p *Port) bundle(l Lane, items []Item) error {
	if p.spool.bytes >= p.limits.SpoolBytes {
		return fmt.Errorf("%w: %d bytes are not confirmed", ErrFull, p.spool.bytes)
	}
	lane := p.spool.lanes[l]
	messages := make([]Message, len(items))
	for i, it := range items {
		messages[i] = it.Message
	}
	body, err := pack(p.cfg.Content, messages)
	if err != nil {
		return err
	}
	m := Manifest{Ferry: Version, Channel: p.cfg.Out, Lane: l, Seq: lane.last.Seq + 1, Prev: lane.last.Digest, Content: p.cfg.Content,
		Count: len(items), Made: p.now().UTC().Truncate(time.Millisecond), Source: items[len(items)-1].Source, Signer: p.signer.fingerprint()}
	data, err := p.seal(&m, body)
	if err != nil {
		return err
	}
	m.Size, m.SM3 = int64(len(data)), sm3.Sum(data)
	file, digest, err := p.signer.sign(m)
	if err != nil {
		return err
	}
	return p.spool.store(m, digest, file, data)
}

// seal encrypts the body of a bundle for the other side, where the channel is sealed.
func (p *Port) seal(m *Manifest, body []byte) ([]byte, error) {
	if m.Content != Sealed {
		return body, nil
	}
	var raw [smcrypto.KeySize]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return nil, err
	}
	key, err := smcrypto.ParseKey(raw[:])
	if err != nil {
		return nil, err
	}
	to := Digest(p.cfg.Recipient.Fingerprint())
	m.Recipient = &to
	if m.Wrapped, err = p.cfg.Provider.Encrypt(p.cfg.Recipient, raw[:]); err != nil {
		return nil, fmt.Errorf("ferry: wrap the key of a bundle: %w", err)
	}
	smcrypto.Zero(raw[:])
	return smcrypto.SealBlob(p.cfg.Provider, key, sealingContext(*m), body)
}

// sealingContext binds a ciphertext to its place, so that it opens nowhere else.
func sealingContext(m Manifest) []byte {
	out := fmt.Appendf(nil, "emrbridge/ferry/v1 %s %s ", m.Channel, m.Lane)
	out = binary.BigEndian.AppendUint64(out, m.Seq)
	return append(out, m.Prev[:]...)
}

// Source is how far the items of a lane reached that are in the spool or beyond.
func (p *Port) Source(lane Lane) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spool == nil || p.spool.lanes[lane] == nil {
		return 0
	}
	return p.spool.lanes[lane].source
}

// Resend has bundles written to the outbox again, as far as the spool still has them, and
// returns how many.
func (p *Port) Resend(lane Lane, ranges []Range) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ask(lane, ranges)
}

func (p *Port) ask(l Lane, ranges []Range) int {
	if p.spool == nil || p.spool.lanes[l] == nil {
		return 0
	}
	lane, n := p.spool.lanes[l], 0
	for _, r := range ranges {
		for seq := max(r.From, lane.confirmed.Seq+1); seq <= min(r.To, lane.last.Seq); seq++ {
			if b := lane.bundles[seq]; b != nil {
				b.asked, n = true, n+1
			}
		}
	}
	return n
}

// export writes to the outbox what is due, the urgent first.
func (p *Port) export(now time.Time) error {
	there, waiting, err := p.outbox()
	if err != nil {
		return err
	}
	if err := p.say(now, there); err != nil {
		return err
	}
	for _, l := range Lanes {
		lane := p.spool.lanes[l]
		for seq := lane.confirmed.Seq + 1; seq <= lane.last.Seq; seq++ {
			b := lane.bundles[seq]
			if !p.due(l, seq, b, now, there) {
				continue
			}
			if l != Urgent && (waiting > 0 && waiting+b.bytes > p.limits.OutboxBytes || !p.allowance(now, b.bytes)) {
				break
			}
			if err := p.place(l, seq, b, now); err != nil {
				return err
			}
			waiting += b.bytes
		}
	}
	return nil
}

// outbox lists the manifests that wait for the gatekeeper, and the bytes of all files.
func (p *Port) outbox() (there map[fileName]bool, waiting int64, err error) {
	files, err := p.disk.List(p.cfg.Outbox)
	if err != nil {
		return nil, 0, err
	}
	there = map[fileName]bool{}
	for _, f := range files {
		if n, ok := parseName(f.Name, p.cfg.Extension); ok && n.channel == p.cfg.Out {
			there[n] = true
			waiting += f.Size
		}
	}
	return there, waiting, nil
}

// due says whether a bundle is to be written now. What still lies in the outbox whole is not.
func (p *Port) due(l Lane, seq uint64, b *bundle, now time.Time, there map[fileName]bool) bool {
	n := fileName{channel: p.cfg.Out, lane: l, number: seq, kind: kindManifest}
	if there[n] {
		if b.placed == 0 { // by an earlier process
			b.placed, b.at = 1, now
		}
		return false
	}
	switch {
	case b.placed == 0 || b.asked:
		return true
	case p.cfg.OneWay:
		return b.placed < p.limits.Repeat && now.Sub(b.at) >= p.limits.RepeatEvery
	default:
		return now.Sub(b.at) >= p.limits.ResendAfter<<min(b.placed-1, 6)
	}
}

func (p *Port) place(l Lane, seq uint64, b *bundle, now time.Time) error {
	manifest, data, err := p.spool.read(l, seq, p.limits.fileBytes())
	if err != nil {
		return err
	}
	n := fileName{channel: p.cfg.Out, lane: l, number: seq, kind: kindData}
	if err := put(p.disk, p.cfg.Outbox, n.text(p.cfg.Extension), data); err != nil {
		return err
	}
	n.kind = kindManifest
	if err := put(p.disk, p.cfg.Outbox, n.text(p.cfg.Extension), manifest); err != nil {
		return err
	}
	kind := Placed
	if b.placed > 0 {
		kind = Resent
	}
	b.placed, b.at, b.asked = b.placed+1, now, false
	p.tell(Event{Kind: kind, Lane: l, Seq: seq, Bytes: b.bytes})
	return nil
}

// allowance takes n bytes from what may be written now, and says whether they were there.
func (p *Port) allowance(now time.Time, n int64) bool {
	rate := p.limits.BytesInSecond
	if rate <= 0 {
		return true
	}
	most := float64(max(rate, n))
	p.tokens = min(most, p.tokens+now.Sub(p.filled).Seconds()*float64(rate))
	p.filled = now
	if p.tokens < float64(n) {
		return false
	}
	p.tokens -= float64(n)
	return true
}

// forget gives up what was repeated often enough and is older than can be asked for. Only on
// a one-way channel is anything forgotten that nobody confirmed.
func (p *Port) forget(now time.Time) error {
	if !p.cfg.OneWay {
		return nil
	}
	for l, lane := range p.spool.lanes {
		last := lane.confirmed.Seq
		for seq := last + 1; seq <= lane.last.Seq; seq++ {
			b := lane.bundles[seq]
			if b.asked || b.placed < p.limits.Repeat || now.Sub(b.made) < p.limits.Keep {
				break
			}
			last = seq
		}
		if err := p.spool.confirm(l, last); err != nil {
			return err
		}
	}
	return nil
}

// ownManifest reads a manifest that this side wrote.
func ownManifest(file []byte) (Manifest, Digest, error) {
	var m Manifest
	body, _, ok := bytes.Cut(file, []byte{'\n'})
	if !ok {
		return m, Digest{}, ErrMalformed
	}
	err := json.Unmarshal(body, &m)
	return m, sm3.Sum(body), err
}

func join(dir, name string) string { return filepath.Join(dir, name) }
