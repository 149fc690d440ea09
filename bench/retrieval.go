package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/devnet"
	"github.com/emrbridge/emrbridge/internal/devsite"
)

// steps of a retrieval, in their order, as `retrieve --json` names them.
var steps = []struct{ name, what string }{
	{"lookup", "anchors and members read from the ledger"},
	{"request", "commit of the request"},
	{"decision", "owner's checks, commit of the decision"},
	{"transfer", "ciphertext, beside the next commit"},
	{"delivery", "commit of the delivery, then the key"},
	{"open", "all checks and decryption"},
	{"confirm", "commit of the confirmation"},
}

// answer is what is read of `retrieve --json`.
type answer struct {
	Genuine    int `json:"genuine"`
	Deliveries []struct {
		Records []struct {
			ID string `json:"id"`
		} `json:"records"`
	} `json:"deliveries"`
	Timings map[string]float64 `json:"timings_ms"`
}

// pair is a network with two hospitals installed and running: the first has the records
// of a patient, the second has the patient's consent.
type pair struct {
	change  func(*config.Config) // of the sites; nil: none
	net     *devnet.Network
	sites   []*devsite.Process
	patient hospitalday.Patient
}

// Retrieval measures how long one hospital takes to retrieve one record from another, on
// a network that does nothing else: from the call of the own bridge until the verdict is
// on the ledger, four commits one after another.
func Retrieval(ctx context.Context, r *Results, o Options) (err error) {
	p := &pair{}
	defer func() { err = errors.Join(err, p.stop(ctx)) }()
	if err := p.start(ctx, o); err != nil {
		return err
	}
	id, err := p.firstRecord(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.Progress, "retrieving one record, %d times\n", o.Retrievals)
	took := map[string][]float64{}
	for range o.Retrievals {
		// Not in step with the blocks, which the end of the retrieval before would be.
		time.Sleep(rand.N(100 * time.Millisecond)) //nolint:gosec // a pause needs no secret
		a, err := p.retrieve(ctx, "--record", id)
		if err != nil {
			return err
		}
		for name, ms := range a.Timings {
			took[name] = append(took[name], ms)
		}
	}
	report(r, took)
	return nil
}

func report(r *Results, took map[string][]float64) {
	const group, parts = "retrieval of one record", "retrieval, steps, p50"
	r.Retrievals = took["total"]
	opened := make([]float64, len(took["total"]))
	for i, total := range took["total"] {
		opened[i] = total - took["confirm"][i]
	}
	r.add(group, "p50", median(took["total"]), "ms", "target: under 300, idle network")
	r.add(group, "p90", quantile(took["total"], 0.9), "ms", "")
	r.add(group, "p99", quantile(took["total"], 0.99), "ms", "")
	r.add(group, "until the record is proved, p50", median(opened), "ms", "without the confirmation")
	r.add(group, "share of consensus", 100*sum(took["consensus"])/sum(took["total"]), "%", "four commits in a row")
	for _, s := range steps {
		r.add(parts, s.name, median(took[s.name]), "ms", s.what)
	}
}

// start brings up the network and both hospitals and anchors the records of a patient.
func (p *pair) start(ctx context.Context, o Options) error {
	dir := filepath.Join(o.Dir, "retrieval")
	n, err := o.network(ctx, "retrieval/net", "")
	if err != nil {
		return err
	}
	p.net = n
	for i, h := range n.Hospitals()[:2] {
		if err := p.install(ctx, o.Self, h, filepath.Join(dir, fmt.Sprintf("h%d", i+1))); err != nil {
			return err
		}
	}
	if err := p.records(ctx); err != nil {
		return err
	}
	return p.run(ctx, 0, "consent", "grant", "--id-number", p.patient.ResidentID, "--to", p.sites[1].Config.Hospital.MSP, "--days", "1")
}

func (p *pair) install(ctx context.Context, self string, h devnet.Hospital, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	path, err := devsite.Write(ctx, p.net, h, devsite.Options{Dir: dir, Change: p.change})
	if err != nil {
		return err
	}
	site, err := devsite.Open(self, path)
	if err != nil {
		return err
	}
	p.sites = append(p.sites, site)
	if err := p.run(ctx, len(p.sites)-1, "member", "register"); err != nil {
		return err
	}
	return site.Start(ctx)
}

// records sends one patient's messages to hospital 1 and waits until they are anchored.
func (p *pair) records(ctx context.Context) error {
	day := hospitalday.Generate(1, 10, time.Date(2026, 3, 2, 0, 0, 0, 0, time.FixedZone("", 8*3600)))
	i := slices.IndexFunc(day.Patients, func(who hospitalday.Patient) bool { return who.ResidentID != "" })
	if i < 0 {
		return errors.New("bench: the invented day has no patient with a resident number")
	}
	p.patient = day.Patients[i]
	client, err := mllp.Dial(ctx, p.sites[0].Config.HL7.Listeners[0].Addr, mllp.ClientConfig{Charset: hl7.CharsetPolicy{Default: hl7.UTF8}})
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { _ = client.Close() }()
	for _, m := range day.Of(i) {
		reply, err := client.Send(ctx, m.Raw)
		if err == nil && !reply.Code.Accepted() {
			err = fmt.Errorf("answer %s", reply.Code)
		}
		if err != nil {
			return fmt.Errorf("bench: send %s: %w", m.ControlID, err)
		}
	}
	return p.anchored(ctx, int64(len(day.Of(i))))
}

func (p *pair) anchored(ctx context.Context, want int64) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		s, err := p.sites[0].Stats(ctx)
		if err != nil {
			return err
		}
		if s.Anchored >= want {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("bench: %d of %d records are anchored after a minute; see %s", s.Anchored, want, p.sites[0].LogFile())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// run executes a command for a site and takes any exit status but 0 as an error.
func (p *pair) run(ctx context.Context, site int, args ...string) error {
	_, code, err := p.sites[site].Run(ctx, args...)
	if err == nil && code != 0 {
		err = fmt.Errorf("bench: emrbridge %s: exit status %d", args[0], code)
	}
	return err
}

func (p *pair) retrieve(ctx context.Context, extra ...string) (answer, error) {
	var a answer
	out, code, err := p.sites[1].Run(ctx, append([]string{"retrieve", "--json", "--id-number", p.patient.ResidentID}, extra...)...)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(out, &a); err != nil {
		return a, fmt.Errorf("bench: answer of retrieve: %w", err)
	}
	if code != 0 || a.Genuine == 0 {
		return a, fmt.Errorf("bench: retrieve brought nothing genuine (exit status %d); see %s", code, p.sites[1].LogFile())
	}
	return a, nil
}

// firstRecord retrieves everything once, which warms all connections, and names a record.
func (p *pair) firstRecord(ctx context.Context) (string, error) {
	a, err := p.retrieve(ctx)
	if err != nil {
		return "", err
	}
	return a.Deliveries[0].Records[0].ID, nil
}

func (p *pair) stop(ctx context.Context) error {
	var errs []error
	for _, s := range p.sites {
		errs = append(errs, s.Stop())
	}
	if p.net != nil {
		errs = append(errs, p.net.Down(context.WithoutCancel(ctx), true))
	}
	return errors.Join(errs...)
}
