package release_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/bridge/release"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/policy"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
	"github.com/emrbridge/emrbridge/research/dataset"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"),
		goleak.IgnoreAnyFunction("github.com/emrbridge/emrbridge/keystore.(*patientDB).commitLoop"))
}

const (
	theProject   = "INST1.2026-001"
	theInstitute = "INST1"
)

// consortium is two hospitals, a ledger in memory, a proxy that takes parts, and an institute.
type consortium struct {
	t         *testing.T
	p         smcrypto.Provider
	authority *smcrypto.Authority
	institute *smcrypto.PrivateKey
	now       time.Time
	hospitals []*hospital

	mu       sync.Mutex
	project  release.Project
	consents map[evidence.Tag][]policy.Consent
	entries  map[string]release.Entry
	notices  map[string][]string
	recorded int // how often the ledger was told
	parts    map[string]map[string][]byte
	down     error
	closed   error
}

type hospital struct {
	*consortium
	msp    string
	number uint16
	keys   *keystore.File
	store  *embedded.Store
	dir    string
	n      int
	change func(*release.Config)
	leak   func(payload []byte) bool
}

func newConsortium(t *testing.T) *consortium {
	c := &consortium{t: t, p: smcrypto.Default(), now: time.Now().UTC().Truncate(time.Second), consents: map[evidence.Tag][]policy.Consent{},
		entries: map[string]release.Entry{}, notices: map[string][]string{}, parts: map[string]map[string][]byte{}}
	ca, err := c.p.GenerateKey()
	require.NoError(t, err)
	c.authority, err = smcrypto.NewAuthority(ca, smcrypto.Subject{CommonName: "authority"}, c.now.Add(-time.Hour), c.now.Add(time.Hour))
	require.NoError(t, err)
	c.institute, err = c.p.GenerateKey()
	require.NoError(t, err)
	c.project = release.Project{ID: theProject, Institute: theInstitute, Recipient: c.institute.Public(), Proxy: "H1MSP", Model: "enclave",
		NotAfter: c.now.Add(30 * 24 * time.Hour).UnixMilli(), Criteria: release.Criteria{Diagnoses: []string{"I10", "E11"}, MinAge: 18}}
	for n := 1; n <= 2; n++ {
		c.hospitals = append(c.hospitals, c.open(n))
	}
	return c
}

func (c *consortium) open(n int) *hospital {
	ctx, t := context.Background(), c.t
	h := &hospital{consortium: c, msp: fmt.Sprintf("H%dMSP", n), number: uint16(n), dir: t.TempDir()}
	var err error
	h.keys, err = keystore.Create(ctx, filepath.Join(h.dir, "keys"), []byte("correct horse battery staple"),
		keystore.CreateOptions{Number: h.number, MSPID: h.msp, IdentityKey: bytes.Repeat([]byte{7}, 32), KDF: keystore.MinKDF()})
	require.NoError(t, err)
	require.NoError(t, h.keys.GenerateHospitalKeys(ctx))
	who, err := h.keys.Hospital(ctx)
	require.NoError(t, err)
	sign, err := c.authority.Issue(who.SigningKey, smcrypto.Subject{CommonName: "s", Organization: h.msp}, smcrypto.UsageSign, c.now.Add(-time.Hour), c.now.Add(time.Hour))
	require.NoError(t, err)
	enc, err := c.authority.Issue(who.EncryptionKey, smcrypto.Subject{CommonName: "e", Organization: h.msp}, smcrypto.UsageEncipher, c.now.Add(-time.Hour), c.now.Add(time.Hour))
	require.NoError(t, err)
	require.NoError(t, h.keys.ImportCertificates(ctx, sign.PEM(), enc.PEM()))
	h.store, err = embedded.Open(ctx, filepath.Join(h.dir, "store"), embedded.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, errors.Join(h.store.Close(), h.keys.Close())) })
	return h
}

