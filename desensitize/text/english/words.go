package english

import (
	"embed"
	"strings"
	"sync"
)

//go:embed data
var files embed.FS

// cueSet says what a cue word may announce.
type cueSet uint32

const (
	titleCue  cueSet = 1 << iota // Dr., Mrs.: a name follows
	labelCue                     // Patient:, Attending: a name follows, maybe family name first
	byCue                        // signed by, with: a name of two words may follow
	kinCue                       // son, wife: a name follows
	idCue                        // MRN, account: a number follows
	looseCue                     // case, job, unit: a number follows after no., # or a colon
	phoneCue                     // tel, call: a telephone number follows
	faxCue                       // a number of a facsimile machine follows
	monthCue                     // January
	roomCue                      // room, bed
	wardCue                      // ward
	workCue                      // employed, works: an employer follows
	placeCue                     // lives, born: a place follows
	degreeCue                    // MD, RN: a name stands before it
	streetCue                    // Street: its name stands before it
	careCue                      // Hospital, Clinic: its name stands before it
	firmCue                      // Inc, LLC: its name stands before it
	zipCue                       // zip: a postal code follows
	ageCue                       // aged: a number of years follows
	userCue                      // login: the name of an account follows
)

// wordClass is what is known of a word.
type wordClass struct {
	cues   cueSet
	id     Type // of an idCue or a looseCue
	common bool // a word of everyday or clinical language
	eponym bool // a name that stands for a disease, a sign, an instrument
	given  bool // a given name that is nothing else
	maybe  bool // a given name that is a word as well
	family bool // a frequent family name
	plain  bool // a family name that is an everyday word
	city   bool
	state  bool

	noun    bool // makes an eponym of the name before it: disease
	speaks  bool // a verb of which only people are the subject
	acts    bool // a verb that mostly has people as its subject
	passive bool // behind is or was, speaks of a person
	before  bool // stands before the name of an institution and is no part of it
}

var noClass wordClass

var cueWords = map[cueSet]string{
	titleCue:  "dr mr mrs ms miss prof professor doctor rev reverend judge officer sgt sergeant sir madam dame nurse sister fr",
	labelCue:  "patient to from name pt attending surgeon physician assistant anesthesiologist anaesthetist pathologist radiologist cardiologist pcp provider caller cc dear re contact attn author medic regards sincerely thanks cheers clinician consultant resident signed signature witness interpreter therapist hospitalist intern midwife technologist resident guardian named client subject labeled labelled label",
	byCue:     "by is with per w from call called told saw met see",
	kinCue:    "holder owner beneficiary subscriber donor sibling housemate carer volunteer student pupil trainee boss principal detective deputy captain lieutenant pharmacist dietitian interpreter translator dentist psychologist psychiatrist pediatrician paediatrician oncologist neurologist cardiologist hospitalist physiotherapist midwife roommate manager officer landlord landlady teacher coach bystander witness witnesses visitor medic paramedic driver counselor counsellor chaplain pastor sponsor secretary scribe supervisor coworker colleague lawyer attorney tenant son daughter wife husband mother father mom dad brother sister nephew niece spouse partner aunt uncle cousin grandson granddaughter grandmother grandfather stepson stepdaughter fiance fiancee girlfriend boyfriend friend neighbor neighbour roommate caregiver child baby infant boy girl twin toddler grandma grandpa daughter-in-law son-in-law mother-in-law father-in-law sister-in-law brother-in-law proxy",
	phoneCue:  "tel telephone phone phones cell mobile pager beeper call called callback whatsapp ph extension hotline landline",
	faxCue:    "fax facsimile telefax",
	monthCue:  "january february march april may june july august september october november december jan feb mar apr jun jul aug sep sept oct nov dec",
	roomCue:   "room bed rm",
	wardCue:   "ward",
	workCue:   "employed works worked working employer retired employee job",
	placeCue:  "lives living resides born moved returned home back drove flew went trip resident residing raised native visiting travelled traveled",
	degreeCue: "md do rn np pa-c pa lpn phd dds dmd mbbs frcp frcs facs crna licsw lcsw msw pharmd psyd dpm cnm aprn lvn pt esq jr",
	streetCue: "street st avenue ave road rd lane ln drive dr boulevard blvd court ct terrace way place pl circle square sq highway hwy parkway pkwy trail crescent close gardens alley plaza pike turnpike",
	careCue:   "hospital clinic infirmary hospice center centre healthcare sanatorium home practice surgery polyclinic hospitals institute rehab",
	firmCue:   "inc llc ltd corp corporation company co gmbh plc llp college university school academy kindergarten",
	zipCue:    "zip zipcode postcode postal",
	ageCue:    "age aged",
	userCue:   "username userid login logged user handle",
}

var idCues = map[Type]string{
	RecordNo: "mrn medrec", SSN: "ssn ssns ssid sin itin", Account: "account acct iban routing aba bank banking",
	Licence: "license licence dl dea npi certificate cert driver's", Passport: "passport passportnumber", Plate: "plate vin tag registration",
	Device: "serial udi imei device", ExamNo: "accession specimen", InsuranceNo: "medicaid medicare policy member insurance subscriber beneficiary nhs hicn mbi",
	OtherID: "nric fin pan tin bsn dni nir cpf tckn steuer-id fiscale aadhaar badge taxpayer identification nino curp rfc pesel",
}

