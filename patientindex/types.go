package patientindex

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"modernc.org/sqlite"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
)

// Errors of the index.
var (
	// ErrInUse: another process has the index open for writing.
	ErrInUse = errors.New("patientindex: in use by another process")
	// ErrReadOnly: the index was opened for reading.
	ErrReadOnly = errors.New("patientindex: opened for reading only")
	// ErrClosed: the index is closed.
	ErrClosed = errors.New("patientindex: closed")
	// ErrCorrupt: the file is damaged, or belongs to another keystore; see Rebuild.
	ErrCorrupt = errors.New("patientindex: damaged or of another keystore")
	// ErrSchema: the file is of another program or a newer version.
	ErrSchema = errors.New("patientindex: unknown format")
	// ErrFull: the disk is full.
	ErrFull = errors.New("patientindex: no space")
	// ErrUnnamed: none of the identifiers names anybody.
	ErrUnnamed = errors.New("patientindex: no identifier names a patient")
	// ErrUnknown: the index holds nothing of the kind.
	ErrUnknown = errors.New("patientindex: unknown")
	// ErrMerge: metadata of a merge that cannot be read.
	ErrMerge = errors.New("patientindex: merge is malformed")
)

// Failed reports an error of the index itself: the disk, or a closed index. It passes
// without the record changing.
func Failed(err error) bool {
	for _, e := range []error{ErrFull, ErrClosed, ErrCorrupt, ErrInUse, ErrReadOnly} {
		if errors.Is(err, e) {
			return true
		}
	}
	var database *sqlite.Error
	return errors.As(err, &database)
}

// Evidence is what one record says about who is who.
type Evidence struct {
	Record      record.ID
	Event       string // kind of the record, for the history
	At          int64  // time of the event, Unix milliseconds; for the history alone
	Identifiers []record.Identifier
}

// LogValue implements slog.LogValuer.
func (e Evidence) LogValue() slog.Value {
	return slog.GroupValue(slog.String("record", e.Record.String()), slog.String("event", e.Event), slog.Int("identifiers", len(e.Identifiers)))
}

// MetadataKey is the name of the metadata of a record that holds a Merge as JSON.
const MetadataKey = "merge"

// Merge is what a merge message says. Its JSON form stands in record.Metadata[MetadataKey].
// It holds numbers of patients and redacts itself.
type Merge struct {
	Event string
	// Subject is what is merged: "patient" or "", "move" (numbers go to another person),
	// "account" or "visit". The last two leave persons alone.
	Subject  string
	Survivor []record.Identifier
	Prior    []record.Identifier
	// Undo asks for a merge to be undone: of these two, or the one that a record made.
	Undo bool
	// Of is the record whose changes are undone; zero for those between Survivor and Prior.
	Of record.ID
}

// LogValue implements slog.LogValuer.
func (m Merge) LogValue() slog.Value {
	return slog.GroupValue(slog.String("event", m.Event), slog.Bool("undo", m.Undo))
}

type mergeJSON struct {
	Event    string           `json:"event"`
	Subject  string           `json:"subject,omitempty"`
	Survivor []identifierJSON `json:"survivor,omitempty"`
	Prior    []identifierJSON `json:"prior,omitempty"`
	Undo     bool             `json:"undo,omitempty"`
	Of       string           `json:"of,omitempty"`
}

type identifierJSON struct {
	Authority string `json:"authority,omitempty"`
	Type      string `json:"type"`
	Value     string `json:"value"`
}

// MarshalJSON implements json.Marshaler.
func (m Merge) MarshalJSON() ([]byte, error) {
	out := mergeJSON{Event: m.Event, Subject: m.Subject, Undo: m.Undo}
	for _, l := range []struct {
		from []record.Identifier
		to   *[]identifierJSON
	}{{m.Survivor, &out.Survivor}, {m.Prior, &out.Prior}} {
		for _, id := range l.from {
			*l.to = append(*l.to, identifierJSON{id.Authority, string(id.Type), id.Value})
		}
	}
	if !m.Of.IsZero() {
		out.Of = m.Of.String()
	}
	return json.Marshal(out)
}

// Bounds of the merges of one record.
const (
	maxMergeJSON = 64 << 10 // bytes of one
	maxMerges    = 64
)

// MergesOf reads the merges that the metadata of a record holds: under MetadataKey and
// MetadataKey.move, further ones with .2, .3 and so on. The error wraps ErrMerge and quotes
// nothing; what could be read comes with it.
func MergesOf(r *record.Record) (list []Merge, err error) {
	for _, base := range []string{MetadataKey, MetadataKey + ".move"} {
		for i := 1; i <= maxMerges; i++ {
			key := base
			if i > 1 {
				key = fmt.Sprintf("%s.%d", base, i)
			}
			text := r.Metadata[key]
			if text == "" {
				break
			}
			m, bad := parseMerge(text)
			if bad != nil {
				err = errors.Join(err, bad)
				continue
			}
			list = append(list, m)
		}
	}
	return list, err
}