// The ledger in memory.
type ledger struct{ *hospital }

func (l ledger) key(project string, n uint32) string {
	return fmt.Sprintf("%s/%s/%d", project, l.msp, n)
}

func (l ledger) Project(_ context.Context, id string) (release.Project, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id != l.project.ID {
		return release.Project{}, release.ErrNotApproved
	}
	p := l.project
	for p.NextRelease = 1; ; p.NextRelease++ {
		if _, ok := l.entries[l.key(id, p.NextRelease)]; !ok {
			break
		}
	}
	p.Closed = l.closed
	for p.NextNotice = 1; l.notices[l.key(id, p.NextNotice)] != nil; p.NextNotice++ {
	}
	return p, l.down
}

func (l ledger) Consents(_ context.Context, tag evidence.Tag) ([]policy.Consent, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.consents[tag]), l.down
}

func (l ledger) Released(_ context.Context, project string, n uint32) (*release.Entry, release.Receipt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.entries[l.key(project, n)]; ok {
		return &e, release.Receipt{TxID: "tx"}, l.down
	}
	return nil, release.Receipt{}, l.down
}

func (l ledger) Record(_ context.Context, e release.Entry) (release.Receipt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down != nil {
		return release.Receipt{}, l.down
	}
	key := l.key(e.Project, e.Sequence)
	if old, ok := l.entries[key]; ok && old != e {
		return release.Receipt{}, &evidence.Refusal{Code: evidence.CodeConflict}
	}
	l.entries[key] = e
	l.recorded++
	return release.Receipt{TxID: "tx"}, nil
}

func (l ledger) Noticed(_ context.Context, n release.Notice) (bool, release.Receipt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.notices[l.key(n.Project, n.Sequence)] != nil, release.Receipt{TxID: "tx"}, l.down
}

func (l ledger) Notify(_ context.Context, n release.Notice) (release.Receipt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notices[l.key(n.Project, n.Sequence)] = n.Subjects
	return release.Receipt{TxID: "tx"}, l.down
}

// Tags implements release.Patients: nobody was merged.
func (h *hospital) Tags(_ context.Context, tag evidence.Tag) ([]evidence.Tag, error) {
	return []evidence.Tag{tag}, nil
}

// Carry implements release.Carrier.
func (h *hospital) Carry(_ context.Context, proxy string, envelope []byte, d dataset.Delivery, open func(int) (io.ReadSeekCloser, error)) error {
	require.Equal(h.t, "H1MSP", proxy)
	part := map[string][]byte{dataset.EnvelopeName: envelope}
	for i := range d.Volumes {
		f, err := open(i)
		require.NoError(h.t, err)
		b, err := io.ReadAll(f)
		require.NoError(h.t, errors.Join(err, f.Close()))
		part[dataset.VolumeName(i)] = b
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts[fmt.Sprintf("%s/%s/%d", d.Hospital, d.Kind, d.Sequence)] = part
	return h.down
}

// engine takes payloads that are lists of FHIR resources; it replaces the name.
type engine struct{ h *hospital }

func (engine) Policy() (string, evidence.Digest) { return "test", evidence.Digest{5} }

func (engine) Prepare(func(string) bool) error { return nil }

func (engine) Facts(_ context.Context, r *record.Record) (f release.Facts, err error) {
	var list []map[string]any
	if err := json.Unmarshal(r.Payload, &list); err != nil {
		return f, err
	}
	for _, m := range list {
		if m["resourceType"] == "Condition" {
			f.Diagnoses = append(f.Diagnoses, m["code"].(map[string]any)["coding"].([]any)[0].(map[string]any)["code"].(string))
		}
	}
	f.Region = r.Metadata["region"]
	return f, nil
}

func (e engine) Deidentify(_ context.Context, r *record.Record, _ release.Subject) ([]json.RawMessage, error) {
	if e.h.leak != nil && e.h.leak(r.Payload) {
		return nil, fmt.Errorf("%w: name", release.ErrLeak)
	}
	var list []json.RawMessage
	return list, json.Unmarshal(bytes.ReplaceAll(r.Payload, []byte("李明"), []byte("[姓名]")), &list)
}

func (h *hospital) releaser() *release.Releaser {
	h.t.Helper()
	c := release.Config{MSP: h.msp, Number: h.number, Dir: filepath.Join(h.dir, "release"), Ledger: ledger{h}, Vault: h.keys, Store: h.store,
		Patients: h, Carrier: h, Now: func() time.Time { return h.now },
		Deidentifier: func(release.Project, [32]byte) (release.Deidentifier, error) { return engine{h}, nil }}
	if h.change != nil {
		h.change(&c)
	}
	r, err := release.New(context.Background(), c)
	require.NoError(h.t, err)
	return r
}

// resident makes a resident number that nobody has, of region 99.
func resident(n int) string {
	s := fmt.Sprintf("99%04d1970%02d%02d%03d", 101+n%3, 1+n%12, 1+n%28, n%1000)
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += int(s[i]-'0') * w
	}
	return s + string("10X98765432"[sum%11])
}

