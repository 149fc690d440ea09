package hip

import (
	"context"
	"slices"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
)

// DocumentQuery asks for the hospital's own documents. Empty fields do not narrow it; a
// query without any is not asked.
type DocumentQuery struct {
	DocumentID string
	// Types are document codes, C0001 … C0053.
	Types []string
	// Patient are numbers of one patient, of which one has to match.
	Patient []cda.ID
	Name    string
	// Visits are numbers of stays or visits, of which one has to match.
	Visits []cda.ID
	// From and To bound effectiveTime of the document, in the HL7 form YYYYMMDD[HHMMSS].
	From, To string
	Author   string // number of the author
	// Content asks for the bytes of the documents.
	Content bool
}

// Found is one document of an answer.
type Found struct {
	// Document is what Parse gave of the document; only its header is used.
	Document *cda.Document
	// Content is the document as it was received; it is answered in base64.
	Content []byte
}

// Archive finds the hospital's own documents. Implementations are safe for concurrent use
// and return at most what one answer may hold.
type Archive interface {
	Documents(ctx context.Context, q DocumentQuery) ([]Found, error)
}

// PatientQuery asks for a patient of the hospital's own index.
type PatientQuery struct {
	IDs    []cda.ID // of which one has to match
	Name   string
	Gender string // GB/T 2261.1
	Birth  string // YYYYMMDD
}

// Registry finds patients. Implementations are safe for concurrent use.
type Registry interface {
	Patients(ctx context.Context, q PatientQuery) ([]cda.Patient, error)
}

// readDocumentQuery reads RCMR_IN000029UV01 and RCMR_IN000031UV01, whose parameters are
// elements with a dot in their names.
func readDocumentQuery(m *message) (DocumentQuery, error) {
	by := find(m.doc.Root, "queryByParameter")
	if by == nil {
		return DocumentQuery{}, refuse("QUERY", "the message holds no queryByParameter")
	}
	param := func(name string) *safexml.Node { return find(by, name) }
	q := DocumentQuery{
		Patient: readIDs(param("patient.id").Child("value")), Name: semantics(param("patient.id")),
		Visits:  readIDs(param("encompassingEncounter.id").Child("value")),
		Author:  strings.TrimSpace(param("assignedAuthor.id").Child("value").Attr("extension")),
		Content: plainRoot(m.root) == plainRoot(rootFetch),
	}
	for _, id := range readIDs(param("clinicalDocument.id").Child("value")) {
		q.DocumentID = id.Extension
		q.Content = true // who names one document wants it, whichever of the two services is called
	}
	if code := strings.TrimSpace(param("clinicalDocument.code").Child("value").Attr("code")); code != "" {
		q.Types = []string{code}
	}
	period := param("clinicalDocument.effectiveTime").Child("value")
	q.From, q.To = period.Child("low").Attr("value"), period.Child("high").Attr("value")
	if q.DocumentID == "" && len(q.Patient) == 0 && len(q.Visits) == 0 {
		return q, refuse("QUERY", "the query names neither document, nor patient, nor visit")
	}
	return q, nil
}

// semantics returns the name that the platform puts into semanticsText beside the numbers
// of a patient; texts that name the parameter are none.
func semantics(n *safexml.Node) string {
	s := strings.TrimSpace(n.Child("semanticsText").Attr("value"))
	if slices.Contains([]string{"患者id", "患者ID", "patient.id", "Patient.ID"}, s) {
		return ""
	}
	return s
}

func readPatientQuery(m *message) (PatientQuery, error) {
	list := find(m.doc.Root, "parameterList")
	if list == nil {
		return PatientQuery{}, refuse("QUERY", "the message holds no parameterList")
	}
	q := PatientQuery{
		IDs:    slices.Concat(readIDs(list.Child("id")), readIDs(list.Find("livingSubjectId", "value"))),
		Name:   nameOf(list.Find("livingSubjectName", "value")),
		Gender: list.Find("livingSubjectAdministrativeGender", "value").Attr("code"),
		Birth:  valueOf(list.Find("livingSubjectBirthTime", "value")),
	}
	if len(q.IDs) == 0 && q.Name == "" {
		return q, refuse("QUERY", "the query names neither a number nor a name of the patient")
	}
	return q, nil
}
