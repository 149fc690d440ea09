package anchor

import (
	"context"
	"sync"

	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/evidence"
)

// maxKnown bounds the memory of registered patients; beyond it the ledger is asked again,
// which is harmless.
const maxKnown = 1 << 20

// patients sees to it that T_R is on the ledger before a record of the patient is. One
// registration of a patient is on its way at a time; the others of that patient wait for it.
type patients struct {
	registrar registrar
	mu        sync.Mutex
	known     map[evidence.Tag]bool // value: the ledger holds another digest
	pending   map[evidence.Tag]*registration
}

type registration struct {
	done    chan struct{}
	differs bool
	err     error
}

func newPatients(r registrar) *patients {
	return &patients{registrar: r, known: map[evidence.Tag]bool{}, pending: map[evidence.Tag]*registration{}}
}

// ensure returns when the patient is registered. differs reports, to the one call that
// learned it, that the ledger holds another digest for the patient: the hospital knows the
// patient by two sets of numbers. The record is anchored all the same.
func (p *patients) ensure(ctx context.Context, tag evidence.Tag, digest evidence.Digest) (differs bool, err error) {
	for {
		p.mu.Lock()
		if _, ok := p.known[tag]; ok || p.registrar == nil || digest.IsZero() {
			p.mu.Unlock()
			return false, nil
		}
		other, busy := p.pending[tag]
		if !busy {
			mine := &registration{done: make(chan struct{})}
			p.pending[tag] = mine
			p.mu.Unlock()
			p.register(ctx, tag, digest, mine)
			return mine.differs, mine.err
		}
		p.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if other.err != nil && ctx.Err() == nil {
			return false, other.err
		}
	}
}

func (p *patients) register(ctx context.Context, tag evidence.Tag, digest evidence.Digest, mine *registration) {
	_, err := p.registrar.Submit(ctx, evidence.RegisterPatient{Tag: tag, Digest: digest})
	if r, ok := chainclient.RefusalOf(err); ok && r.Code == evidence.CodeConflict {
		mine.differs, err = true, nil
	}
	mine.err = err
	p.mu.Lock()
	if err == nil {
		if len(p.known) >= maxKnown {
			clear(p.known)
		}
		p.known[tag] = mine.differs
	}
	delete(p.pending, tag)
	p.mu.Unlock()
	close(mine.done)
}