func (h *hospital) tag(n int) evidence.Tag {
	ctx := context.Background()
	token, err := h.keys.PatientToken(ctx, keystore.Identity{ResidentID: resident(n)})
	require.NoError(h.t, err)
	tag, err := h.keys.Tag(ctx, token)
	require.NoError(h.t, err)
	return evidence.Tag(tag)
}

// file seals and stores a record of a patient with a diagnosis and a result.
func (h *hospital) file(n int, code string) record.ID {
	ctx, t := context.Background(), h.t
	h.n++
	payload := fmt.Sprintf(`[{"resourceType":"Patient","id":"p%[1]d","name":[{"text":"李明"}]},
{"resourceType":"Practitioner","id":"dr","name":[{"text":"李明"}]},
{"resourceType":"Encounter","id":"e%[3]d","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/p%[1]d","display":"李明"},"serviceProvider":{"reference":"Organization/x","display":"李明"},"location":[{"location":{"reference":"Location/1"},"status":"active"}],
"participant":[{"individual":{"reference":"Practitioner/dr","display":"李明"},"type":[{"text":"attender"}]}],"partOf":{"reference":"https://his.example/fhir/Encounter/7"}},
{"resourceType":"Condition","id":"c%[3]d","identifier":[{"value":"7"}],"text":{"div":"x"},"meta":{"source":"his","security":[{"code":"PSEUDED"}]},"subject":{"reference":"Patient/p%[1]d"},"encounter":{"reference":"Encounter/e%[3]d"},"code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10","code":"%[2]s","display":"诊断, \"甲\""}]}},
{"resourceType":"Observation","id":"o%[3]d","status":"final","subject":{"reference":"Patient/p%[1]d"},"valueQuantity":{"value":5.%[3]d0,"unit":"mmol/L"},"code":{"text":"葡萄糖"}}]`, n, code, h.n)
	rec := &record.Record{ModelVersion: record.ModelVersion, HospitalMSP: h.msp, Sender: "his", ControlID: fmt.Sprint(h.n), Kind: "ORU^R01",
		Patient:   record.Patient{Identifiers: []record.Identifier{{Type: record.ResidentID, Value: resident(n)}}, BirthDate: "19700101", Gender: fmt.Sprint(1 + n%2)},
		EventTime: record.NewTime(h.now.Add(-time.Hour), record.Second, false), ReceivedAt: h.now.UnixMilli(), MediaType: "application/fhir+json",
		Encounter: fmt.Sprintf("visit %d", n), Metadata: map[string]string{"region": "990101"}, Payload: []byte(payload)}
	rec.ID = record.NewID(record.Origin{HospitalNumber: h.number, HospitalMSP: h.msp, Sender: rec.Sender, ControlID: rec.ControlID, Payload: rec.Payload})
	emr, err := rec.Canonical()
	require.NoError(t, err)
	tag := h.tag(n)
	epoch, _, err := h.keys.EnsurePatient(ctx, keystore.Tag(tag))
	require.NoError(t, err)
	key, err := h.keys.RecordKey(ctx, keystore.Tag(tag), epoch, keystore.RecordID(rec.ID))
	require.NoError(t, err)
	s, err := smcrypto.Seal(h.p, key, smcrypto.Header{RecordID: rec.ID, HospitalNumber: h.number, MSPID: h.msp, Tag: tag, Epoch: epoch, SealedAt: h.now}, emr,
		func(digest [32]byte) ([]byte, error) {
			b, err := evidence.SealStatement{Record: evidence.RecordID(rec.ID), Hospital: h.msp, Kind: rec.Kind, EventTime: rec.EventTime.UnixMilli,
				Precision: uint8(rec.EventTime.Precision), EMR: digest}.SigningBytes()
			require.NoError(t, err)
			return h.keys.Sign(ctx, b)
		})
	require.NoError(t, err)
	_, _, err = h.store.Put(ctx, recordstore.Draft{ID: rec.ID, Tag: tag, Kind: rec.Kind, Epoch: epoch, SealedAt: h.now.UnixMilli(), CipherHash: s.CipherDigest}, s.Bytes)
	require.NoError(t, err)
	return rec.ID
}

