package bench

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

// largeSize is the length of a large message, in bytes: a document of 50 MB.
const largeSize = 50 << 20

// Large measures what large documents cost: messages of 50 MB (ORU^R01 with a document in
// base64) go through a whole hospital, one alone and four at a time, and one is retrieved
// by another hospital. Memory is that of the processes, at its peak, above what they use
// when idle.
func Large(ctx context.Context, r *Results, o Options) (err error) {
	p := &pair{}
	defer func() { err = errors.Join(err, p.stop(ctx)) }()
	o.Dir = filepath.Join(o.Dir, "large")
	p.change = takeFHIR
	if err := p.start(ctx, o); err != nil {
		return err
	}
	const group = "documents of 50 MB"
	for _, at := range []int{1, 4} {
		fmt.Fprintf(o.Progress, "large documents: %d at a time\n", at)
		m, err := p.large(ctx, at)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%d at a time", at)
		r.add(group, name+", peak memory above idle", m.peak, "MiB", "target: under 64")
		r.add(group, name+", idle memory", m.idle, "MiB", "")
		r.add(group, name+", acknowledged", float64(at*largeSize>>20)/m.acked.Seconds(), "MiB/s", "after fsync")
		fmt.Fprintf(o.Progress, "  %.0f MiB idle, %.1f MiB above at most; acknowledged in %.1f s, on the ledger in %.1f s\n", m.idle, m.peak, m.acked.Seconds(), m.anchored.Seconds())
		r.add(group, name+", on the ledger", float64(at*largeSize>>20)/m.anchored.Seconds(), "MiB/s", "sealed, stored, anchored")
	}
	if err := p.retrieveLarge(ctx, r, group); err != nil {
		return err
	}
	return p.largeFHIR(ctx, r, o)
}

// largeRun is the outcome of one load.
type largeRun struct {
	idle, peak      float64 // MiB
	acked, anchored time.Duration
}

// large sends n large messages at a time.
func (p *pair) large(ctx context.Context, n int) (largeRun, error) {
	messages := make([][]byte, n)
	for i := range messages {
		messages[i] = p.document(fmt.Sprintf("L%d-%d", n, i))
	}
	return p.watched(ctx, messages, p.sendLarge)
}

// watched sends documents to the first hospital, all at a time, and waits until they are on
// the ledger.
func (p *pair) watched(ctx context.Context, documents [][]byte, send func(context.Context, []byte) error) (largeRun, error) {
	var m largeRun
	before, err := p.sites[0].Stats(ctx)
	if err != nil {
		return m, err
	}
	watch, err := watchMemory(p.sites[0].PID())
	if err != nil {
		return m, err
	}
	start := time.Now()
	group, sending := errgroup.WithContext(ctx)
	for _, raw := range documents {
		group.Go(func() error { return send(sending, raw) })
	}
	if err := group.Wait(); err != nil {
		return m, err
	}
	m.acked = time.Since(start)
	if err := p.anchored(ctx, before.Items+int64(len(documents))); err != nil {
		return m, err
	}
	m.anchored = time.Since(start)
	m.idle, m.peak, err = watch()
	return m, err
}

func (p *pair) sendLarge(ctx context.Context, raw []byte) error {
	client, err := mllp.Dial(ctx, p.sites[0].Config.HL7.Listeners[0].Addr,
		mllp.ClientConfig{AnswerTimeout: 2 * time.Minute, Charset: hl7.CharsetPolicy{Default: hl7.UTF8}})
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { _ = client.Close() }()
	reply, err := client.Send(ctx, raw)
	if err == nil && !reply.Code.Accepted() {
		err = fmt.Errorf("answer %s %s", reply.Code, reply.Text)
	}
	if err != nil {
		return fmt.Errorf("bench: send a large message: %w", err)
	}
	return nil
}

// document makes an ORU^R01 about the patient, of largeSize bytes.
func (p *pair) document(id string) []byte {
	head := fmt.Sprintf("MSH|^~\\&|RIS|H1|EMR|H1|20260302080000||ORU^R01^ORU_R01|%s|P|2.5.1||||||UNICODE UTF-8\r"+
		"PID|1||%s^^^H1^NI\rOBR|1|A1|B1|CT^胸部CT^L|||20260302075500\rOBX|1|ED|CT^胸部CT^L||^application^dicom^Base64^", id, p.patient.ResidentID)
	const tail = "||||||F\r"
	chunk := make([]byte, 48<<10)
	random := rand.New(rand.NewPCG(1, uint64(len(id)))) //nolint:gosec // the content does not matter
	for i := range chunk {
		chunk[i] = byte(random.Uint32())
	}
	text := []byte(base64.StdEncoding.EncodeToString(chunk))
	out := make([]byte, 0, largeSize)
	out = append(out, head...)
	for len(out) < largeSize-len(tail) {
		out = append(out, text[:min(len(text), largeSize-len(tail)-len(out))]...)
	}
	return append(out, tail...)
}

// retrieveLarge has the second hospital retrieve one large record of the first.
func (p *pair) retrieveLarge(ctx context.Context, r *Results, group string) error {
	store, err := p.sites[0].OpenStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	items, err := store.List(ctx, 0, 1000)
	if err != nil {
		return err
	}
	id := ""
	for _, it := range items {
		if it.Size > largeSize {
			id = it.ID.String()
		}
	}
	if id == "" {
		return errors.New("bench: no large record in the store")
	}
	names := []string{"owner", "requester"}
	var watches []func() (float64, float64, error)
	for _, s := range p.sites {
		w, err := watchMemory(s.PID())
		if err != nil {
			return err
		}
		watches = append(watches, w)
	}
	out := filepath.Join(p.sites[1].Dir(), "retrieved")
	start := time.Now()
	if _, err := p.retrieve(ctx, "--record", id, "--out", out); err != nil {
		return err
	}
	took := time.Since(start)
	files, err := filepath.Glob(filepath.Join(out, id+"*"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("bench: the retrieved document is not in %s: %w", out, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Size() != largeSize {
		return fmt.Errorf("bench: the retrieved document has not the length sent: %w", err)
	}
	r.add(group, "retrieved by another hospital and proved", took.Seconds(), "s", "one record, its content written to a file")
	for i, w := range watches {
		_, peak, err := w()
		if err != nil {
			return err
		}
		r.add(group, "retrieval, peak memory above idle, "+names[i], peak, "MiB", "")
	}
	return nil
}

// watchMemory notes how much memory a process uses now. The function that it returns tells
// that and how much more it has used at most since, in MiB.
func watchMemory(pid int) (func() (idle, peak float64, err error), error) {
	time.Sleep(2 * time.Second) // what was just used is still counted otherwise
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return nil, fmt.Errorf("bench: reset the peak of memory: %w", err)
	}
	idle, err := memoryOf(pid, "VmRSS")
	if err != nil {
		return nil, err
	}
	return func() (float64, float64, error) {
		peak, err := memoryOf(pid, "VmHWM")
		return idle, peak - idle, err
	}, nil
}

// memoryOf reads a line of /proc/PID/status, in MiB.
func memoryOf(pid int, name string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("bench: memory: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("bench: the system does not tell %s", name)
}
