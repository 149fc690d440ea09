package hip

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/cda"
)

// answer is an acknowledgement, with or without the result of a query.
type answer struct {
	root    string // of the answer
	ok      bool   // AA, else AE
	text    string
	request *message // nil where the request could not be read
	found   []Found
	people  []cda.Patient
	content bool
}

// answerRoots are the roots of answers to queries.
var answerRoots = map[string]string{rootSearch: rootSearchAnswer, rootFetch: rootFetchAnswer, rootPatientQuery: rootPatientsAnswer}

// out builds XML. Values pass through escape.
type out struct{ strings.Builder }

func (o *out) raw(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = escape(s)
		}
	}
	fmt.Fprintf(o, format, args...)
}

// text returns the answer as a message of the platform.
func (a *answer) message(id, self string, now time.Time) []byte {
	o := &out{}
	root := a.root
	if root == "" {
		root = rootAcknowledge
	}
	o.raw(`<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<%s ITSVersion="XML_1.0" xmlns="%s" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">`, root, hl7v3)
	o.raw(`<id root="2.16.156.10011.2.5.1.1" extension="%s"/><creationTime value="%s"/>`, id, now.Format("20060102150405"))
	o.raw(`<interactionId root="2.16.156.10011.2.5.1.2" extension="%s"/><processingCode code="P"/><processingModeCode/><acceptAckCode code="AL"/>`, root)
	var receiver, target string
	sender := self
	if a.request != nil {
		receiver, target = a.request.sender, a.request.id.Extension
		if sender == "" {
			sender = a.request.receiver
		}
	}
	device := `<device classCode="DEV" determinerCode="INSTANCE"><id><item root="2.16.156.10011.2.5.1.3" extension="%s"/></id></device>`
	o.raw(`<receiver typeCode="RCV">`+device+`</receiver>`, receiver)
	o.raw(`<sender typeCode="SND">`+device+`</sender>`, sender)
	code := "AE"
	if a.ok {
		code = "AA"
	}
	o.raw(`<acknowledgement typeCode="%s"><targetMessage><id root="2.16.156.10011.2.5.1.1" extension="%s"/></targetMessage>`, code, target)
	o.raw(`<acknowledgementDetail><text value="%s"/></acknowledgementDetail></acknowledgement>`, a.text)
	a.results(o)
	o.raw(`</%s>`, root)
	return []byte(o.String())
}

func (a *answer) results(o *out) {
	if len(a.found)+len(a.people) == 0 {
		return
	}
	o.WriteString(`<controlActProcess classCode="INFO" moodCode="EVN">`)
	for _, f := range a.found {
		o.WriteString(`<subject typeCode="SUBJ">`)
		o.document(f, a.content)
		o.WriteString(`</subject>`)
	}
	for _, p := range a.people {
		o.WriteString(`<subject typeCode="SUBJ"><registrationEvent classCode="REG" moodCode="EVN"><statusCode code="active"/><subject1 typeCode="SBJ">`)
		o.person(p)
		o.WriteString(`</subject1></registrationEvent></subject>`)
	}
	o.WriteString(`</controlActProcess>`)
}

func (o *out) name(s string) {
	o.raw(`<name xsi:type="DSET_EN"><item><part value="%s"/></item></name>`, s)
}

func (o *out) ids(ids []cda.ID) {
	o.WriteString(`<id>`)
	for _, id := range ids {
		o.raw(`<item root="%s" extension="%s"/>`, id.Root, id.Extension)
	}
	o.WriteString(`</id>`)
}

// document writes a found document; with content only if it was asked for.
func (o *out) document(f Found, content bool) {
	d := f.Document
	title := d.Title
	o.raw(`<clinicalDocument classCode="DOCCLIN" moodCode="EVN"><id><item root="2.16.156.10011.2.5.1.24" extension="%s"/></id>`, d.ID.Extension)
	o.raw(`<code code="%s" codeSystem="2.16.156.10011.2.5.1.23" codeSystemName="文档类型代码"><displayName value="%s"/></code><statusCode/>`, d.Code.Code, title)
	o.raw(`<effectiveTime value="%s"/>`, d.Time)
	o.raw(`<confidentialityCode code="%s" codeSystem="2.16.156.10011.2.5.1.25" codeSystemName="文档保密级别代码"/>`, d.Confidential.Code)
	o.raw(`<versionNumber value="%s"/>`, d.Version)
	if content {
		o.raw(`<storageCode><originalText value="%s"/><translation/></storageCode>`, base64.StdEncoding.EncodeToString(f.Content))
	}
	o.WriteString(`<recordTarget typeCode="RCT">`)
	o.person(d.Patient)
	o.WriteString(`</recordTarget>`)
	for _, a := range d.Authors {
		o.WriteString(`<author typeCode="AUT"><time/><assignedAuthor classCode="ASSIGNED">`)
		o.ids([]cda.ID{a.ID})
		o.WriteString(`<assignedPerson classCode="PSN" determinerCode="INSTANCE">`)
		o.name(a.Name)
		o.WriteString(`</assignedPerson></assignedAuthor></author>`)
	}
	o.WriteString(`<custodian typeCode="CST"><assignedCustodian classCode="ASSIGNED"><representedOrganization classCode="ORG" determinerCode="INSTANCE">`)
	o.ids([]cda.ID{d.Custodian.ID})
	o.name(d.Custodian.Name)
	o.WriteString(`</representedOrganization></assignedCustodian></custodian></clinicalDocument>`)
}

func (o *out) person(p cda.Patient) {
	o.WriteString(`<patient classCode="PAT">`)
	o.ids(p.IDs)
	o.WriteString(`<statusCode code="active"/><patientPerson classCode="PSN" determinerCode="INSTANCE">`)
	o.ids(p.PersonIDs)
	o.name(p.Name)
	if p.Gender.Code != "" {
		o.raw(`<administrativeGenderCode code="%s" codeSystem="2.16.156.10011.2.3.3.4"/>`, p.Gender.Code)
	}
	if p.Birth != "" {
		o.raw(`<birthTime value="%s"/>`, p.Birth)
	}
	o.WriteString(`</patientPerson></patient>`)
}