// consenting records a consent for research of a patient.
func (c *consortium) consenting(n int, change func(*policy.Consent)) {
	k := policy.Consent{ID: fmt.Sprint(n), Grantees: []string{theInstitute}, Owners: []string{policy.Anyone}, Purposes: []string{"research"}, NotAfter: c.now.Add(24 * time.Hour).UnixMilli()}
	if change != nil {
		change(&k)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.consents[c.hospitals[0].tag(n)] = []policy.Consent{k}
}

func (c *consortium) withdraw(n int) {
	c.consenting(n, func(k *policy.Consent) { k.Revoked = true })
}

// opened opens a part as the institute does.
func (c *consortium) opened(part string) (string, dataset.Manifest) {
	t := c.t
	files := c.parts[part]
	require.NotNil(t, files, part)
	e, d, err := dataset.ParseEnvelope(files[dataset.EnvelopeName])
	require.NoError(t, err)
	key, err := e.Verify(c.p, d, []*smcrypto.Certificate{c.authority.Cert})
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "opened")
	m, err := dataset.Open(dataset.OpenConfig{Provider: c.p, Hospital: key, Key: c.institute.Public().Fingerprint(), Now: c.now,
		Decrypt: func(b []byte) ([]byte, error) { return c.p.Decrypt(c.institute, b) },
		Volume: func(i int) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(files[dataset.VolumeName(i)])), nil
		}}, d, dir)
	require.NoError(t, err)
	return dir, m
}

func column(t *testing.T, dir, name string) (out []string) {
	b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	require.NoError(t, err)
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	require.NoError(t, err)
	for _, r := range rows[1:] {
		out = append(out, r[0])
	}
	return out
}

// fill files and consents: patients 0 to 9 in hospital 1, 6 to 15 in hospital 2.
func (c *consortium) fill() {
	for n := range 16 {
		c.consenting(n, nil)
	}
	for n := range 10 {
		c.hospitals[0].file(n, "I10.x00")
		c.hospitals[0].file(n, "J20")
	}
	for n := 6; n < 16; n++ {
		c.hospitals[1].file(n, "E11.9")
	}
}

