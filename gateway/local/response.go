package local

import (
	"errors"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
)

// response puts a result into the form in which it travels; long contents go into long.
func response(res retrieve.Result, payloads, proofs bool, long *splices) RetrieveResponse {
	out := RetrieveResponse{Deliveries: make([]Delivery, len(res.Deliveries)), Timings: timings(res.Timings)}
	for i, d := range res.Deliveries {
		out.Deliveries[i] = delivery(d, payloads, proofs, long)
	}
	return out
}

func delivery(d retrieve.Delivery, payloads, proofs bool, long *splices) Delivery {
	out := Delivery{Owner: d.Owner, Verdict: d.Verdict, Confirmed: d.Confirmed, Records: make([]Record, len(d.Records)), Timings: timings(d.Timings)}
	if !d.Request.IsZero() {
		out.Request = d.Request.String()
	}
	if d.Err != nil {
		_, out.Error = classify(d.Err)
		out.Message = d.Err.Error()
		var denied *retrieve.DeniedError
		if errors.As(d.Err, &denied) {
			out.Denied, out.Reason = true, denied.Reason
		}
	}
	for i, r := range d.Records {
		out.Records[i] = row(r, payloads, long)
		if proofs {
			prove(&out.Records[i], r, long)
		}
	}
	return out
}

// prove adds the whole record and its proof.
func prove(out *Record, r retrieve.Record, long *splices) {
	if r.Record == nil || r.Proof == nil {
		return
	}
	emr, err := r.Record.Canonical()
	if err != nil {
		return // it was read from canonical bytes
	}
	p := r.Proof
	out.EMR, out.Proof = long.take(emr), &Proof{EMR: p.EMR, Cipher: p.Cipher, Signature: p.Signature, Signed: p.Signed, SealedAt: p.SealedAt, Tag: p.Tag}
}

func row(r retrieve.Record, payload bool, long *splices) Record {
	out := Record{ID: r.ID.String(), Owner: r.Owner, Verdict: r.Verdict, Check: r.Check, Absent: r.Absent, Kind: r.Kind}
	if rec := r.Record; rec != nil {
		out.EventTime, out.MediaType, out.Charset, out.Bytes = rec.EventTime.String(), rec.MediaType, rec.Charset, int(max(r.Size, int64(len(rec.Payload))))
		if payload {
			out.Payload = long.take(rec.Payload)
		}
	}
	return out
}
