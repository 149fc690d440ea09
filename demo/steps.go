package demo

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
	"github.com/emrbridge/emrbridge/evidence"
)

// retrieval is what the demo reads of `emrbridge retrieve --json`.
type retrieval struct {
	Genuine    int `json:"genuine"`
	Deliveries []struct {
		Owner   string `json:"owner"`
		Request string `json:"request"`
		Verdict string `json:"verdict"`
		Denied  bool   `json:"denied"`
		Reason  string `json:"reason"`
		Error   string `json:"error"`
		Records []struct {
			ID      string `json:"id"`
			Kind    string `json:"kind"`
			Verdict string `json:"verdict"`
			Check   string `json:"check"`
			Absent  string `json:"absent"`
		} `json:"records"`
	} `json:"deliveries"`
	TimingsMS struct {
		Total     float64 `json:"total"`
		Consensus float64 `json:"consensus"`
	} `json:"timings_ms"`
}

// retrieve asks as hospital 2 for records of a patient.
func (r *run) retrieve(ctx context.Context, p hospitalday.Patient, extra ...string) (retrieval, int, error) {
	var answer retrieval
	args := append([]string{"retrieve", "--json", "--id-number", p.ResidentID}, extra...)
	out, code, err := r.sites[1].Run(ctx, args...)
	if err != nil {
		return answer, code, err
	}
	return answer, code, decode(out, &answer)
}

func (r *run) withoutConsent(ctx context.Context) error {
	answer, code, err := r.retrieve(ctx, r.patient)
	if err != nil {
		return err
	}
	denied := code == 1 && len(answer.Deliveries) == 1 && answer.Deliveries[0].Denied && answer.Genuine == 0
	r.held(denied, "hospital 2 gets nothing")
	onLedger := false
	if denied {
		if onLedger, err = r.ledgerState(ctx, answer.Deliveries[0].Request, evidence.AccessDenied); err != nil {
			return err
		}
		r.held(onLedger, "the denial is on the ledger: "+answer.Deliveries[0].Reason)
	}
	r.report.RetrievalWithoutConsentDenied = denied && onLedger
	return nil
}