func TestTwoHospitalsRelease(t *testing.T) {
	ctx, c := context.Background(), newConsortium(t)
	c.fill()
	c.hospitals[0].file(20, "I10") // no consent
	c.consenting(21, nil)
	c.hospitals[0].file(21, "K35") // another diagnosis
	c.consenting(22, func(k *policy.Consent) { k.Purposes = []string{"treatment"} })
	c.hospitals[0].file(22, "I10")
	var subjects [2][]string
	for i, h := range c.hospitals {
		r := h.releaser()
		s, err := r.Release(ctx, theProject, 0)
		require.NoError(t, err)
		assert.Equal(t, release.Delivered, s.Stage)
		assert.Equal(t, 10, s.Subjects)
		again, err := r.Release(ctx, theProject, 1)
		require.NoError(t, err)
		assert.Equal(t, s.Root, again.Root)
		dir, m := c.opened(h.msp + "/release/1")
		assert.GreaterOrEqual(t, m.Risk.K, 3)
		subjects[i] = column(t, dir, "tables/subjects.csv")
		assert.Len(t, subjects[i], 10)
		checkContent(t, dir)
		left, err := os.ReadDir(filepath.Join(h.dir, "release", theProject, "release-000001"))
		require.NoError(t, err)
		assert.Len(t, left, 3, "envelope, state and encrypted subjects are all that stays")
	}
	assert.Equal(t, 2, c.recorded, "one word to the ledger for each release")
	both := 0
	for _, name := range subjects[0] {
		if slices.Contains(subjects[1], name) {
			both++
		}
	}
	assert.Equal(t, 4, both, "patients 6 to 9 are in both parts under one name")
	_, err := c.hospitals[0].releaser().Release(ctx, theProject, 3)
	require.ErrorIs(t, err, release.ErrSequence)
	_, err = c.hospitals[0].releaser().Release(ctx, "INST1.other", 0)
	require.ErrorIs(t, err, release.ErrNotApproved)
}

