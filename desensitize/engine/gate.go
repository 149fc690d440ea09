package engine

import (
	"slices"
	"strings"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/leak"
)

// gateFormats are the formats as the gate calls them.
var gateFormats = map[desensitize.Format]leak.Format{
	desensitize.HL7v2: leak.HL7v2, desensitize.FHIR: leak.FHIR, desensitize.CDA: leak.CDA, desensitize.FreeText: leak.Text,
}

// gateTypes are the types of the gate, which are the types of identifiers by the same names.
var gateTypes = []leak.Type{
	leak.Name, leak.IDCard, leak.InsuranceNo, leak.Phone, leak.BankCard, leak.Passport, leak.OfficerID, leak.HMTPermit, leak.Plate,
	leak.WeChat, leak.QQ, leak.Email, leak.URL, leak.IP, leak.Address, leak.Hospital, leak.Employer, leak.RecordNo, leak.Date, leak.SSN,
}

// textRule is what the policy does to a type of identifier in free text.
func textRule(p *desensitize.Policy, t desensitize.Type) (rule desensitize.Rule, ok bool) {
	set, ok := p.Rules(desensitize.FreeText)
	if !ok {
		return desensitize.Rule{}, false
	}
	for _, r := range set.Rules {
		if r.Select == string(t) || r.Select == "*" {
			return r, true
		}
	}
	return desensitize.Rule{}, false
}

// ignored are the types that the policy keeps in free text: the gate must not look for what
// may be there.
func ignored(p *desensitize.Policy) []leak.Type {
	var out []leak.Type
	for _, t := range gateTypes {
		if r, ok := textRule(p, desensitize.Type(t)); ok && r.Method == desensitize.Keep {
			out = append(out, t)
		}
	}
	return out
}

// removesDates reports a policy that leaves of dates the year at most: every other date is a
// leak then.
func removesDates(p *desensitize.Policy) bool {
	r, ok := textRule(p, desensitize.Date)
	if !ok {
		return false
	}
	coarse := []string{desensitize.ToYear, desensitize.ToDecade}
	return r.Method == desensitize.Redact || r.Method == desensitize.Generalise && slices.Contains(coarse, r.To)
}

func keepsImages(p *desensitize.Policy) bool {
	set, ok := p.Rules(desensitize.Attached)
	return ok && slices.ContainsFunc(set.Rules, func(r desensitize.Rule) bool {
		return r.Method == desensitize.Keep && (r.Select == "*" || strings.HasPrefix(r.Select, "image/"))
	})
}

// Allowed are values that no person of the world can have: surrogates and labels.
func Allowed(t leak.Type, value string) bool {
	value = strings.TrimSpace(value)
	if words := strings.SplitN(value, " ", 3); t == leak.Name && len(words) == 3 {
		value = words[0] + " " + strings.TrimRight(words[1], ",.;:") // a surrogate, and what follows it with a capital
	}
	return desensitize.IsSurrogate(desensitize.Type(t), value) || desensitize.IsLabel(value)
}

// GateKnown is what the caller knows, for a leak gate.
func GateKnown(k *desensitize.Known) leak.Known {
	if k == nil {
		return leak.Known{}
	}
	return leak.Known{
		Names: k.Names, Relatives: k.Relatives, Staff: k.Staff, IDNumbers: k.IDNumbers, Phones: k.Phones, Addresses: k.Addresses,
		Hospitals: k.Hospitals, Employers: k.Employers, RecordNumbers: k.RecordNumbers, Dates: k.Dates,
	}
}

// learn makes what the gate found known.
func learn(k *desensitize.Known, t leak.Type, value string) {
	switch t {
	case leak.URL, leak.IP, leak.Plate:
		k.Add(desensitize.OtherID, value)
	case leak.Date:
		k.Add(desensitize.BirthDate, value)
	default:
		k.Add(desensitize.Type(t), value)
	}
}
