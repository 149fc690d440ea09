package render

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/v2tofhir"
	"github.com/emrbridge/emrbridge/record"
)

// readContent adds the resources of the payload, if it is of a kind that is read.
func (d *document) readContent() {
	media, _, _ := strings.Cut(strings.ToLower(d.r.MediaType), ";")
	var err error
	switch strings.TrimSpace(media) {
	case hl7.MediaType:
		err = d.message()
	case mediaFHIR, mediaFHIR2:
		err = d.resources()
	}
	if err != nil {
		d.unreadable(err)
	}
	if d.author == nil && d.r.Author != "" {
		d.author = tree.New("display", d.r.Author)
	}
	if d.visit == nil && d.r.Encounter != "" {
		d.visit = tree.New("type", "Encounter", "identifier", tree.New("value", d.r.Encounter))
	}
}

// unreadable says why the payload gave no content. Errors of the parsers hold no content.
func (d *document) unreadable(err error) {
	o := tree.NewResource("OperationOutcome", d.name("OperationOutcome"))
	o.Add("issue", tree.New("severity", "warning", "code", "not-supported", "diagnostics", "the payload could not be converted: "+err.Error()))
	d.add(o)
}

func (d *document) add(r *tree.Resource) {
	d.bundle.Append(r)
	d.content = append(d.content, r)
}

// message converts an HL7 v2 payload.
func (d *document) message() error {
	policy := hl7.CharsetPolicy{}
	if cs, ok := hl7.CharsetByName(d.r.Charset); ok {
		policy = hl7.CharsetPolicy{Default: cs, Force: true}
	}
	text, _, err := policy.Decode(d.r.Payload)
	if err != nil {
		return err
	}
	msg, err := hl7.Parse(text)
	if err != nil {
		return err
	}
	got, err := v2tofhir.Convert(msg, v2tofhir.Options{
		RecordID: d.id, Zone: d.o.Zone, Received: time.UnixMilli(d.r.ReceivedAt), Systems: d.o.Systems,
	})
	if err != nil {
		return err
	}
	for _, r := range got.Bundle.Resources {
		d.add(r)
		switch {
		case r.Type == "Patient" && d.subject == nil:
			d.subject = r.Ref()
		case r.Type == "Encounter" && d.visit == nil:
			d.visit = r.Ref()
		}
	}
	return nil
}

var errNoResource = errors.New("not a FHIR resource")

// resources adds a FHIR payload: a resource, or those of a Bundle under their own addresses.
func (d *document) resources() error {
	root, err := fhir.Parse(d.r.Payload, fhir.Limits{MaxBytes: record.MaxPayload, MaxValues: 5_000_000})
	if err != nil {
		return err
	}
	typ := root.Get("resourceType").Str()
	if typ == "" {
		return errNoResource
	}
	if typ != "Bundle" {
		d.received(typ, "urn:uuid:"+d.name("payload"), root)
		return nil
	}
	seen := map[string]bool{}
	for i, e := range root.Get("entry").List() {
		inner := e.Get("resource")
		if inner == nil {
			continue
		}
		url := e.Get("fullUrl").Str()
		if url == "" || seen[url] {
			url = "urn:uuid:" + d.name("payload", strconv.Itoa(i))
		}
		seen[url] = true
		d.received(inner.Get("resourceType").Str(), url, inner)
	}
	return nil
}

// received adds a resource as it came.
func (d *document) received(typ, url string, n *fhir.Node) {
	raw := tree.Raw(d.r.Payload[n.Start:n.End])
	if !json.Valid(raw) {
		return
	}
	r := tree.Received(typ, url, raw)
	d.add(r)
	switch {
	case typ == "Patient" && d.subject == nil:
		d.subject = r.Ref()
	case typ == "Encounter" && d.visit == nil:
		d.visit = r.Ref()
	}
	for _, name := range []string{"subject", "patient", "beneficiary"} {
		if ref := n.At(name, "reference").Str(); ref != "" && d.subject == nil && !strings.HasPrefix(ref, "#") {
			d.subject = tree.New("reference", ref)
		}
	}
}

// patient makes a Patient of the record's envelope, where the content names none.
func (d *document) patient() *tree.Object {
	p := d.r.Patient
	if len(p.Identifiers) == 0 && p.Name == "" {
		return nil
	}
	r := tree.NewResource("Patient", d.name("Patient"))
	for _, id := range p.Identifiers {
		o := tree.New("type", identifierType(id.Type), "system", identifierSystems[id.Type], "value", id.Value)
		if id.Authority != "" {
			o.Set("assigner", tree.New("display", id.Authority))
		}
		r.Add("identifier", o)
	}
	if p.Name != "" {
		r.Add("name", tree.New("text", p.Name))
	}
	r.Set("gender", genders[p.Gender])
	r.Set("birthDate", birthDate(p.BirthDate))
	d.add(r)
	return r.Ref()
}

// identifierSystems are the national numbers (WS/T 500); other numbers are a hospital's own.
var identifierSystems = map[record.IdentifierType]string{
	record.ResidentID: "urn:oid:2.16.156.10011.1.3", record.HealthCard: "urn:oid:2.16.156.10011.1.19",
}

var identifierNames = map[record.IdentifierType]string{
	record.ResidentID: "居民身份证", record.InsuranceNo: "医保", record.InpatientNo: "住院号", record.OutpatientNo: "门(急)诊号",
	record.HealthCard: "居民健康卡", record.MedicalNo: "病案号", record.Passport: "护照", record.LocalPatient: "患者号",
}

func identifierType(t record.IdentifierType) *tree.Object {
	return tree.New("text", firstText(identifierNames[t], string(t)))
}

// genders maps GB/T 2261.1.
var genders = map[string]string{"0": "unknown", "1": "male", "2": "female", "9": "unknown"}

// birthDate writes YYYYMMDD, or the part that is known, as FHIR does.
func birthDate(s string) string {
	for _, r := range s {
		if r < '0' || r > '9' {
			return ""
		}
	}
	switch len(s) {
	case 4:
		return s
	case 6:
		return s[:4] + "-" + s[4:]
	case 8:
		return s[:4] + "-" + s[4:6] + "-" + s[6:]
	}
	return ""
}