// checkContent reads an opened package through: nothing that names anybody, references that
// lead somewhere, numbers as they were.
func checkContent(t *testing.T, dir string) {
	ids := map[string]bool{}
	var refs []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		require.NoError(t, err)
		if d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		for n := range 30 {
			require.NotContains(t, string(b), resident(n))
		}
		require.NotContains(t, string(b), "李明")
		require.NotContains(t, string(b), "[姓名]", "a display beside a reference is no part of a dataset")
		if !strings.HasSuffix(path, ".ndjson") {
			return nil
		}
		for line := range bytes.Lines(b) {
			var m map[string]any
			require.NoError(t, json.Unmarshal(line, &m))
			ids[m["resourceType"].(string)+"/"+m["id"].(string)] = true
			require.NotContains(t, m, "text")
			for _, name := range []string{"subject", "encounter"} {
				if o, ok := m[name].(map[string]any); ok {
					refs = append(refs, o["reference"].(string))
				}
			}
		}
		return nil
	}))
	require.NotEmpty(t, refs)
	for _, ref := range refs {
		require.True(t, ids[ref], ref)
	}
	b, err := os.ReadFile(filepath.Join(dir, "resources", "Observation.ndjson"))
	require.NoError(t, err)
	require.Contains(t, string(b), `5.10}`, "numbers keep their digits")
	b, err = os.ReadFile(filepath.Join(dir, "resources", "Encounter.ndjson"))
	require.NoError(t, err)
	for _, s := range []string{"{}", "[]", "null", "location", "individual", "partOf", "serviceProvider"} {
		require.NotContains(t, string(b), s, "nothing empty is left of a reference that ends")
	}
	require.Contains(t, string(b), "attender")
	require.Equal(t, 10, bytes.Count(b, []byte("\n")), "a visit that several records tell of is one")
	_, err = os.Stat(filepath.Join(dir, "resources", "Practitioner.ndjson"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestWithdrawal(t *testing.T) {
	ctx, c := context.Background(), newConsortium(t)
	c.fill()
	r := c.hospitals[0].releaser()
	_, err := r.Release(ctx, theProject, 1)
	require.NoError(t, err)
	before, _ := c.opened("H1MSP/release/1")
	n, err := r.Notify(ctx, theProject)
	require.NoError(t, err)
	require.Nil(t, n, "nobody withdrew")
	c.withdraw(3)
	c.withdraw(12) // not a patient of hospital 1
	c.now = c.now.Add(time.Minute)
	n, err = r.Notify(ctx, theProject)
	require.NoError(t, err)
	assert.Equal(t, 1, n.Subjects)
	dir, m := c.opened("H1MSP/notice/1")
	assert.Equal(t, dataset.Notice, m.Kind)
	b, err := os.ReadFile(filepath.Join(dir, "withdrawn.txt"))
	require.NoError(t, err)
	gone := strings.Fields(string(b))
	require.Len(t, gone, 1)
	assert.Equal(t, gone, c.notices[theProject+"/H1MSP/1"])
	assert.Contains(t, column(t, before, "tables/subjects.csv"), gone[0])
	c.now = c.now.Add(time.Minute)
	again, err := r.Notify(ctx, theProject)
	require.NoError(t, err)
	assert.Nil(t, again, "told once")
	_, err = r.Release(ctx, theProject, 2)
	require.NoError(t, err)
	after, _ := c.opened("H1MSP/release/2")
	assert.NotContains(t, column(t, after, "tables/subjects.csv"), gone[0])
	assert.Len(t, column(t, after, "tables/subjects.csv"), 9)
	who, err := r.Resolve(ctx, theProject, column(t, after, "tables/subjects.csv")[0])
	require.NoError(t, err)
	assert.NotEmpty(t, who.Identifiers)
	_, err = r.Resolve(ctx, theProject, "nobody")
	require.ErrorIs(t, err, release.ErrUnknownSubject)
}

// crash is what ends a release at a step, as a power failure does.
type crash struct{ step string }

func TestACrashAtAnyStepMakesNoSecondRelease(t *testing.T) {
	ctx, c := context.Background(), newConsortium(t)
	c.fill()
	steps := []string{"planned", "built", "sealed", "told", "anchored", "carried", "delivered"}
	for i, step := range steps {
		t.Run(step, func(t *testing.T) {
			h, number := c.hospitals[0], uint32(i+1)
			told := c.recorded
			h.change = func(cfg *release.Config) {
				cfg.Crash = func(at string) {
					if at == step {
						panic(crash{step})
					}
				}
			}
			func() {
				defer func() { require.Equal(t, crash{step}, recover()) }()
				_, _ = h.releaser().Release(ctx, theProject, number)
			}()
			h.change = nil
			var root evidence.Digest
			if e, ok := c.entries[fmt.Sprintf("%s/%s/%d", theProject, h.msp, number)]; ok {
				root = e.Root
			}
			r := h.releaser()
			require.NoError(t, r.Resume(ctx))
			s, err := r.Release(ctx, theProject, number)
			require.NoError(t, err)
			assert.Equal(t, release.Delivered, s.Stage)
			assert.Equal(t, told+1, c.recorded)
			if !root.IsZero() {
				assert.Equal(t, root, s.Root, "what the ledger was told is what leaves")
			}
			_, m := c.opened(fmt.Sprintf("%s/release/%d", h.msp, number))
			assert.Equal(t, s.Rows, m.Rows)
		})
	}
}

func TestWhoWithdrawsMeanwhileIsNotReleased(t *testing.T) {
	for _, step := range []string{"built", "sealed"} {
		t.Run(step, func(t *testing.T) {
			ctx, c := context.Background(), newConsortium(t)
			c.fill()
			h := c.hospitals[0]
			once := false
			h.change = func(cfg *release.Config) {
				cfg.Crash = func(at string) {
					if at == step && !once {
						once = true
						c.withdraw(2)
					}
				}
			}
			s, err := h.releaser().Release(ctx, theProject, 1)
			require.NoError(t, err)
			assert.Equal(t, 9, s.Subjects)
			assert.Equal(t, 1, c.recorded)
		})
	}
}
