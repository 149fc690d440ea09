package render

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir/ledger"
	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// Media types of payloads that are read; those of CDA begin with text or application and
// hold xml.
const (
	mediaFHIR  = "application/fhir+json"
	mediaFHIR2 = "application/json+fhir"
)

// metadataURL keeps what the record's mapping read of the payload beside the envelope.
const metadataURL = tree.LocalURL + "StructureDefinition/record-metadata"

// ErrNoRecord reports a Sealed without a record.
var ErrNoRecord = errors.New("render: no record")

// Sealed is a record with what proves it.
type Sealed struct {
	Record *record.Record
	// Owner is the name of the hospital that sealed it; its MSP id is in the record.
	Owner string
	Proof ledger.Anchor
}

// LogValue implements slog.LogValuer.
func (s Sealed) LogValue() slog.Value { return slog.StringValue("[sealed record]") }

// Options say how to render.
type Options struct {
	// At is the time of the document, Bundle.timestamp; the record's time of receipt if zero.
	At time.Time
	// Zone is used for times without a zone; hl7.ChinaStandardTime if nil.
	Zone *time.Location
	// Systems gives code and identifier systems by name; see v2tofhir.Options.
	Systems map[string]string
}

// document is a document under construction.
type document struct {
	o        Options
	s        Sealed
	r        *record.Record
	id       string
	bundle   *tree.Bundle
	head     *tree.Resource // Composition
	hospital *tree.Resource
	subject  *tree.Object // reference to the patient
	author   *tree.Object
	visit    *tree.Object
	content  []*tree.Resource
}

// Document renders a sealed record as a Bundle of type document.
func Document(s Sealed, o Options) (*tree.Bundle, error) {
	if s.Record == nil {
		return nil, ErrNoRecord
	}
	if o.Zone == nil {
		o.Zone = hl7.ChinaStandardTime
	}
	d := &document{o: o, s: s, r: s.Record, id: s.Record.ID.String()}
	if o.At.IsZero() {
		d.o.At = time.UnixMilli(s.Record.ReceivedAt).In(o.Zone)
	}
	d.begin()
	d.readContent()
	if d.subject == nil {
		d.subject = d.patient()
	}
	d.finish(d.original())
	return d.bundle, nil
}

func (d *document) name(parts ...string) string {
	return tree.NameID(append([]string{d.id, "document"}, parts...)...)
}

func (d *document) begin() {
	d.bundle = tree.NewBundle(d.name("Bundle"), "document")
	d.bundle.Set("identifier", tree.New("system", ledger.SystemRecord, "value", d.id))
	d.bundle.Set("timestamp", instant(d.o.At))
	d.head = tree.NewResource("Composition", d.name("Composition"))
	d.hospital = tree.NewResource("Organization", d.name("Organization"))
	d.hospital.Add("identifier", tree.New("system", ledger.SystemMember, "value", d.r.HospitalMSP))
	d.hospital.Set("name", firstText(d.s.Owner, d.r.HospitalMSP))
	d.bundle.Append(d.head, d.hospital)
}

// charsets gives the IANA names of the charsets of HL7 table 0211.
var charsets = map[string]string{
	"UNICODE UTF-8": "utf-8", "GB 18030-2000": "gb18030", "BIG-5": "big5", "8859/1": "iso-8859-1", "ASCII": "us-ascii",
}

