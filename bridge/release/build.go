package release

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/emrbridge/emrbridge/research/dataset"
	"github.com/emrbridge/emrbridge/research/fingerprint"
)

// parallelQueries is how many consents are read from the ledger at a time.
const parallelQueries = 8

// making is one run of build.
type making struct {
	*Releaser
	s      *State
	p      Project
	key    [32]byte
	engine Deidentifier
	opener *opener
	marker *fingerprint.Marker
	shaper *shaper
	spool  *spool
	cohort []*person
	names  []string // pseudonyms, in the order of cohort
	rows   []int    // records of each that went in
}

// build makes the package of a release.
func (r *Releaser) build(ctx context.Context, s *State, p Project) (err error) {
	if err := r.clear(s, spoolName, packageName, sealedName, subjectsName); err != nil {
		return err
	}
	m := &making{Releaser: r, s: s, p: p}
	if err := m.prepare(ctx); err != nil {
		return err
	}
	if m.spool, err = newSpool(filepath.Join(r.home(s), spoolName), m.marker); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.spool.close()) }()
	for _, step := range []func(context.Context) error{m.consents, m.choosing, m.deidentify, m.release} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.Stage, s.LastError = Built, ""
	return r.save(s)
}

func (m *making) prepare(ctx context.Context) (err error) {
	if m.key, err = m.Vault.ProjectKey(ctx, m.p.ID); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	if m.engine, err = m.Deidentifier(m.p, m.key); err != nil {
		return err
	}
	if m.opener, err = m.Releaser.opener(ctx); err != nil {
		return err
	}
	m.marker = fingerprint.NewMarker(fingerprint.NewKey(m.key, m.p.Institute))
	m.shaper = newShaper(m.key, m.MSP, m.marker, m.p.Fields)
	stats, err := m.Store.Stats(ctx)
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	s := m.s
	s.Cutoff = stats.LastSequence
	s.Policy, s.Digest = m.engine.Policy()
	s.Held, s.Records, s.Subjects, s.Suppressed, s.Consenting = map[string]int{}, 0, 0, 0, 0
	return nil
}

