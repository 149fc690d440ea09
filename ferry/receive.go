package ferry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/emmansun/gmsm/sm3"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// arrived is what lies in the inbox of one bundle.
type arrived struct {
	manifest, data *Entry
}

// receive takes what the gatekeeper brought.
func (p *Port) receive(ctx context.Context, now time.Time) error {
	files, err := p.disk.List(p.cfg.Inbox)
	if err != nil {
		return err
	}
	p.unsettle(files)
	lanes := map[Lane]map[uint64]*arrived{Urgent: {}, Bulk: {}}
	var controls []Entry
	var errs []error
	for _, f := range files {
		n, ok := parseName(f.Name, p.cfg.Extension)
		switch {
		case !ok || n.channel != p.cfg.In:
			_, err := p.suspect(now, f, Foreign, Event{})
			errs = append(errs, err)
		case n.control:
			controls = append(controls, f)
		default:
			a := lanes[n.lane][n.number]
			if a == nil {
				a = &arrived{}
				lanes[n.lane][n.number] = a
			}
			if n.kind == kindManifest {
				a.manifest = &f
			} else {
				a.data = &f
			}
		}
	}
	errs = append(errs, p.listen(now, controls))
	for _, l := range Lanes {
		errs = append(errs, p.advance(ctx, now, l, lanes[l]))
	}
	return errors.Join(errs...)
}

// unsettle forgets files that are gone.
func (p *Port) unsettle(files []Entry) {
	there := map[string]bool{}
	for _, f := range files {
		there[f.Name] = true
	}
	for name := range p.strange {
		if !there[name] {
			delete(p.strange, name)
		}
	}
}

// advance delivers the bundles of a lane that follow each other, and looks for what is
// missing before those that do not.
func (p *Port) advance(ctx context.Context, now time.Time, l Lane, there map[uint64]*arrived) error {
	lane := p.lanes[l]
	if !lane.known {
		if err := p.learn(ctx, l); err != nil {
			return err
		}
	}
	for seq, a := range there {
		if seq <= lane.mark.Seq {
			if err := p.drop(a); err != nil {
				return err
			}
			p.tell(Event{Kind: Duplicate, Lane: l, Seq: seq})
			delete(there, seq)
		}
	}
	for taken := int64(0); !lane.forked && ctx.Err() == nil && taken < mostAtOnce; {
		seq := lane.mark.Seq + 1
		a := there[seq]
		if a == nil || a.manifest == nil || a.data == nil {
			break
		}
		done, err := p.take(ctx, now, l, seq, a)
		if err != nil || !done {
			if err != nil {
				return err
			}
			break
		}
		taken += a.data.Size
		delete(there, seq)
	}
	p.gaps(now, l, there)
	return ctx.Err()
}

// mostAtOnce bounds what one Step takes of a lane, in bytes, so that what is urgent waits
// for no more than that.
const mostAtOnce = 16 << 20

func (p *Port) drop(a *arrived) error {
	// The manifest goes first: without it nobody looks at the data.
	for _, f := range []*Entry{a.manifest, a.data} {
		if f == nil {
			continue
		}
		if err := ignoreMissing(p.disk.Remove(join(p.cfg.Inbox, f.Name))); err != nil {
			return err
		}
	}
	return nil
}

// take checks and delivers the next bundle. Not done and no error means that it is not whole
// yet, or was put aside.
func (p *Port) take(ctx context.Context, now time.Time, l Lane, seq uint64, a *arrived) (done bool, err error) {
	file, err := p.disk.Read(join(p.cfg.Inbox, a.manifest.Name), maxManifest)
	if err != nil {
		return false, vanished(err)
	}
	where := Event{Lane: l, Seq: seq}
	m, digest, err := p.trust.manifest(file, p.cfg.In, p.limits)
	if err != nil || m.Seq != seq || m.Lane != l {
		if err == nil {
			err = fmt.Errorf("%w: the name says another number", ErrMalformed)
		}
		where.Err = err
		return false, p.aside(now, &a.manifest, Unsigned, where)
	}
	p.sign(now, m.Made)
	lane := p.lanes[l]
	if m.Prev != lane.mark.Digest {
		lane.forked = true
		p.tell(Event{Kind: Fork, Lane: l, Seq: seq, Err: errors.New("the bundle does not follow the one that was delivered before it")})
		return false, nil
	}
	if a.data.Size != m.Size {
		where.Err = fmt.Errorf("%d bytes, the manifest says %d", a.data.Size, m.Size)
		return false, p.aside(now, &a.data, Altered, where)
	}
	data, err := p.disk.Read(join(p.cfg.Inbox, a.data.Name), m.Size)
	if err != nil {
		return false, vanished(err)
	}
	if int64(len(data)) != m.Size || sm3.Sum(data) != m.SM3 {
		where.Err = errors.New("the digest differs from the manifest")
		return false, p.aside(now, &a.data, Altered, where)
	}
	messages, err := p.unseal(m, data)
	if err != nil {
		where.Err = err
		return false, p.aside(now, &a.data, Unopened, where)
	}
	if messages, err = p.scan(ctx, messages, where); err != nil {
		return false, err
	}
	lane.known = false // until the inlet has said that it has it
	mark := Mark{Seq: seq, Digest: digest}
	if err := p.cfg.Inlet.Deliver(ctx, l, mark, messages); err != nil {
		return false, fmt.Errorf("ferry: deliver bundle %d of lane %s: %w", seq, l, err)
	}
	lane.mark, lane.known = mark, true
	delete(lane.missing, seq)
	p.tell(Event{Kind: Delivered, Lane: l, Seq: seq, Bytes: m.Size})
	return true, p.drop(a)
}

