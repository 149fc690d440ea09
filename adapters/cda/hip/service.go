package hip

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// Submission is a document or message that was accepted and must become durable.
type Submission struct {
	// Raw is the document as it was encoded in its registration, or the text of the message
	// as UTF-8.
	Raw                                         []byte
	Sender, ControlID, Kind, MediaType, Charset string
	Peer                                        string
	RoutingHint                                 string // see hl7.RoutingHint
	ReceivedAt                                  time.Time
	// Document is what was read of Raw; nil for messages.
	Document *cda.Document
	// Patient is the person of a PatientInfoRegister or Update; nil for others.
	Patient *cda.Patient
	// Numbers are all numbers of the patient, those of the registration around a document
	// included, under the roots of the consortium.
	Numbers []cda.ID
}

// LogValue implements slog.LogValuer: content does not reach a log.
func (s Submission) LogValue() slog.Value {
	return slog.GroupValue(slog.String("kind", s.Kind), slog.Int("bytes", len(s.Raw)), slog.String("peer", s.Peer))
}

// Refused is input that was not taken, for the quarantine.
type Refused struct {
	Raw                                         []byte // the message, or the whole call where there is none
	Code, Reason, Sender, ControlID, Kind, Peer string
	ReceivedAt                                  time.Time
}

// LogValue implements slog.LogValuer.
func (r Refused) LogValue() slog.Value {
	return slog.GroupValue(slog.String("code", r.Code), slog.String("kind", r.Kind), slog.Int("bytes", len(r.Raw)), slog.String("peer", r.Peer))
}

// ErrTooLarge is returned by Submit for what can never pass; the sender is told not to try
// again.
var ErrTooLarge = errors.New("hip: larger than what is taken")

// Config assembles a Service.
type Config struct {
	// Submit hands a submission on. It returns nil only when the bytes are durable, or were
	// before; only then the sender is told AA.
	Submit func(ctx context.Context, s Submission) error
	// Quarantine keeps what was refused.
	Quarantine func(ctx context.Context, r Refused) error
	// QuarantineFailed is told what could not be kept; nil: nobody.
	QuarantineFailed func(r Refused, err error)
	// Archive and Registry answer queries; nil means that the service is not offered.
	Archive  Archive
	Registry Registry
	// Partner gives the rules for a sender (sender/device/id); nil: the strict ones for all.
	Partner func(sender string) Partner
	// Mapper reads patients for the routing hint and checks merges.
	Mapper *Mapper
	// AcceptOthers lists further roots that are sealed as they are, beside documents and
	// patients: as "POOR_IN200901UV". "*" takes every service of the table.
	AcceptOthers []string
	// KeepRegistration also seals the message around a registered document.
	KeepRegistration bool
	// Self is the number of this system in the messages it sends; the number that the request
	// was addressed to if empty.
	Self   string
	Limits safexml.Limits
	Now    func() time.Time // nil: time.Now
	// NewID makes message ids, 32 to 36 characters; nil: random UUIDs.
	NewID func() string
}

// Service answers calls. It is safe for concurrent use.
type Service struct{ c Config }

