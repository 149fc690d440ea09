package evidence_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/evidence"
)

func digest(b byte) (d evidence.Digest) {
	for i := range d {
		d[i] = b
	}
	return d
}

func tag(b byte) (t evidence.Tag) { copy(t[:], strings.Repeat(string(rune(b)), 16)); return t }

func nonce(b byte) (n evidence.Nonce) { n[0] = b; return n }

// bodies holds one valid body of every kind.
func bodies() []evidence.Body {
	return []evidence.Body{
		&evidence.RegisterMember{Number: 1, Name: "第一医院", SignCert: []byte{1}, EncryptCert: []byte{2}, Endpoint: "https://127.0.0.1:1", GatewayKey: digest(3)},
		&evidence.SetMemberStatus{Member: "H1MSP", Status: evidence.MemberSuspended, Reason: "audit"},
		&evidence.RegisterPatient{Tag: tag('t'), Digest: digest(1)},
		&evidence.AnchorBatch{Root: digest(2), Count: 3},
		&evidence.GrantConsent{Tag: tag('t'), Grantees: []string{"H2MSP"}, Owners: []string{evidence.Anyone}, Purposes: []evidence.Purpose{evidence.Treatment}, Kinds: []string{}, NotAfter: 5, Form: digest(4)},
		&evidence.RevokeConsent{Consent: nonce(1)},
		&evidence.RequestAccess{Tag: tag('t'), Owner: "H1MSP", Purpose: evidence.Treatment, Records: []evidence.RecordID{{1}}, RequesterKey: digest(1), Emergency: true, Reason: "coma", Staff: []evidence.Digest{digest(1), digest(2)}},
		&evidence.DecideAccess{Request: nonce(1), Granted: true, Consent: nonce(2), NotAfter: 9},
		&evidence.Deliver{Request: nonce(1), Count: 1, Grants: digest(1)},
		&evidence.Confirm{Request: nonce(1), Verdict: evidence.Genuine, Count: 1},
		&evidence.ReviewEmergency{Request: nonce(1), Justified: true, Reviewer: digest(1)},
		&evidence.DestroyKey{Tag: tag('t'), Reason: "patient"},
		&evidence.LinkTag{From: tag('l'), To: tag('t'), Order: 7},
		&evidence.UnlinkTag{From: tag('l'), To: tag('t'), Order: 8},
		&evidence.RegisterInstitute{ID: "INST1", Name: "研究所", SignCert: []byte{1}, EncryptCert: []byte{2}, TLSKey: digest(3)},
		&evidence.SetInstituteStatus{Institute: "INST1", Status: evidence.MemberSuspended, Reason: "audit"},
		application(),
		&evidence.DecideProject{Project: "INST1.p", Terms: digest(1), Approved: true, Committee: []evidence.Digest{digest(1), digest(2)}, NotAfter: 9},
		&evidence.CloseProject{Project: "INST1.p", Reason: "done"},
		&evidence.RecordRelease{Project: "INST1.p", Sequence: 1, Root: digest(1), Package: digest(2), Recipient: digest(3), Rows: 20, Subjects: 10, Policy: digest(4), Risk: evidence.Risk{K: 6, MaxPermille: 166, AveragePermille: 100}, Gate: true},
		&evidence.WithdrawSubjects{Project: "INST1.p", Sequence: 1, Subjects: digest(1), Count: 2, Reason: "consent-withdrawn", DueBy: 9},
		&evidence.ConfirmDeletion{Project: "INST1.p", Hospital: "H1MSP", Sequence: 1, Subjects: digest(1), Count: 2, Method: "erased"},
		&evidence.Reidentify{Project: "INST1.p", Subject: digest(1), Reason: "urgent-finding", Finding: digest(2), Staff: []evidence.Digest{digest(1), digest(2)}},
	}
}

func TestStatementsOfEveryKindRoundTrip(t *testing.T) {
	seen := map[evidence.Kind]bool{}
	for _, body := range bodies() {
		st, err := evidence.NewStatement("H1MSP", nonce(9), 1772323200123, body)
		require.NoError(t, err, body.Kind())
		canonical, err := st.Canonical()
		require.NoError(t, err)
		encoded, err := evidence.Signed{Statement: canonical, Signature: make([]byte, 70)}.Encode()
		require.NoError(t, err)
		_, back, err := evidence.ParseSigned(encoded)
		require.NoError(t, err)
		require.Equal(t, st, back)
		seen[back.Kind] = true
		again, err := back.Canonical()
		require.NoError(t, err)
		require.Equal(t, canonical, again)
	}
	require.Len(t, seen, 23, "each kind has a body of its own")
}

func TestStatementGolden(t *testing.T) {
	st, err := evidence.NewStatement("H1MSP", nonce(9), 1, &evidence.AnchorBatch{Root: digest(2), Count: 3})
	require.NoError(t, err)
	b, err := st.Canonical()
	require.NoError(t, err)
	require.Equal(t, "a60001016c616e63686f722d626174636802654831"+"4d53500350"+
		"09000000000000000000000000000000"+"040105a2005820"+strings.Repeat("02", 32)+"0103", hex.EncodeToString(b),
		"statements are evidence: a change of form needs a new version")
}