// ledgerState asks the ledger, through a third hospital, for the state of a request.
func (r *run) ledgerState(ctx context.Context, request string, want evidence.AccessState) (bool, error) {
	id, err := evidence.ParseNonce(request)
	if err != nil {
		return false, err
	}
	for range 50 { // the third hospital's peer may be a block behind
		access, err := r.chain.Access(ctx, id)
		if err == nil && access.State == want {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return false, nil
}

// retrievals is how often the retrieval of one record is measured.
const retrievals = 20

func (r *run) withConsent(ctx context.Context) error {
	_, code, err := r.sites[0].Run(ctx, "consent", "grant", "--id-number", r.patient.ResidentID, "--to", r.sites[1].Config.Hospital.MSP, "--days", "7")
	if err != nil || code != 0 {
		return fmt.Errorf("consent: exit %d: %w", code, err)
	}
	r.say("consent recorded on the ledger by hospital 1")
	answer, code, err := r.retrieve(ctx, r.patient)
	if err != nil {
		return err
	}
	total := 0
	for _, d := range answer.Deliveries {
		total += len(d.Records)
	}
	ok := code == 0 && total > 0 && answer.Genuine == total
	r.held(ok, fmt.Sprintf("%d of %d records opened and proved genuine, %.0f ms", answer.Genuine, total, answer.TimingsMS.Total))
	if ok {
		confirmed, err := r.ledgerState(ctx, answer.Deliveries[0].Request, evidence.AccessConfirmed)
		if err != nil {
			return err
		}
		ok = r.held(confirmed, "the verdict is on the ledger")
		r.record = answer.Deliveries[0].Records[0].ID
		if err := r.measure(ctx, r.record); err != nil {
			return err
		}
	}
	r.report.RetrievalWithConsent = ok
	return nil
}

// measure retrieves one record again and again.
func (r *run) measure(ctx context.Context, id string) error {
	var total, consensus float64
	for range retrievals {
		answer, code, err := r.retrieve(ctx, r.patient, "--record", id)
		if err != nil || code != 0 {
			return fmt.Errorf("retrieve one record: exit %d: %w", code, err)
		}
		r.report.Retrievals = append(r.report.Retrievals, answer.TimingsMS.Total)
		total += answer.TimingsMS.Total
		consensus += answer.TimingsMS.Consensus
	}
	r.report.ConsensusShare = consensus / total
	q := quantiles(r.report.Retrievals)
	r.say("one record, %d times: p50 %.0f ms, p99 %.0f ms, %.0f %% of it consensus", retrievals, q.P50, q.P99, 100*r.report.ConsensusShare)
	return nil
}

func (r *run) breakGlass(ctx context.Context) error {
	other := r.otherPatient()
	answer, code, err := r.retrieve(ctx, other, "--emergency", "--reason", "unconscious", "--staff", "D-017", "--staff", "D-017")
	if err == nil && code == 0 {
		r.problem("an emergency with one member of staff twice was let through (%d records)", answer.Genuine)
	}
	answer, code, err = r.retrieve(ctx, other, "--emergency", "--reason", "unconscious", "--staff", "D-017", "--staff", "N-201")
	if err != nil {
		return err
	}
	opened := code == 0 && answer.Genuine > 0
	r.held(opened, fmt.Sprintf("%d records opened without consent, two members of staff vouching", answer.Genuine))
	out, code, err := r.sites[0].Run(ctx, "emergency", "list", "--json")
	if err != nil || code != 0 {
		return fmt.Errorf("emergency list: exit %d: %w", code, err)
	}
	var list []evidence.Access
	if err := decode(out, &list); err != nil {
		return err
	}
	listed := opened && slices.ContainsFunc(list, func(a evidence.Access) bool {
		return a.ID.String() == answer.Deliveries[0].Request && a.Request.Emergency
	})
	r.held(listed, fmt.Sprintf("hospital 1 finds it among %d to review", len(list)))
	r.report.BreakGlassFlagged = opened && listed
	return nil
}

// otherPatient is one without consent.
func (r *run) otherPatient() hospitalday.Patient {
	day := r.day
	for _, m := range day.Messages {
		if p := day.Patients[m.PatientIndex]; p.ResidentID != "" && p.ResidentID != r.patient.ResidentID {
			return p
		}
	}
	return r.patient
}

func (r *run) loseOrderer(ctx context.Context) error {
	leader, err := r.net.Leader(ctx)
	if err != nil {
		return err
	}
	if err := r.net.Kill(ctx, leader.Process); err != nil {
		return err
	}
	r.say("%s, the leader, killed with SIGKILL", leader.Process)
	more := hospitalday.Generate(7, 12, time.Date(2026, 3, 3, 0, 0, 0, 0, time.FixedZone("", 8*3600)))
	begun := time.Now()
	sent := make(chan error, 1)
	go func() { sent <- send(ctx, r.sites[0].Config.HL7.Listeners[0].Addr, dayLanes(more, 2), &r.sent) }()
	lost := r.watch(ctx, sent)
	if lost == nil {
		r.report.OrdererLossSurvived = r.held(true, fmt.Sprintf("%d more messages acknowledged and anchored in %.1f s with three of four orderers",
			len(more.Messages), time.Since(begun).Seconds()))
	} else {
		r.problem("anchoring after the loss of an orderer: %v", lost)
	}
	if err := r.net.Start(ctx, leader.Process); err != nil || lost == nil {
		return err
	}
	r.say("%s runs again; what waits must be anchored now", leader.Process)
	return r.watch(ctx, nil)
}

// tamper flips one bit of a stored ciphertext and expects both the verifier and the
// retrieving hospital to notice.
func (r *run) tamper(ctx context.Context) error {
	id := r.record
	if id == "" {
		r.problem("no record was retrieved before, so none is tampered with")
		return nil
	}
	if err := flipBit(ctx, r.sites[0].Config.Store.Dir, id); err != nil {
		return err
	}
	r.say("one bit of record %s flipped in hospital 1's store", id)
	answer, code, err := r.retrieve(ctx, r.patient, "--record", id)
	if err != nil {
		return err
	}
	caught := code == 1 && answer.Genuine == 0
	why := []string{}
	for _, d := range answer.Deliveries {
		why = append(why, d.Error)
		for _, rec := range d.Records {
			why = append(why, rec.Check, rec.Absent)
		}
	}
	r.held(caught, "hospital 2 refuses it: "+strings.Join(slices.DeleteFunc(why, func(s string) bool { return s == "" }), ", "))
	out, code, err := r.sites[0].Run(ctx, "verify", "--json")
	if err != nil {
		return err
	}
	named := code == 1 && bytes.Contains(out, []byte(id))
	r.held(named, "emrbridge verify names it")
	r.report.TamperDetected = caught && named
	return nil
}

func (r *run) verifyStore(ctx context.Context) error {
	out, code, err := r.sites[0].Run(ctx, "verify", "--json")
	if err != nil {
		return err
	}
	var v struct {
		Records struct {
			Total  int64 `json:"total"`
			OK     int64 `json:"ok"`
			Failed int64 `json:"failed"`
		} `json:"records"`
		Providers []string `json:"providers"`
	}
	if err := decode(out, &v); err != nil {
		return err
	}
	r.report.StoreVerified = r.held(code == 0 && v.Records.OK == v.Records.Total && v.Records.Total > 0,
		fmt.Sprintf("%d of %d records agree with the ledger, checked with %s", v.Records.OK, v.Records.Total, strings.Join(v.Providers, " and ")))
	return nil
}
