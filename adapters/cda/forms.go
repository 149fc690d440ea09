package cda

import "strings"

// forms lists where the parts of WS/T 500 differ in how they write the same fact, as their
// published schemas show it. Each line: parts, then marks.
//
//	date        author/time is a date        legaltext, authtext  the time of signing stands as text
//	legalplain, authplain  assignedPerson of a signer has no class       legalbare  signer without role
//	authorcode  the author has a role        authorclass  assignedPerson of the author has a class
//	bare        the location has no classes  enc  componentOf and the encounter have classes
//	codetext    the encounter's code is text codename  it is a display name only
//	enctext     the encounter's time is text interval, low  it is a span
//	phone, person, relation, full  what is known of a contact
//	relative    those who authenticate are the patient or relatives
//	position    signers have 专业技术职务     signed  signatureCode is s
//	typed       the authenticator has type and class, but no role
//	typedlegal  the same for C0023           use  telecom has a use
//	reach       the custodian has telephone and address
//	nopost      addresses without postal code              idtext  the informant's id is text
//	plainorg    the chain of the providing organization has no classes
//	code20      the number of the document has 20 characters at most
//	coded       every chapter has a code     numbers  a role is a code, not a name
//	strings     values are texts             nested   an observation holds a further one
const forms = `
2 3 4 5|plainorg
2 3|legaltext legalplain strings
4|date legaltext authtext
5|date authtext
6 7|bare phone
8|bare enctext coded
9 10 12|bare
11|bare coded
13|date bare
14|date bare phone coded
15|date bare phone coded authtext
16|date bare phone coded authtext enctext
17 18 19 20 21 22|enc codetext authorcode
23|enc codetext codetextcontact typedlegal use
24|enc
25|typed
26|relative legalplain
27 28 30|relative legalplain legalbare authplain signed
29 31|relative legalplain legalbare authplain
31|reach
32 33|enc interval full legaltext authtext
34 35 36|enc low nopost idtext legaltext authtext
37 39|enc legaltext authtext
38|enc codename authorclass position coded plaincode strings
40 41 42 43 44 46 47 49 50 52|codename
41|authorcode coded
43|servicecode coded
44|position person coded
40 47|person
45|codename code20
48|codename phone numbers
51|codename person nested
53|full
`

// form is the set of marks of each type, by part.
var form = func() map[int]map[string]bool {
	out := map[int]map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(forms), "\n") {
		parts, marks, _ := strings.Cut(line, "|")
		for _, part := range strings.Fields(parts) {
			n := 0
			for _, c := range part {
				n = 10*n + int(c-'0')
			}
			if out[n] == nil {
				out[n] = map[string]bool{}
			}
			for _, m := range strings.Fields(marks) {
				out[n][m] = true
			}
		}
	}
	return out
}()

// Form reports whether a type writes a fact in one of the forms that only some parts of the
// standard have; see the table in this file.
func (t *Type) Form(mark string) bool { return form[t.Number][mark] }

// otherTitles are titles of published schemas and partners that differ from the standard's.
var otherTitles = map[string][]string{
	"C0026": {"手术知情同意书"},
	"C0031": {"其他知情告知同意书"},
}