// consents keeps the patients whose consent stands now.
func (m *making) consents(ctx context.Context) error {
	people, err := m.people(ctx, m.s.Cutoff)
	if err != nil {
		return err
	}
	m.s.Patients = len(people)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelQueries)
	for i, p := range people {
		m.tell(m.s, "consents", i, len(people))
		group.Go(func() (err error) {
			p.consent, err = m.consent(gctx, m.p, p.tags)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, p := range people {
		if p.consent.Granted {
			m.cohort = append(m.cohort, p)
		}
	}
	m.s.Consenting = len(m.cohort)
	return nil
}

// choosing keeps those whom the criteria ask for, with their records.
func (m *making) choosing(ctx context.Context) error {
	var stay []*person
	for i, p := range m.cohort {
		m.tell(m.s, "select", i, len(m.cohort))
		if err := m.choose(ctx, m.opener, m.engine, m.p.Criteria, p, m.s.Held); err != nil {
			return err
		}
		if len(p.records) > 0 {
			stay = append(stay, p)
		}
	}
	m.cohort = stay
	return nil
}

// deidentify brings the records of the cohort to the spool, without their identifiers.
func (m *making) deidentify(ctx context.Context) error {
	if err := m.engine.Prepare(m.rare()); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	leaks := 0
	for i, p := range m.cohort {
		m.tell(m.s, "de-identify", i, len(m.cohort))
		key := subjectKey(m.key, p.tag)
		m.names = append(m.names, surrogate(m.marker, key))
		m.rows = append(m.rows, 0)
		for _, ref := range p.records {
			if err := ctx.Err(); err != nil {
				return err
			}
			err := m.one(ctx, int32(i), ref, Subject{key})
			switch {
			case err == nil:
				m.rows[i]++
			case errors.Is(err, ErrLeak):
				m.s.Held["leak"]++
				leaks++
			case errors.Is(err, ErrUnfit):
				m.s.Held["unfit"]++
			default:
				return err
			}
		}
	}
	if leaks > 0 && !m.HoldBack {
		return fmt.Errorf("%w in %d records: nothing was released. Look at the policy, or release without these records", ErrLeak, leaks)
	}
	return nil
}

// rare tells of diagnoses that fewer persons of the cohort have than a group must have members.
func (m *making) rare() func(code string) bool {
	persons := map[string]int{}
	for _, p := range m.cohort {
		for code := range p.codes {
			persons[code]++
		}
	}
	k := max(m.p.MinGroup, 2)
	return func(code string) bool { return persons[code] < k }
}

func (m *making) one(ctx context.Context, subject int32, ref reference, who Subject) error {
	rec, err := m.opener.open(ctx, ref.id)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	list, err := m.engine.Deidentify(ctx, rec, who)
	if err != nil {
		return err
	}
	decoded := make([]map[string]any, len(list))
	for i, raw := range list {
		if decoded[i], err = decode(raw); err != nil {
			return err
		}
	}
	m.shaper.record(rec.Encounter, decoded)
	for _, v := range decoded {
		if err := m.keep(subject, v); err != nil {
			return err
		}
	}
	return nil
}

// keep puts one resource and its rows of tables into the spool. Of a visit, which many records
// tell of, the last word counts.
func (m *making) keep(subject int32, v map[string]any) error {
	typ, ok := m.shaper.shape(v, m.names[subject])
	if !ok {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: a resource that cannot be written", ErrUnfit)
	}
	add := m.spool.add
	if typ == encounterType {
		id, _ := v["id"].(string)
		add = func(name string, subject int32, text []byte) error { return m.spool.replace(name, id, subject, text) }
	}
	if err := add("resources/"+typ+".ndjson", subject, text); err != nil {
		return err
	}
	for _, t := range tablesOf(typ) {
		if err := add("tables/"+t.name+".csv", subject, csvLine(append([]string{m.names[subject]}, t.row(v)...)...)); err != nil {
			return err
		}
	}
	return nil
}

// release passes the risk gate and writes the package and the list of its subjects.
func (m *making) release(context.Context) error {
	m.tell(m.s, "risk", 0, 0)
	verdict, err := m.gate()
	if err != nil {
		return err
	}
	s := m.s
	s.Risk, s.Levels, s.Suppressed = verdict.risk, verdict.levels, verdict.suppressed
	for i := range m.cohort {
		if verdict.stays(int32(i)) {
			s.Subjects++
			s.Records += m.rows[i]
		}
	}
	if err := m.write(verdict); err != nil {
		return err
	}
	return m.saveSubjects(verdict)
}

// write writes the package.
func (m *making) write(v verdict) error {
	m.tell(m.s, "package", 0, 0)
	var salts dataset.Salts
	if _, err := rand.Read(salts[:]); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	s := m.s
	b, err := dataset.NewBuilder(filepath.Join(m.home(s), packageName), dataset.Manifest{
		Kind: dataset.Release, Project: s.Project, Institute: s.Institute, Hospital: m.MSP, Sequence: s.Sequence, Created: m.Now().UTC().Truncate(time.Second),
		Policy: s.Policy, PolicyDigest: s.Digest, Subjects: s.Subjects, Suppressed: s.Suppressed, Risk: s.Risk}, salts)
	if err != nil {
		return err
	}
	for _, step := range []func(*dataset.Builder, verdict) error{m.writeSubjects, m.writeSpooled, m.writeDocuments} {
		if err := step(b, v); err != nil {
			return err
		}
	}
	manifest, root, err := b.Finish()
	s.Rows, s.Root = manifest.Rows, root
	return err
}

// writeSubjects writes the subjects as a table and as Patient resources, both from what the
// risk gate let through.
func (m *making) writeSubjects(b *dataset.Builder, v verdict) error {
	for i := range m.cohort {
		if !v.stays(int32(i)) {
			continue
		}
		row := v.rows[i]
		cells := append([]string{m.names[i]}, row...)
		if err := m.spool.add("tables/subjects.csv", int32(i), csvLine(append(cells, strconv.Itoa(m.rows[i]))...)); err != nil {
			return err
		}
		text, err := json.Marshal(patientOf(m.p.ID, m.names[i], row))
		if err != nil {
			return fmt.Errorf("release: %w", err)
		}
		if err := m.spool.add("resources/Patient.ndjson", int32(i), text); err != nil {
			return err
		}
	}
	return nil
}

// Names of what a de-identified Patient says beside its pseudonym.
const (
	pseudonymSystem = "urn:emrbridge:research:"
	ageURL          = "urn:emrbridge:research:age"
	regionURL       = "urn:emrbridge:research:region"
)

// genders of FHIR for codes of GB/T 2261.1.
var genders = map[string]string{"0": "unknown", "1": "male", "2": "female", "9": "unknown"}

// patientOf is the Patient resource of a subject: nothing but what its row in the table says.
func patientOf(project, name string, row []string) map[string]any {
	out := map[string]any{"resourceType": patientType, "id": name,
		"identifier": []any{map[string]any{"system": pseudonymSystem + project, "value": name}}}
	if g := genders[row[0]]; g != "" {
		out["gender"] = g
	}
	var more []any
	for i, url := range []string{ageURL, regionURL} {
		if v := row[i+1]; v != "" && v != suppressedCell {
			more = append(more, map[string]any{"url": url, "valueString": v})
		}
	}
	if more != nil {
		out["extension"] = more
	}
	return out
}

// writeSpooled writes resources and tables in the order of the recipient's copy.
func (m *making) writeSpooled(b *dataset.Builder, v verdict) error {
	for _, name := range m.spool.names() {
		media, about, head := description(name)
		out, err := b.Lines(name, media, about, head)
		if err != nil {
			return err
		}
		if err := errors.Join(m.spool.write(name, v.stays, out), out.Close()); err != nil {
			return err
		}
	}
	return nil
}

// writeDocuments writes the data dictionary and the risk report.
func (m *making) writeDocuments(b *dataset.Builder, v verdict) error {
	return errors.Join(
		b.Document("dictionary.csv", "text/csv; charset=utf-8", "data dictionary · 数据字典", dictionary()),
		b.Document("risk.html", "text/html; charset=utf-8", "risk report · 风险评估报告", v.report),
	)
}
