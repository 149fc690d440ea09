package local

import (
	"bytes"
	"encoding/json"
	"io"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
)

// result has records with payloads of these lengths.
func result(lengths ...int) retrieve.Result {
	d := retrieve.Delivery{Owner: "H1MSP"}
	for i, n := range lengths {
		rec := &record.Record{ModelVersion: 1, ID: record.ID{1, byte(i)}, HospitalMSP: "H1MSP", Kind: "ORU^R01", MediaType: "x/y", ReceivedAt: 1,
			Payload: bytes.Repeat([]byte{byte(i), 0xff, '<'}, n/3)}
		d.Records = append(d.Records, retrieve.Record{ID: evidence.RecordID(rec.ID), Verdict: evidence.Genuine, Record: rec, Proof: &retrieve.Proof{}})
	}
	return retrieve.Result{Deliveries: []retrieve.Delivery{d, {Owner: "H2MSP"}}}
}

func TestSplicedAnswerIsTheSame(t *testing.T) {
	res := result(30, 200_001, 65_538, 3, 600_000)
	for _, proofs := range []bool{false, true} {
		var s splices
		var out bytes.Buffer
		require.NoError(t, s.write(&out, response(res, true, proofs, &s)))
		require.NotEmpty(t, s.parts)
		var back RetrieveResponse
		require.NoError(t, json.Unmarshal(out.Bytes(), &back))
		for i, r := range back.Deliveries[0].Records {
			want := res.Deliveries[0].Records[i].Record
			require.True(t, bytes.Equal(want.Payload, r.Payload), i)
			require.Equal(t, len(want.Payload), r.Bytes)
			if proofs {
				emr, err := want.Canonical()
				require.NoError(t, err)
				require.True(t, bytes.Equal(emr, r.EMR), i)
			}
		}
	}
}

func TestSplicedAnswerNeedsLittleMemory(t *testing.T) {
	res := result(48 << 20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var s splices
	require.NoError(t, s.write(io.Discard, response(res, true, false, &s)))
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}
