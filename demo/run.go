package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/devnet"
	"github.com/emrbridge/emrbridge/internal/devsite"
	"github.com/emrbridge/emrbridge/internal/table"
)

// Options of a run.
type Options struct {
	Self     string // path of the emrbridge binary
	Out      string // folder for everything that the run leaves
	Input    string // HL7 files of the user's own; empty for the invented day
	Patients int    // of the invented day
	Keep     bool   // leave everything running until ctx ends
	Progress io.Writer
}

// run is one run: what it works with, and what it finds.
type run struct {
	o       Options
	start   time.Time
	net     *devnet.Network
	sites   []*devsite.Process // hospital 1 and 2
	chain   *chainclient.Client
	from    uint64    // ledger height before the first message
	first   time.Time // when the first message was sent
	sent    outcome
	day     *hospitalday.Day
	patient hospitalday.Patient // the one whose records are retrieved
	record  string              // one of them
	report  Report
}

// Run does the main job and writes report.json and report.html into Options.Out. The
// error is about a run that could not be finished; what did not hold is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	r := &run{o: o, start: time.Now()}
	r.report.Started = r.start.Format(time.RFC3339)
	r.report.Problems = []string{}
	err := r.all(ctx)
	r.report.Seconds = int(time.Since(r.start).Seconds())
	if err == nil {
		err = r.finish()
	}
	if err == nil && o.Keep {
		r.hold(ctx)
	}
	return &r.report, errors.Join(err, r.stop())
}

// all is the job, step by step.
func (r *run) all(ctx context.Context) error {
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"starting the consortium · 启动联盟网络", r.consortium},
		{"installing two hospitals · 安装两家医院", r.install},
		{"a day of messages over MLLP · 发送一天的消息", r.messages},
		{"retrieving without consent · 无授权调阅", r.withoutConsent},
		{"retrieving with consent · 授权调阅", r.withConsent},
		{"breaking the glass · 紧急调阅", r.breakGlass},
		{"killing the leading orderer · 主排序节点故障", r.loseOrderer},
		{"reconciling sender and ledger · 核对发送与账本", r.reconcile},
		{"verifying the whole store · 全库核验", r.verifyStore},
		{"tampering with a stored record · 篡改一份病历", r.tamper},
	} {
		fmt.Fprintf(r.o.Progress, "\n%s ▶ %s\n", since(r.start), step.name)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// say prints what happens as it happens.
func (r *run) say(format string, args ...any) {
	fmt.Fprintf(r.o.Progress, "%s   "+format+"\n", append([]any{since(r.start)}, args...)...)
}

// problem notes something that did not hold.
func (r *run) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.report.Problems = append(r.report.Problems, text)
	r.say("✗ %s", text)
}

// held says whether an expectation held.
func (r *run) held(ok bool, what string) bool {
	mark := "✓"
	if !ok {
		mark = "✗"
	}
	r.say("%s %s", mark, what)
	return ok
}

func (r *run) consortium(ctx context.Context) error {
	dir := filepath.Join(r.o.Out, "net")
	if old, err := devnet.Load(ctx, dir); err == nil {
		if err := old.Down(ctx, true); err != nil {
			return err
		}
	}
	if err := clean(r.o.Out); err != nil {
		return err
	}
	n, err := devnet.Up(ctx, devnet.Options{Dir: dir, Progress: r.o.Progress})
	if err != nil {
		return err
	}
	r.net = n
	r.report.Hospitals, r.report.Orderers = len(n.Hospitals()), len(n.Orderers())
	return nil
}

// clean removes what an earlier run left.
func clean(out string) error {
	for _, name := range []string{"net", "h1", "h2", "records", "report.json", "report.html"} {
		if err := os.RemoveAll(filepath.Join(out, name)); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
	}
	return os.MkdirAll(out, 0o755)
}

func (r *run) install(ctx context.Context) error {
	for i, h := range r.net.Hospitals()[:2] {
		path, err := devsite.Write(ctx, r.net, h, devsite.Options{
			Dir: filepath.Join(r.o.Out, fmt.Sprintf("h%d", i+1)),
			// A record may wait a second for others: its evidence then takes a fraction of the bytes.
			Change: func(c *config.Config) { c.Chain.Batch.MaxWait = config.Duration(time.Second) },
		})
		if err != nil {
			return err
		}
		s, err := devsite.Open(r.o.Self, path)
		if err != nil {
			return err
		}
		if _, code, err := s.Run(ctx, "member", "register"); err != nil || code != 0 {
			return fmt.Errorf("register %s: exit %d: %w", h.MSPID, code, err)
		}
		if err := s.Start(ctx); err != nil {
			return err
		}
		r.sites = append(r.sites, s)
		r.say("%s %s: MLLP %s, gateway %s", h.MSPID, h.Name, s.Config.HL7.Listeners[0].Addr, s.Config.Gateway.Addr)
	}
	chain, err := devsite.Client(ctx, r.net, r.net.Hospitals()[2], nil)
	if err != nil {
		return err
	}
	r.chain = chain
	r.from, err = chain.Height(ctx)
	return err
}