// original keeps the payload as it is.
func (d *document) original() *tree.Resource {
	media := d.r.MediaType
	if name := charsets[d.r.Charset]; name != "" && !strings.Contains(media, "charset") {
		media += "; charset=" + name
	}
	b := tree.NewResource("Binary", d.name("Binary"))
	b.Set("contentType", media).Set("data", base64.StdEncoding.EncodeToString(d.r.Payload))
	ref := tree.NewResource("DocumentReference", d.name("DocumentReference"))
	ref.Set("masterIdentifier", tree.New("system", ledger.SystemRecord, "value", d.id))
	if d.r.ControlID != "" {
		ref.Add("identifier", tree.New("type", tree.New("text", "control id · 控制号"), "value", d.r.ControlID, "assigner", tree.New("display", d.r.Sender)))
	}
	for _, n := range []struct{ key, name string }{{"document-id", "document id · 文档标识"}, {"set-id", "set id · 文档集标识"}} {
		if v := d.r.Metadata[n.key]; v != "" {
			ref.Add("identifier", tree.New("type", tree.New("text", n.name), "value", v))
		}
	}
	if d.r.Version != "" {
		ref.Add("identifier", tree.New("type", tree.New("text", "version · 版本"), "value", d.r.Version))
	}
	ref.Set("status", "current")
	ref.Set("type", d.kind())
	ref.Set("subject", d.subject)
	ref.Set("date", instant(time.UnixMilli(d.r.ReceivedAt).In(d.o.Zone)))
	ref.Add("author", d.author)
	ref.Set("custodian", d.hospital.Ref())
	ref.Set("description", d.r.Metadata["title"])
	for _, name := range slices.Sorted(maps.Keys(d.r.Metadata)) {
		ref.Add("extension", tree.New("url", metadataURL, "extension", []any{
			tree.Extension("name", "valueString", name), tree.Extension("value", "valueString", d.r.Metadata[name])}))
	}
	if d.r.Replaces != "" {
		ref.Add("relatesTo", tree.New("code", "replaces", "target", tree.New("type", "DocumentReference", "identifier", tree.New("value", d.r.Replaces))))
	}
	ref.Add("securityLabel", d.confidentiality())
	ref.Add("content", tree.New("attachment", tree.New("contentType", media, "url", b.FullURL(), "size", len(d.r.Payload), "title", d.r.Kind)))
	ref.Set("context", tree.New("encounter", list(d.visit)))
	d.bundle.Append(ref, b)
	return ref
}

func list(o *tree.Object) []any {
	if o.IsEmpty() {
		return nil
	}
	return []any{o}
}

// kind is the type of the record: its own code beside the LOINC code of what it is for a
// reader who does not know it.
func (d *document) kind() *tree.Object {
	return tree.New("coding", []any{tree.Code(ledger.SystemKind, d.r.Kind, ""), tree.Code("http://loinc.org", "11503-0", "Medical records")}, "text", d.r.Kind)
}

func (d *document) confidentiality() *tree.Object {
	level := string(d.r.Confidentiality)
	if level == "" {
		return nil
	}
	return tree.Concept("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", level, "")
}

// finish writes the Composition and the proof.
func (d *document) finish(original *tree.Resource) {
	h := d.head
	proof := d.s.Proof
	proof.Record, proof.Hospital = d.id, d.r.HospitalMSP
	p := proof.Provenance(d.hospital.Ref(), original.Ref(), h.Ref())
	d.bundle.Append(p)

	h.Set("identifier", tree.New("system", ledger.SystemRecord, "value", d.id))
	h.Set("status", "final")
	h.Set("type", d.kind())
	h.Set("subject", d.subject)
	h.Set("encounter", d.visit)
	h.Set("date", d.date())
	h.Add("author", d.hospital.Ref())
	if d.author != nil {
		h.Add("author", d.author)
	}
	h.Set("title", firstText(d.r.Metadata["title"], d.r.Kind)+" · "+firstText(d.s.Owner, d.r.HospitalMSP))
	h.Set("confidentiality", string(d.r.Confidentiality))
	if who := d.r.Metadata["legal-authenticator"]; who != "" {
		h.Add("attester", tree.New("mode", "legal", "party", tree.New("display", who)))
	}
	h.Set("custodian", d.hospital.Ref())
	if d.r.Replaces != "" {
		h.Add("relatesTo", tree.New("code", "replaces", "targetIdentifier", tree.New("value", d.r.Replaces)))
	}
	h.Add("section", section("Original · 原文", original.Ref()))
	var refs []any
	for _, r := range d.content {
		refs = append(refs, r.Ref())
	}
	if len(refs) > 0 {
		h.Add("section", section("Content · 内容", refs...))
	}
	h.Add("section", section("Proof · 存证", p.Ref()))
}

func section(title string, entries ...any) *tree.Object {
	return tree.New("title", title, "entry", entries)
}

// date is when the record says it happened, with the precision it has; the time of receipt
// if it does not say.
func (d *document) date() string {
	t := d.r.EventTime
	if t.IsZero() {
		return instant(time.UnixMilli(d.r.ReceivedAt).In(d.o.Zone))
	}
	layout := map[record.Precision]string{
		record.Year: "2006", record.Month: "2006-01", record.Day: "2006-01-02", record.Hour: "2006-01-02",
		record.Minute: "2006-01-02T15:04:05Z07:00", record.Second: "2006-01-02T15:04:05Z07:00",
	}[t.Precision]
	return t.Time().Format(firstText(layout, "2006-01-02T15:04:05.000Z07:00"))
}

func instant(t time.Time) string { return t.Format("2006-01-02T15:04:05.000Z07:00") }

func firstText(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}
