package deidtest

import "github.com/emrbridge/emrbridge/desensitize/text"

// Text makes a Finder of the engine for free text. It knows what the header knows of notes
// that have one.
func Text(e *text.Engine) Finder {
	return func(n *Note) []Found {
		var known *text.Known
		if n.Header {
			known = n.Known.text()
		}
		spans := e.Find(n.Text, known)
		found := make([]Found, len(spans))
		for i, s := range spans {
			found[i] = Found{Start: s.Start, End: s.End, Type: Type(s.Type)}
		}
		return found
	}
}

func (k Known) text() *text.Known {
	return &text.Known{Names: k.Names, Relatives: k.Relatives, Staff: k.Staff, IDNumbers: k.IDNumbers, Phones: k.Phones,
		Addresses: k.Addresses, Hospitals: k.Hospitals, Employers: k.Employers, RecordNumbers: k.RecordNumbers, Dates: k.Dates}
}