// lanes are the messages to send: the invented day, and the user's own on top.
func (r *run) lanes() ([][][]byte, error) {
	r.day = hospitalday.Generate(20260302, r.o.Patients, time.Date(2026, 3, 2, 0, 0, 0, 0, time.FixedZone("", 8*3600)))
	lanes := dayLanes(r.day, 12)
	count, most := map[int]int{}, -1
	for _, m := range r.day.Messages {
		count[m.PatientIndex]++
		if p := r.day.Patients[m.PatientIndex]; p.ResidentID != "" && (most < 0 || count[m.PatientIndex] > count[most]) {
			most, r.patient = m.PatientIndex, p
		}
	}
	if r.o.Input == "" {
		return lanes, nil
	}
	own, err := fileLanes(r.o.Input)
	return append(lanes, own...), err
}

func (r *run) messages(ctx context.Context) error {
	lanes, err := r.lanes()
	if err != nil {
		return err
	}
	total := 0
	for _, l := range lanes {
		total += len(l)
	}
	r.say("%d messages on %d connections", total, len(lanes))
	r.first = time.Now()
	sent := make(chan error, 1)
	go func() { sent <- send(ctx, r.sites[0].Config.HL7.Listeners[0].Addr, lanes, &r.sent) }()
	if err := r.watch(ctx, sent); err != nil {
		return err
	}
	r.report.AnchorSeconds = time.Since(r.first).Seconds()
	acked, refused := r.sent.count()
	r.say("%d acknowledged, %d refused, all acknowledged ones anchored after %.1f s", acked, refused, r.report.AnchorSeconds)
	return nil
}

// watch follows store and sender until everything acknowledged is anchored. Without a
// sender, sent is nil.
func (r *run) watch(ctx context.Context, sent <-chan error) error {
	done, last := sent == nil, time.Now()
	shown, anchored := time.Time{}, -1
	for {
		select {
		case err := <-sent:
			if err != nil {
				return err
			}
			done, last = true, time.Now()
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		acked, _ := r.sent.count()
		s, err := r.sites[0].Stats(ctx)
		if err != nil {
			return err
		}
		if int(s.Anchored) != anchored {
			anchored, last = int(s.Anchored), time.Now()
		}
		r.report.Timeline = append(r.report.Timeline, Point{Seconds: time.Since(r.first).Seconds(), Acknowledged: acked, Anchored: anchored})
		finished := done && anchored >= r.distinct()
		if finished || time.Since(shown) > time.Second {
			shown = time.Now()
			r.say("acknowledged %d · sealed %d · anchored %d", acked, s.Items, s.Anchored)
		}
		if finished {
			return nil
		}
		if done && time.Since(last) > 60*time.Second {
			return fmt.Errorf("anchoring stands still at %d of %d; see %s", anchored, r.distinct(), r.sites[0].LogFile())
		}
	}
}

// distinct counts the acknowledged messages, a repeated one once.
func (r *run) distinct() int {
	r.sent.mu.Lock()
	defer r.sent.mu.Unlock()
	seen := make(map[string]bool, len(r.sent.acked))
	for _, m := range r.sent.acked {
		seen[string(m)] = true
	}
	return len(seen)
}

func (r *run) finish() error {
	r.report.Retrieval = quantiles(r.report.Retrievals)
	if err := r.report.Write(r.o.Out); err != nil {
		return err
	}
	fmt.Fprintln(r.o.Progress)
	if err := table.Write(r.o.Progress, []string{"result · 结果", ""}, r.report.Rows()); err != nil {
		return err
	}
	for _, p := range r.report.Problems {
		fmt.Fprintf(r.o.Progress, "  ✗ %s\n", p)
	}
	fmt.Fprintf(r.o.Progress, "\n  %s\n  %s\n", filepath.Join(r.o.Out, "report.json"), filepath.Join(r.o.Out, "report.html"))
	return nil
}

// hold leaves everything running until ctx ends.
func (r *run) hold(ctx context.Context) {
	fmt.Fprintf(r.o.Progress, `
running until Ctrl-C · 保持运行，Ctrl-C 结束；可以试试：
  emrbridge hl7 send --addr %[1]s FILE…
  emrbridge trace ID --config %[2]s
  emrbridge consent list --config %[2]s --id-number %[4]s
  emrbridge retrieve --config %[3]s --id-number %[4]s
  emrbridge emergency list --config %[2]s
  curl -s http://%[5]s/readyz
  emrbridge devnet status --dir %[6]s
`, r.sites[0].Config.HL7.Listeners[0].Addr, r.sites[0].Path, r.sites[1].Path, r.patient.ResidentID,
		r.sites[0].Config.Observe.Addr, filepath.Join(r.o.Out, "net"))
	<-ctx.Done()
}

func (r *run) stop() error {
	var errs []error
	if r.chain != nil {
		errs = append(errs, r.chain.Close())
	}
	for _, s := range slices.Backward(r.sites) {
		errs = append(errs, s.Stop())
	}
	if r.net != nil {
		errs = append(errs, r.net.Down(context.Background(), false))
	}
	return errors.Join(errs...)
}

// decode reads the JSON answer of a command.
func decode(out []byte, v any) error {
	if err := json.Unmarshal(out, v); err != nil {
		return fmt.Errorf("demo: answer of a command is not JSON: %w", err)
	}
	return nil
}