// New returns a service.
func New(c Config) (*Service, error) {
	if c.Submit == nil || c.Quarantine == nil {
		return nil, errors.New("hip: Submit and Quarantine are required")
	}
	if c.Partner == nil {
		c.Partner = func(string) Partner { return Partner{} }
	}
	if c.Mapper == nil {
		partner := c.Partner
		c.Mapper = NewMapper(cda.MapperConfig{Roots: func(s string) cda.Roots { return partner(s).Rules.Roots }})
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.NewID == nil {
		c.NewID = newUUID
	}
	return &Service{c: c}, nil
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// Outcome says what became of a message, for metrics.
type Outcome string

// Outcomes.
const (
	Taken    Outcome = "taken"    // durable, AA
	Answered Outcome = "answered" // a query with results
	NotFound Outcome = "notfound" // a query without results
	Rejected Outcome = "rejected" // AE, in quarantine
	Failed   Outcome = "failed"   // AE, may be sent again
)

// Handle takes the text of one message and returns the answer as a message.
func (s *Service) Handle(ctx context.Context, text, peer string) (reply []byte, what Outcome) {
	a, what := s.handle(ctx, text, peer)
	return a.message(s.c.NewID(), s.c.Self, s.c.Now()), what
}

// Again takes a message that was refused before, as an operator asks for. It answers like
// Handle, but what is refused again is not put into the quarantine: it is there already.
// detail is the text of the acknowledgement.
func (s *Service) Again(ctx context.Context, text, peer string) (what Outcome, detail string) {
	c := s.c
	c.Quarantine = func(context.Context, Refused) error { return nil }
	a, what := (&Service{c: c}).handle(ctx, text, peer)
	return what, a.text
}

func (s *Service) handle(ctx context.Context, text, peer string) (*answer, Outcome) {
	at := s.c.Now()
	in := Refused{Peer: peer, ReceivedAt: at}
	m, err := readMessage(text, s.c.Limits)
	if err != nil {
		in.Raw = []byte(text)
		return s.refuse(ctx, in, nil, refuse("UNREADABLE", "%s", err.Error()))
	}
	in.Sender, in.ControlID, in.Kind = short(m.sender), short(m.id.Extension), m.kind()
	switch m.what() {
	case rootRegister:
		return s.register(ctx, m, in)
	case rootPatientMerge:
		if _, err := s.c.Mapper.merge(m, s.c.Partner(m.sender).Rules.Roots); err != nil {
			return s.refuse(ctx, in, m, refuse("MERGE", "%s", strings.TrimPrefix(err.Error(), "hip: ")))
		}
		return s.seal(ctx, m, in)
	case rootSearch, rootFetch:
		return s.documents(ctx, m)
	case rootPatientQuery:
		return s.patients(ctx, m)
	case "query":
		return &answer{request: m, text: "nothing found · 未查询到符合条件的记录"}, NotFound
	case "add":
		if !s.accepts(m.root) {
			return s.refuse(ctx, in, m, refuse("NOT_OFFERED", "the service of the root element is not offered here"))
		}
		return s.seal(ctx, m, in)
	}
	return s.refuse(ctx, in, m, refuse("UNKNOWN_ROOT", "the root element is no request of the platform"))
}

// accepts reports whether messages of a root are sealed as they are.
func (s *Service) accepts(root string) bool {
	switch plainRoot(root) {
	case plainRoot(rootPatientNew), plainRoot(rootPatientUpdate):
		return true
	}
	for _, r := range s.c.AcceptOthers {
		if r == "*" || plainRoot(r) == plainRoot(root) {
			return true
		}
	}
	return false
}

// refuse quarantines and answers AE.
func (s *Service) refuse(ctx context.Context, in Refused, m *message, err error) (*answer, Outcome) {
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{code: "FAILED", reason: err.Error()}
	}
	in.Code, in.Reason = r.code, r.reason
	if in.Raw == nil && m != nil {
		in.Raw = []byte(m.doc.Text)
	}
	if err := s.c.Quarantine(ctx, in); err != nil && s.c.QuarantineFailed != nil {
		s.c.QuarantineFailed(in, err)
	}
	return &answer{request: m, text: r.code + ": " + r.reason}, Rejected
}

// register takes the document out of a registration and hands it on.
func (s *Service) register(ctx context.Context, m *message, in Refused) (*answer, Outcome) {
	p := s.c.Partner(m.sender)
	r, err := readRegistration(m, p, s.c.Limits)
	if err != nil {
		return s.refuse(ctx, in, m, err)
	}
	sender := in.Sender
	if sender == "" {
		sender = short(r.doc.Custodian.ID.Extension)
	}
	sub := Submission{Raw: r.raw, Sender: sender, ControlID: controlID(r.doc), Kind: r.doc.Kind(), MediaType: cda.MediaType,
		Charset: r.doc.Charset(), Peer: in.Peer, ReceivedAt: in.ReceivedAt, Document: r.doc,
		Numbers: standard(slices.Concat(r.doc.Patient.IDs, r.doc.Patient.PersonIDs, r.patientIDs, r.personIDs), p.Rules.Roots)}
	ids, _ := s.c.Mapper.numbers(slices.Concat(r.doc.Patient.IDs, r.doc.Patient.PersonIDs), p.Rules.Roots)
	sub.RoutingHint = hl7.RoutingHint(ids)
	if s.c.KeepRegistration {
		if a, what := s.seal(ctx, m, in); what != Taken {
			return a, what
		}
	}
	return s.submit(ctx, m, in, sub)
}

// controlID names a document and its version.
func controlID(d *cda.Document) string {
	id := short(d.ID.String())
	if d.Version != "" && len(d.Version) < 32 {
		id += "/" + d.Version
	}
	return id
}

// seal hands a message on as it is.
func (s *Service) seal(ctx context.Context, m *message, in Refused) (*answer, Outcome) {
	if in.ControlID == "" {
		return s.refuse(ctx, in, m, refuse("NO_ID", "the message has no id"))
	}
	sub := Submission{Raw: []byte(m.doc.Text), Sender: in.Sender, ControlID: in.ControlID, Kind: in.Kind, MediaType: MediaType, Charset: "UTF-8",
		Peer: in.Peer, ReceivedAt: in.ReceivedAt}
	roots := s.c.Partner(m.sender).Rules.Roots
	sub.RoutingHint = hl7.RoutingHint(s.c.Mapper.subject(m, roots).numbers)
	if what := plainRoot(m.root); what == plainRoot(rootPatientNew) || what == plainRoot(rootPatientUpdate) {
		person := personOf(m)
		sub.Patient, sub.Numbers = &person, standard(slices.Concat(person.IDs, person.PersonIDs), roots)
	}
	return s.submit(ctx, m, in, sub)
}

func (s *Service) submit(ctx context.Context, m *message, in Refused, sub Submission) (*answer, Outcome) {
	switch err := s.c.Submit(ctx, sub); {
	case errors.Is(err, ErrTooLarge):
		return s.refuse(ctx, in, m, refuse("TOO_LARGE", "larger than what is taken"))
	case err != nil:
		return &answer{request: m, text: "not stored; send it again · 暂未入库，请重发"}, Failed
	}
	return &answer{ok: true, request: m, text: "accepted and stored · 接收成功"}, Taken
}

func (s *Service) documents(ctx context.Context, m *message) (*answer, Outcome) {
	root := answerRoots[m.what()]
	q, err := readDocumentQuery(m)
	if err != nil {
		return queryRefused(m, root, err), NotFound
	}
	if s.c.Archive == nil {
		return &answer{root: root, request: m, text: "document queries are not offered here · 未提供文档查询服务"}, NotFound
	}
	p := s.c.Partner(m.sender)
	for i, t := range q.Types {
		if to, ok := p.Types[t]; ok {
			q.Types[i] = to
		}
	}
	q.Patient, q.Visits = standard(q.Patient, p.Rules.Roots), standard(q.Visits, p.Rules.Roots)
	found, err := s.c.Archive.Documents(ctx, q)
	switch {
	case err != nil:
		return &answer{root: root, request: m, text: "the archive cannot be asked now · 暂时无法查询"}, Failed
	case len(found) == 0:
		return &answer{root: root, request: m, text: "nothing found · 未查询到符合条件的文档"}, NotFound
	}
	return &answer{root: root, ok: true, request: m, found: found, content: q.Content, text: fmt.Sprintf("%d found · 查询成功", len(found))}, Answered
}

// standard gives numbers the roots of the consortium.
func standard(ids []cda.ID, roots cda.Roots) []cda.ID {
	out := slices.Clone(ids)
	for i := range out {
		out[i].Root = roots.Standard(out[i].Root)
	}
	return out
}

func queryRefused(m *message, root string, err error) *answer {
	var r *refusal
	if errors.As(err, &r) {
		return &answer{root: root, request: m, text: r.code + ": " + r.reason}
	}
	return &answer{root: root, request: m, text: err.Error()}
}

func (s *Service) patients(ctx context.Context, m *message) (*answer, Outcome) {
	root := answerRoots[m.what()]
	q, err := readPatientQuery(m)
	if err != nil {
		return queryRefused(m, root, err), NotFound
	}
	if s.c.Registry == nil {
		return &answer{root: root, request: m, text: "patient queries are not offered here · 未提供个人信息查询服务"}, NotFound
	}
	q.IDs = standard(q.IDs, s.c.Partner(m.sender).Rules.Roots)
	people, err := s.c.Registry.Patients(ctx, q)
	switch {
	case err != nil:
		return &answer{root: root, request: m, text: "the index cannot be asked now · 暂时无法查询"}, Failed
	case len(people) == 0:
		return &answer{root: root, request: m, text: "nothing found · 未查询到符合条件的个人信息"}, NotFound
	}
	return &answer{root: root, ok: true, request: m, people: people, text: fmt.Sprintf("%d found · 查询成功", len(people))}, Answered
}
