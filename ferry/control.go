package ferry

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// say writes a control file when something changed that the other side should know, and now
// and then when nothing did. Earlier ones that still wait for the gatekeeper are removed.
func (p *Port) say(now time.Time, there map[fileName]bool) error {
	c := Control{Ferry: Version, Channel: p.cfg.Out, Made: now.UTC().Truncate(time.Millisecond), Sent: map[Lane]uint64{}, Delivered: map[Lane]Mark{},
		Missing: p.wanted(now), Signer: p.signer.fingerprint()}
	for _, l := range Lanes {
		c.Sent[l] = p.spool.lanes[l].last.Seq
		c.Delivered[l] = p.lanes[l].mark
	}
	if len(c.Missing) == 0 {
		c.Missing = nil
	}
	same := reflect.DeepEqual([]any{c.Sent, c.Delivered, c.Missing}, []any{p.said.Sent, p.said.Delivered, p.said.Missing})
	pause := p.limits.Heartbeat
	switch {
	case !same && (!reflect.DeepEqual(c.Delivered, p.said.Delivered) || p.said.Number == 0):
		pause = 0
	case !same:
		pause = p.limits.GapAfter / 2 // announcements of what is sent need no haste: the bundles say it themselves
	case c.Missing != nil:
		pause = p.limits.GapAfter
	}
	if now.Sub(p.saidAt) < pause {
		return nil
	}
	c.Number = max(p.said.Number+1, uint64(now.UnixMilli())) //nolint:gosec // after 1970; grows over restarts
	file, _, err := p.signer.sign(c)
	if err != nil {
		return err
	}
	n := fileName{channel: p.cfg.Out, control: true, number: c.Number, kind: kindManifest}
	if err := put(p.disk, p.cfg.Outbox, n.text(p.cfg.Extension), file); err != nil {
		return err
	}
	p.said, p.saidAt = c, now
	for old := range there {
		if old.control {
			if err := ignoreMissing(p.disk.Remove(join(p.cfg.Outbox, old.text(p.cfg.Extension)))); err != nil {
				return err
			}
		}
	}
	return nil
}

// listen reads the control files, of which the one with the highest number counts.
func (p *Port) listen(now time.Time, files []Entry) error {
	slices.SortFunc(files, func(a, b Entry) int { return strings.Compare(b.Name, a.Name) })
	for _, f := range files {
		n, _ := parseName(f.Name, p.cfg.Extension)
		if n.number > p.number {
			text, err := p.disk.Read(join(p.cfg.Inbox, f.Name), maxManifest)
			if err != nil {
				if vanished(err) == nil {
					continue
				}
				return err
			}
			c, err := p.trust.control(text, p.cfg.In)
			if err == nil && c.Number != n.number {
				err = fmt.Errorf("%w: the name says another number", ErrMalformed)
			}
			if err != nil {
				if _, err := p.suspect(now, f, Unsigned, Event{Err: err}); err != nil {
					return err
				}
				continue
			}
			if err := p.obey(now, c); err != nil {
				return err
			}
		}
		if err := ignoreMissing(p.disk.Remove(join(p.cfg.Inbox, f.Name))); err != nil {
			return err
		}
	}
	return nil
}

// obey takes over what the other side says.
func (p *Port) obey(now time.Time, c Control) error {
	p.number = c.Number
	p.sign(now, c.Made)
	for _, l := range Lanes {
		p.lanes[l].sent = max(p.lanes[l].sent, c.Sent[l])
		if p.spool == nil {
			continue
		}
		if err := p.confirmed(l, c.Delivered[l]); err != nil {
			return err
		}
		p.ask(l, c.Missing[l])
	}
	return nil
}

// confirmed forgets what the other side says it delivered, if it is what was sent.
func (p *Port) confirmed(l Lane, mark Mark) error {
	lane := p.spool.lanes[l]
	if mark.Seq <= lane.confirmed.Seq {
		return nil // an older word, or nothing new
	}
	b := lane.bundles[mark.Seq]
	if b == nil || b.digest != mark.Digest {
		p.tell(Event{Kind: Fork, Lane: l, Seq: mark.Seq, Err: errors.New("the other side delivered a bundle that this side did not send: was its spool restored from an old copy?")})
		return nil
	}
	if err := p.spool.confirm(l, mark.Seq); err != nil {
		return err
	}
	p.tell(Event{Kind: Confirmed, Lane: l, Seq: mark.Seq})
	return nil
}

// sign notes a sign of life, with the time by the other side's clock.
func (p *Port) sign(now, made time.Time) {
	if !made.After(p.lastMade) {
		return // old news, brought late
	}
	p.heard, p.lastMade = now, made
	if skewed := made.Sub(now) > mostSkew; skewed != p.skewed {
		p.skewed = skewed
		if skewed {
			p.tell(Event{Kind: ClockSkewed, Err: fmt.Errorf("the other side's clock is %v ahead", made.Sub(now).Round(time.Second))})
		}
	}
}

// mostSkew is by how much the other side's clock may be ahead before it is told. One that is
// behind looks like a slow gatekeeper.
const mostSkew = 2 * time.Minute