// aside is suspect for a file of a bundle, which then lacks it.
func (p *Port) aside(now time.Time, f **Entry, kind EventKind, where Event) error {
	gone, err := p.suspect(now, **f, kind, where)
	if gone {
		*f = nil
	}
	return err
}

// vanished is no error where a file went away between two looks.
func vanished(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// unseal returns the messages of a bundle whose digest was checked.
func (p *Port) unseal(m Manifest, data []byte) ([]Message, error) {
	if m.Content != p.cfg.Content {
		return nil, fmt.Errorf("content is %s, this channel carries %s", m.Content, p.cfg.Content)
	}
	body := data
	if m.Content == Sealed {
		i := slices.IndexFunc(p.cfg.Opening, func(k *smcrypto.PrivateKey) bool { return Digest(k.Public().Fingerprint()) == *m.Recipient })
		if i < 0 {
			return nil, errors.New("sealed to a key that is not here")
		}
		raw, err := p.cfg.Provider.Decrypt(p.cfg.Opening[i], m.Wrapped)
		if err != nil {
			return nil, err
		}
		key, err := smcrypto.ParseKey(raw)
		smcrypto.Zero(raw)
		if err != nil {
			return nil, err
		}
		if body, err = smcrypto.OpenBlob(p.cfg.Provider, key, sealingContext(m), data); err != nil {
			return nil, err
		}
	}
	messages, err := unpack(m.Content, body)
	if err != nil {
		return nil, err
	}
	if len(messages) != m.Count {
		return nil, fmt.Errorf("%d messages, the manifest says %d", len(messages), m.Count)
	}
	for _, msg := range messages {
		if err := msg.check(mostBundleBytes); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

// scan puts aside the messages in which the scanner finds something.
func (p *Port) scan(ctx context.Context, messages []Message, where Event) ([]Message, error) {
	if p.cfg.Scanner == nil {
		return messages, nil
	}
	clean := make([]Message, 0, len(messages))
	for i, m := range messages {
		err := p.cfg.Scanner.Scan(ctx, m.Data)
		var found *Infected
		if errors.As(err, &found) {
			where.Kind, where.Err, where.Bytes = Malware, found, int64(len(m.Data))
			if err := p.keep(fmt.Sprintf("%s-%d-%d", where.Lane, where.Seq, i+1), m.Data, where); err != nil {
				return nil, err
			}
			p.tell(where)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("ferry: bundle %d of lane %s could not be scanned: %w", where.Seq, where.Lane, err)
		}
		clean = append(clean, m)
	}
	return clean, nil
}

// gaps notes what is missing before the last bundle that is known of, and since when.
func (p *Port) gaps(now time.Time, l Lane, there map[uint64]*arrived) {
	lane := p.lanes[l]
	last := lane.sent
	for seq := range there {
		last = max(last, min(seq, lane.mark.Seq+mostAhead))
	}
	for seq := range lane.missing {
		if a := there[seq]; seq <= lane.mark.Seq || a != nil && a.manifest != nil && a.data != nil {
			delete(lane.missing, seq)
		}
	}
	for seq := lane.mark.Seq + 1; seq <= min(last, lane.mark.Seq+mostAhead); seq++ {
		if a := there[seq]; a != nil && a.manifest != nil && a.data != nil {
			continue
		}
		if _, ok := lane.missing[seq]; !ok {
			lane.missing[seq] = now
			p.tell(Event{Kind: Gap, Lane: l, Seq: seq})
		}
	}
}

// mostAhead bounds how far beyond the last bundle in order gaps are looked for at a time: a
// stray number must not make the list long.
const mostAhead = 10_000

// wanted are the bundles that have been missing for long enough to be asked for.
func (p *Port) wanted(now time.Time) map[Lane][]Range {
	out := map[Lane][]Range{}
	for l, lane := range p.lanes {
		long := map[uint64]time.Time{}
		for seq, since := range lane.missing {
			if now.Sub(since) >= p.limits.GapAfter {
				long[seq] = since
			}
		}
		if r := ranges(long); len(r) > 0 {
			out[l] = r
		}
	}
	return out
}

// mostRanges bounds the runs in one control file; the rest is asked for later.
const mostRanges = 500

func ranges(set map[uint64]time.Time) []Range {
	all := make([]uint64, 0, len(set))
	for n := range set {
		all = append(all, n)
	}
	slices.Sort(all)
	var out []Range
	for _, n := range all {
		if k := len(out); k > 0 && out[k-1].To+1 == n {
			out[k-1].To = n
		} else if k == mostRanges {
			break
		} else {
			out = append(out, Range{From: n, To: n})
		}
	}
	return out
}