// HasMerge reports whether a record asks for persons to be merged or parted.
func HasMerge(r *record.Record) bool {
	return r.Metadata[MetadataKey] != "" || r.Metadata[MetadataKey+".move"] != ""
}

func parseMerge(text string) (m Merge, err error) {
	var in mergeJSON
	if len(text) > maxMergeJSON {
		return m, fmt.Errorf("%w: %d bytes, the limit is %d", ErrMerge, len(text), maxMergeJSON)
	}
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return m, fmt.Errorf("%w: not the JSON object that is expected", ErrMerge)
	}
	if len(in.Survivor) > maxIdentifiers || len(in.Prior) > maxIdentifiers {
		return m, fmt.Errorf("%w: more than %d identifiers on one side", ErrMerge, maxIdentifiers)
	}
	m = Merge{Event: in.Event, Subject: in.Subject, Undo: in.Undo}
	for _, id := range in.Survivor {
		m.Survivor = append(m.Survivor, record.Identifier{Authority: id.Authority, Type: record.IdentifierType(id.Type), Value: id.Value})
	}
	for _, id := range in.Prior {
		m.Prior = append(m.Prior, record.Identifier{Authority: id.Authority, Type: record.IdentifierType(id.Type), Value: id.Value})
	}
	if in.Of != "" {
		if m.Of, err = record.ParseID(in.Of); err != nil {
			return m, fmt.Errorf("%w: the record it is about: %w", ErrMerge, err)
		}
	}
	return m, nil
}

// administrative are merge and move events about accounts and visits: the persons stay two,
// or were one before (HL7 v2.5 §3.3.35 to §3.3.50).
var administrative = []string{"A35", "A38", "A41", "A42", "A44", "A45", "A49", "A50"}

// ofPersons reports whether the merge is about persons at all.
func (m Merge) ofPersons() bool {
	switch m.Subject {
	case "":
		return !slices.ContainsFunc(administrative, func(a string) bool { return strings.HasSuffix(m.Event, a) })
	case "patient", "move":
		return true
	}
	return false
}

// Code names an incident, as the trail shows it.
type Code string

// Codes of incidents.
const (
	// Conflict: a number that belongs to one resident came with another; it is in doubt now.
	Conflict Code = "PATIENT_CONFLICT"
	// Ambiguous: a number came with a person that has another number of that kind; it is in doubt now.
	Ambiguous Code = "PATIENT_AMBIGUOUS"
	// TwoResidents: a record names its patient by two resident numbers.
	TwoResidents Code = "PATIENT_TWO_RESIDENT_IDS"
	// TooMany: a person would have more tags than the ledger follows.
	TooMany Code = "PATIENT_TOO_MANY_TAGS"
	// MergeResidents: a merge of two persons with different resident numbers was carried out.
	MergeResidents Code = "MERGE_RESIDENT_IDS_DIFFER"
	// MergeSelf, MergeReversed and MergeCircular: the merge was refused.
	MergeSelf     Code = "MERGE_SELF"
	MergeReversed Code = "MERGE_REVERSED"
	MergeCircular Code = "MERGE_CIRCULAR"
	// MergeIncomplete: the message names no survivor or no prior number.
	MergeIncomplete Code = "MERGE_INCOMPLETE"
	// MergeUnknown: there is no merge to undo.
	MergeUnknown Code = "MERGE_NOT_FOUND"
	// MergeUnreadable: the record's merge metadata cannot be read.
	MergeUnreadable Code = "MERGE_UNREADABLE"
)

// refusals are the codes under which nothing was changed.
var refusals = []Code{MergeSelf, MergeReversed, MergeCircular, MergeIncomplete, MergeUnknown, TooMany}

// RefusedError reports a merge, or its undoing, that was refused. The index is unchanged.
type RefusedError struct{ Code Code }

// Error implements error.
func (e *RefusedError) Error() string {
	why := map[Code]string{
		MergeSelf:       "survivor and prior number are the same",
		MergeReversed:   "the survivor was merged into the prior number earlier: undo that first",
		MergeCircular:   "the survivor was merged, by way of others, into the prior number: undo one of these first",
		MergeIncomplete: "survivor or prior number is missing",
		MergeUnknown:    "there is no such merge, or it was undone before",
		TooMany:         "the person would have more tags than the ledger follows",
	}[e.Code]
	return fmt.Sprintf("patientindex: refused (%s): %s", e.Code, why)
}

// Link is what the ledger is to be told: one tag is linked to another, or no longer.
type Link struct {
	From, To evidence.Tag
	// Order grows with each change at this hospital: of two links of a tag the later one counts.
	Order uint64
	Undo  bool
}

// Filing says where a record belongs and what came of its evidence. It is the same for the
// same record however often it is asked for.
type Filing struct {
	// Tag is the one to seal under; Registration is the digest of its T_R.
	Tag          evidence.Tag
	Registration evidence.Digest
	Links        []Link
	Incidents    []Code
}

// Refused returns the *RefusedError of a merge that was refused, else nil.
func (f Filing) Refused() error {
	for _, c := range f.Incidents {
		if slices.Contains(refusals, c) {
			return &RefusedError{Code: c}
		}
	}
	return nil
}
