package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/policy"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
)

// person is a patient of this hospital with all tags and the records that consent covers.
type person struct {
	tag     evidence.Tag // stands for the person in the consortium
	tags    []evidence.Tag
	records []reference
	consent policy.Decision

	sex, birth, region string
	last               time.Time // time of the last record of the cohort
	diagnosis          string    // the first one that the criteria ask for
	codes              map[string]bool
}

// reference is a record that may be released.
type reference struct {
	id   record.ID
	kind string
}

// people gathers the records up to the cutoff by person. It reads no record.
func (r *Releaser) people(ctx context.Context, cutoff uint64) ([]*person, error) {
	byTag := map[evidence.Tag]*person{}
	var list []*person
	for after := uint64(0); after < cutoff; {
		items, err := r.Store.List(ctx, after, recordstore.MaxPage)
		if err != nil {
			return nil, fmt.Errorf("release: list records: %w", err)
		}
		if len(items) == 0 {
			break
		}
		for _, item := range items {
			if after = item.Sequence(); after > cutoff {
				break
			}
			p, err := r.personOf(ctx, item.Tag, byTag, &list)
			if err != nil {
				return nil, err
			}
			p.records = append(p.records, reference{item.ID, item.Kind})
		}
	}
	return list, nil
}

func (r *Releaser) personOf(ctx context.Context, tag evidence.Tag, known map[evidence.Tag]*person, list *[]*person) (*person, error) {
	if p := known[tag]; p != nil {
		return p, nil
	}
	tags, err := r.Patients.Tags(ctx, tag)
	if err != nil {
		return nil, fmt.Errorf("release: patient index: %w", err)
	}
	if len(tags) == 0 {
		tags = []evidence.Tag{tag}
	}
	p := known[tags[0]]
	if p == nil {
		p = &person{tag: tags[0], tags: tags}
		*list = append(*list, p)
	}
	known[tag], known[tags[0]] = p, p
	return p, nil
}

// consent decides whether a person's records may leave for the project now: a consent for
// research under any of the person's tags that names the institute or the project.
func (r *Releaser) consent(ctx context.Context, p Project, tags []evidence.Tag) (policy.Decision, error) {
	var all []policy.Consent
	for _, tag := range tags {
		list, err := r.Ledger.Consents(ctx, tag)
		if err != nil {
			return policy.Decision{}, fmt.Errorf("release: read consents: %w", err)
		}
		all = append(all, list...)
	}
	req := policy.Request{Owner: r.MSP, Purpose: string(evidence.Research), At: r.Now().UnixMilli()}
	var best policy.Decision
	for _, who := range []string{p.Institute, p.ID} {
		req.Requester = who
		if d := policy.Decide(all, req); d.Granted && (!best.Granted || len(d.Kinds) == 0) {
			best = d
		}
	}
	return best, nil
}

// wants reports whether a kind of record belongs to the cohort.
func (c Criteria) wants(kind string) bool {
	return len(c.Kinds) == 0 || slices.ContainsFunc(c.Kinds, func(k string) bool { return strings.HasPrefix(kind, k) })
}

// during reports whether a time lies in the period. Records without a time do so only if the
// criteria set no period.
func (c Criteria) during(t record.Time) bool {
	if c.From == 0 && c.To == 0 {
		return true
	}
	return !t.IsZero() && (c.From == 0 || t.UnixMilli >= c.From) && (c.To == 0 || t.UnixMilli < c.To)
}

// named reports whether a diagnosis is asked for.
func (c Criteria) named(code string) bool {
	code = strings.ToUpper(strings.ReplaceAll(code, ".", ""))
	return slices.ContainsFunc(c.Diagnoses, func(prefix string) bool {
		return strings.HasPrefix(code, strings.ToUpper(strings.ReplaceAll(prefix, ".", "")))
	})
}

// fits reports whether the person's sex and age at a time are asked for. What is not known
// does not fit a limit.
func (c Criteria) fits(sex, birth string, at time.Time) bool {
	if c.Sex != "" && sex != c.Sex {
		return false
	}
	if c.MinAge == 0 && c.MaxAge == 0 {
		return true
	}
	age, ok := ageAt(birth, at)
	return ok && age >= c.MinAge && (c.MaxAge == 0 || age <= c.MaxAge)
}

// ageAt returns full years; birth is YYYYMMDD or the part that is known.
func ageAt(birth string, at time.Time) (int, bool) {
	for _, layout := range []string{"20060102", "200601", "2006"} {
		if len(birth) < len(layout) {
			continue
		}
		born, err := time.Parse(layout, birth[:len(layout)])
		if err != nil {
			return 0, false
		}
		age := at.Year() - born.Year()
		if at.Month() < born.Month() || at.Month() == born.Month() && at.Day() < born.Day() {
			age--
		}
		return age, age >= 0 && age < 150
	}
	return 0, false
}

// choose reads the records of a consenting person and leaves those that the criteria ask
// for; none if the person is not of the cohort.
func (r *Releaser) choose(ctx context.Context, o *opener, d Deidentifier, c Criteria, p *person, held map[string]int) error {
	var stay []reference
	match := len(c.Diagnoses) == 0
	for _, ref := range p.records {
		if !p.consent.Covers(ref.kind) {
			continue
		}
		rec, err := o.open(ctx, ref.id)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			held[unreadable(err)]++
			continue
		}
		p.learn(rec)
		at := time.UnixMilli(rec.EventTime.UnixMilli)
		if !c.during(rec.EventTime) || !c.fits(p.sex, p.birth, at) {
			continue
		}
		facts, err := d.Facts(ctx, rec)
		if err != nil {
			held["unfit"]++
			continue
		}
		match = p.note(facts, c) || match
		if c.wants(ref.kind) {
			stay = append(stay, ref)
			if at.After(p.last) {
				p.last = at
			}
		}
	}
	if p.records = stay; !match {
		p.records = nil
	}
	return nil
}

// note keeps the facts of a record and reports whether a diagnosis is asked for.
func (p *person) note(f Facts, c Criteria) (match bool) {
	for _, code := range f.Diagnoses {
		if p.codes == nil {
			p.codes = map[string]bool{}
		}
		p.codes[code] = true
		if len(c.Diagnoses) > 0 && !c.named(code) {
			continue
		}
		match = true
		if p.diagnosis == "" {
			p.diagnosis = code
		}
	}
	if f.Region != "" {
		p.region = f.Region
	}
	return match
}

// learn keeps what a record says of the person.
func (p *person) learn(r *record.Record) {
	if r.Patient.Gender != "" {
		p.sex = r.Patient.Gender
	}
	if len(r.Patient.BirthDate) >= len(p.birth) {
		p.birth = r.Patient.BirthDate
	}
}

// unreadable names why a record could not be opened, for the count of what was held back.
func unreadable(err error) string {
	if errors.Is(err, errGone) {
		return "key-destroyed"
	}
	return "unreadable"
}