func TestMalformedStatementsAreRefused(t *testing.T) {
	st, err := evidence.NewStatement("H1MSP", nonce(9), 1, &evidence.RegisterPatient{Tag: tag('t'), Digest: digest(1)})
	require.NoError(t, err)
	good, err := st.Canonical()
	require.NoError(t, err)
	for name, b := range map[string][]byte{
		"empty": nil, "cut": good[:len(good)-1], "trailing": append(append([]byte{}, good...), 0),
		"huge": make([]byte, evidence.MaxStatement+1), "array": {0x80},
	} {
		_, err := evidence.ParseStatement(b)
		assert.ErrorIs(t, err, evidence.ErrMalformed, name)
	}
	for name, spoil := range map[string]func(*evidence.Statement){
		"version": func(s *evidence.Statement) { s.Version = 2 },
		"actor":   func(s *evidence.Statement) { s.Actor = "H1 MSP" },
		"nonce":   func(s *evidence.Statement) { s.Nonce = evidence.Nonce{} },
		"time":    func(s *evidence.Statement) { s.IssuedAt = 0 },
		"body":    func(s *evidence.Statement) { s.Body = nil },
	} {
		bad := st
		spoil(&bad)
		_, err := bad.Canonical()
		assert.ErrorIs(t, err, evidence.ErrMalformed, name)
	}
	assert.ErrorIs(t, st.DecodeBody(&evidence.Deliver{}), evidence.ErrMalformed, "body of another kind")
}

func TestInvalidBodiesAreRefused(t *testing.T) {
	for _, body := range []evidence.Body{
		evidence.RegisterMember{}, evidence.SetMemberStatus{Member: "x", Status: "gone", Reason: "r"},
		evidence.RegisterPatient{}, evidence.AnchorBatch{}, evidence.AnchorBatch{Count: evidence.MaxBatch + 1},
		evidence.GrantConsent{Tag: tag('t')}, evidence.RevokeConsent{}, evidence.RequestAccess{},
		evidence.RequestAccess{Tag: tag('t'), Owner: "A", Purpose: evidence.Treatment, RequesterKey: digest(1), Emergency: true, Reason: "r", Staff: []evidence.Digest{digest(1)}},
		evidence.RequestAccess{Tag: tag('t'), Owner: "A", Purpose: evidence.Treatment, RequesterKey: digest(1), Emergency: true, Reason: "r", Staff: []evidence.Digest{digest(1), digest(1)}},
		evidence.RequestAccess{Tag: tag('t'), Owner: "A", Purpose: evidence.Research, RequesterKey: digest(1), Emergency: true, Reason: "r", Staff: []evidence.Digest{digest(1), digest(2)}},
		evidence.DecideAccess{Request: nonce(1)}, evidence.DecideAccess{Request: nonce(1), Granted: true},
		evidence.Deliver{}, evidence.Confirm{Request: nonce(1), Verdict: "fine"}, evidence.ReviewEmergency{}, evidence.DestroyKey{},
		evidence.LinkTag{From: tag('t'), Order: 1}, evidence.LinkTag{From: tag('t'), To: tag('t'), Order: 1}, evidence.LinkTag{From: tag('l'), To: tag('t')},
		evidence.UnlinkTag{To: tag('t'), Order: 1},
	} {
		assert.ErrorIs(t, body.Validate(), evidence.ErrMalformed, "%T", body)
	}
}

func entries(n int) []evidence.Entry {
	rng := rand.New(rand.NewSource(1)) //nolint:gosec // test data
	out := make([]evidence.Entry, n)
	for i := range out {
		rng.Read(out[i].ID[:])
		rng.Read(out[i].Tag[:])
		rng.Read(out[i].CipherHash[:])
		out[i].Pointer = []byte{byte(i)}
	}
	evidence.Sort(out)
	return out
}

func TestEntriesRoundTripAndStayInOrder(t *testing.T) {
	in := entries(50)
	b, err := evidence.EncodeEntries(in)
	require.NoError(t, err)
	out, err := evidence.DecodeEntries(b)
	require.NoError(t, err)
	require.Equal(t, in, out)

	swapped := append([]evidence.Entry{}, in...)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	_, err = evidence.EncodeEntries(swapped)
	require.ErrorIs(t, err, evidence.ErrMalformed)
	_, err = evidence.EncodeEntries([]evidence.Entry{in[0], in[0]})
	require.ErrorIs(t, err, evidence.ErrMalformed)
	_, err = evidence.DecodeEntries(in[1].Append(in[2].Append(nil)))
	require.ErrorIs(t, err, evidence.ErrMalformed)
	_, err = evidence.DecodeEntries(b[:len(b)-1])
	require.ErrorIs(t, err, evidence.ErrMalformed)
	_, err = evidence.EncodeEntries([]evidence.Entry{{Pointer: make([]byte, evidence.MaxPointer+1)}})
	require.ErrorIs(t, err, evidence.ErrMalformed)
}