var looseCues = map[Type]string{
	Plate: "vehicle car truck sedan suv van motorcycle", RecordNo: "record unit chart file rec hospital", ExamNo: "case lab imaging study report path", Account: "job claim invoice", OutpatientNo: "visit encounter csn fin",
	OtherID: "id identifier number no group ref reference confirmation order tracking study protocol subject",
}

// lexicon is what is known of words, by their small letters.
var lexicon = sync.OnceValue(func() map[string]*wordClass {
	l := map[string]*wordClass{}
	each := func(words string, set func(*wordClass)) {
		for w := range strings.FieldsSeq(words) {
			key := strings.ToLower(w)
			if l[key] == nil {
				l[key] = &wordClass{}
			}
			set(l[key])
		}
	}
	names := readWords("names.txt")
	each(names["given"], func(c *wordClass) { c.given = true })
	each(names["word"], func(c *wordClass) { c.given, c.maybe = false, true })
	each(names["family"], func(c *wordClass) { c.family = true })
	each(names["plain"], func(c *wordClass) { c.plain = true })
	each(readWords("words.txt")[""], func(c *wordClass) { c.common = true })
	each(readWords("eponyms.txt")[""], func(c *wordClass) { c.eponym = true })
	places := readWords("places.txt")
	each(places["city"], func(c *wordClass) { c.city = true })
	each(places["state"], func(c *wordClass) { c.state = true })
	around := readWords("around.txt")
	each(around["noun"], func(c *wordClass) { c.noun = true })
	each(around["speaks"], func(c *wordClass) { c.speaks = true })
	each(around["acts"], func(c *wordClass) { c.acts = true })
	each(around["passive"], func(c *wordClass) { c.passive = true })
	each(around["before"], func(c *wordClass) { c.before = true })
	for kind, words := range cueWords {
		each(words, func(c *wordClass) { c.cues |= kind })
	}
	for t, words := range looseCues {
		each(words, func(c *wordClass) { c.cues |= looseCue; c.id = t })
	}
	// An idCue is surer than a looseCue: it comes last.
	for t, words := range idCues {
		each(words, func(c *wordClass) { c.cues |= idCue; c.id = t })
	}
	return l
})

// readWords reads a file of words: sections with a name before a colon; lines without one
// belong to the section "".
func readWords(file string) map[string]string {
	raw, err := files.ReadFile("data/" + file)
	if err != nil {
		panic(err) // the file is embedded
	}
	sections := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, words, found := strings.Cut(line, ": ")
		if !found {
			name, words = "", line
		}
		sections[name] += " " + strings.TrimSpace(words)
	}
	return sections
}

// maxWord is the longest word that is looked up.
const maxWord = 24

// lookUp returns what is known of a word, of a possessive that of the word itself; nil if
// nothing.
func lookUp(word string) *wordClass {
	lexicon := lexicon()
	if len(word) > maxWord {
		return nil
	}
	var small [maxWord]byte
	for i := range len(word) {
		c := word[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		small[i] = c
	}
	if c := lexicon[string(small[:len(word)])]; c != nil {
		return c
	}
	if n := len(bare(word)); n < len(word) {
		return lexicon[string(small[:n])]
	}
	return nil
}

// wordEndings are endings of words that are seldom names.
var wordEndings = []string{"ing", "tion", "sion", "ment", "ness", "ity", "able", "ible", "ous", "itis", "osis", "emia", "oma", "pathy", "ectomy", "plasty", "scopy", "gram", "graphy",
	"logy", "cillin", "mycin", "statin", "azole", "oxacin", "sartan", "pril", "olol", "zepam", "xaban", "gliptin", "tinib", "mab", "parin", "vir", "tomy", "stomy", "uria", "algia", "therapy", "genic", "ally", "ully", "ately"}

// wordLike says that a word ends as words of the language do and names do not.
func wordLike(s string) bool {
	if len(s) < 6 || strings.Contains(s, "-") {
		return false
	}
	for _, e := range wordEndings {
		if strings.HasSuffix(s, e) {
			return true
		}
	}
	return false
}

// bare is a word without the ending of a possessive.
func bare(word string) string {
	if s, is := strings.CutSuffix(word, "'s"); is {
		return s
	}
	if s, is := strings.CutSuffix(word, "’s"); is {
		return s
	}
	return strings.TrimSuffix(word, "'")
}

// stateNames are the short forms of states and provinces of North America.
var stateNames = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for s := range strings.FieldsSeq(readWords("places.txt")["short"]) {
		m[s] = true
	}
	return m
})

// longCities are cities of several words, by their first word.
var longCities = sync.OnceValue(func() map[string][]string {
	m := map[string][]string{}
	for city := range strings.SplitSeq(readWords("places.txt")["cities"], ";") {
		city = strings.TrimSpace(city)
		first, _, _ := strings.Cut(city, " ")
		m[first] = append(m[first], city)
	}
	return m
})