func TestEveryLeafOfEveryTreeProves(t *testing.T) {
	for n := 1; n <= 33; n++ {
		leaves := make([]evidence.Digest, n)
		for i := range leaves {
			leaves[i] = digest(byte(i + 1))
		}
		root := evidence.Root(leaves)
		for i := range leaves {
			proof, err := evidence.Prove(leaves, i)
			require.NoError(t, err)
			require.True(t, evidence.VerifyProof(root, leaves[i], i, n, proof), "%d of %d", i, n)
			require.False(t, evidence.VerifyProof(root, digest(0), i, n, proof))
			require.False(t, evidence.VerifyProof(root, leaves[i], i+1, n, proof) && n > 1)
			if len(proof) > 0 {
				require.False(t, evidence.VerifyProof(root, leaves[i], i, n, proof[1:]))
				require.False(t, evidence.VerifyProof(root, leaves[i], i, n, append(proof, digest(9))))
			}
		}
	}
	_, err := evidence.Prove(nil, 0)
	require.ErrorIs(t, err, evidence.ErrMalformed)
	require.False(t, evidence.VerifyProof(digest(0), digest(0), -1, 0, nil))
}

func TestRefusalSurvivesFabricsWords(t *testing.T) {
	r := &evidence.Refusal{Code: evidence.CodeConflict, Message: `ids are taken: "x"`, IDs: []evidence.RecordID{{1, 2}}}
	wrapped := fmt.Errorf("rpc error: code = Aborted desc = chaincode response 500, %w) tail", errors.New(r.Error()))
	back, ok := evidence.ParseRefusal(wrapped.Error())
	require.True(t, ok)
	require.Equal(t, r, back)
	_, ok = evidence.ParseRefusal("no peers available")
	require.False(t, ok)
	_, ok = evidence.ParseRefusal(`{"code":"`)
	require.False(t, ok)
}

func TestTextFormsRoundTrip(t *testing.T) {
	_, err := evidence.ParseTag(tag('x').String())
	require.NoError(t, err)
	_, err = evidence.ParseNonce("zz")
	require.ErrorIs(t, err, evidence.ErrMalformed)
	id, err := evidence.ParseRecordID("0102" + strings.Repeat("00", 14))
	require.NoError(t, err)
	require.Equal(t, uint16(0x0102), id.HospitalNumber())
	var d evidence.Digest
	require.NoError(t, d.UnmarshalText([]byte(digest(7).String())))
	require.True(t, d.Equal(digest(7)))
}

func FuzzParseSigned(f *testing.F) {
	for _, body := range bodies() {
		st, err := evidence.NewStatement("H1MSP", nonce(9), 1, body)
		require.NoError(f, err)
		c, err := st.Canonical()
		require.NoError(f, err)
		b, err := evidence.Signed{Statement: c, Signature: make([]byte, 70)}.Encode()
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s, st, err := evidence.ParseSigned(in)
		if err != nil {
			return
		}
		out, err := s.Encode()
		require.NoError(t, err)
		require.Equal(t, in, out)
		for _, body := range bodies() {
			_ = st.DecodeBody(body)
		}
		_, _, err = s.Registration()
		require.Equal(t, st.DecodeBody(&evidence.RegisterMember{}) == nil, err == nil)
	})
}

func FuzzDecodeEntries(f *testing.F) {
	b, err := evidence.EncodeEntries(entries(3))
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := evidence.DecodeEntries(in)
		if err != nil {
			return
		}
		again, err := evidence.EncodeEntries(out)
		require.NoError(t, err)
		require.Equal(t, in, append([]byte{}, again...))
	})
}

func BenchmarkBatchRoot500(b *testing.B) {
	in := entries(500)
	for b.Loop() {
		evidence.BatchRoot(in)
	}
}

func TestSealStatementGolden(t *testing.T) {
	s := evidence.SealStatement{Record: evidence.RecordID{0, 1}, Hospital: "H1MSP", Kind: "ADT^A01", EventTime: 1, Precision: 6, EMR: digest(1)}
	b, err := s.SigningBytes()
	require.NoError(t, err)
	require.Equal(t, evidence.SealDomain+"\xa6\x00\x50\x00\x01"+strings.Repeat("\x00", 14)+"\x01\x65H1MSP\x02\x67ADT^A01\x03\x01\x04\x06\x05\x58\x20"+strings.Repeat("\x01", 32), string(b))
	for _, spoil := range []func(*evidence.SealStatement){
		func(s *evidence.SealStatement) { s.Hospital = "" }, func(s *evidence.SealStatement) { s.Kind = "" },
		func(s *evidence.SealStatement) { s.EMR = evidence.Digest{} },
	} {
		bad := s
		spoil(&bad)
		_, err := bad.SigningBytes()
		require.ErrorIs(t, err, evidence.ErrMalformed)
	}
}
