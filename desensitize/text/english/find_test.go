package english_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize/text/english"
)

type span struct {
	start, end int
	typ        english.Type
}

// mark writes every finding as [type:text]; of findings that overlap the longest one counts.
func mark(s string) string {
	var spans []span
	english.Find(s, func(start, end int, t english.Type, _ bool) { spans = append(spans, span{start, end, t}) })
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(a.start-b.start, b.end-a.end) })
	var out strings.Builder
	at := 0
	for _, f := range spans {
		if f.start < at {
			continue
		}
		out.WriteString(s[at:f.start] + "[" + string(f.typ) + ":" + s[f.start:f.end] + "]")
		at = f.end
	}
	return out.String() + s[at:]
}

// The gold stands in the text itself: [type:value] is found, nothing else is.
func TestFind(t *testing.T) {
	for _, want := range []string{
		"Dr. [name:Emily Hsu-Chen] of Vascular Surgery was consulted.",
		"Pt seen by Nurse Practitioner [name:Latisha Greenberg]. Mr. [name:O'Malley's] daughter [name:Siobhan Kelly-O'Malley] called.",
		"Attending: [name:Kevin T. Ramanathan], M.D. Chief Complaint: Chest Pain",
		"PATIENT NAME: [name:ABRAMOWITZ, SHIRLEY]  MEDICAL RECORD #: [record-no:44-82-19]  ACCT: [account:00012345678] ROOM: [bed:412-B] PHYSICIAN: [name:R. K. PATEL], MD DATE: [date:12/01/98]",
		"Dear Dr. [name:Abernathy]: I saw Ms. [name:Rosalind Achebe] in our Hematology/Oncology Clinic. Sincerely, [name:Xavier Quist], MD",
		"Given at 0430 by [name:J. Thornbury] RN. Wife at bedside.",
		"Emergency contact Wm. [name:Castellane] (uncle), cell [phone:617.555.0199] or [phone:+44 20 7946 0958].",
		"Mother states child ([name:Jaden]) has been pulling at ears. Grandma [name:Rosa] cares for him.",
		"SURGEON: [name:Maria de la Cruz], M.D. ASSISTANT: [name:Jan van der Berg]",
		"Her husband [name:Tobias] lives in [address:Framingham].",
		"The specimen is labeled \"[name:Stone, Seamus J.]\".",
		"VIN [plate:1HGCM82633A004352], license plate [plate:7ABC123], serial no. [device:PJN123456S]. SSN: [ssn:123-45-6789].",
		"She is [age:92] years old. He is [age:91]. A [age:67]-year-old man. [name:Zelda Quorn], [age:72] F, fell.",
		"Lives at [address:22B Baker St., London] [postcode:NW1 6XE]. GP: Dr [name:A. Featherstone], [address:4 High Street, Oxted] [postcode:RH8 9QQ].",
		"Discharged to [hospital:Sunny Acres Nursing and Rehabilitation Center] in [address:Natick], MA [postcode:01760].",
		"Records from [hospital:Saint Elsewhere Hospital] and the [hospital:University of Vermont Medical Center].",
		"Employed at [employer:First National Bank of Wexley], retired from [employer:Harrods Ltd], teaches at [employer:Wellesley College].",
		"Seen on [date:March 5, 2024], [date:5 March 2024], [date:05-Mar-2024], [date:the 5th of March], [date:March 5th], [date:2024-03-05], [date:3/5/24], on [date:3/5].",
		"NHS number [insurance-no:943 476 5919], MRN [record-no:MRN-2468135], Accession: [exam-no:CT894435], Job #[account:17176633].",
		"Tel: [phone:(885) 504-9661]  Fax: [fax:(885) 504-9662] ext. 12; pager [phone:31456].",
		"Admitted to [ward:4 West], bed [bed:12A], Ward [ward:7B].",
	} {
		want = strings.ReplaceAll(want, "Ward [ward:7B]", "[ward:Ward 7B]")
		want = strings.ReplaceAll(want, "[fax:(885) 504-9662] ext. 12", "[fax:(885) 504-9662 ext. 12]")
		require.Equal(t, want, mark(plain(want)))
	}
}

// plain takes the marks out of a text.
func plain(marked string) string {
	var out strings.Builder
	for marked != "" {
		before, rest, found := strings.Cut(marked, "[")
		out.WriteString(before)
		if !found {
			break
		}
		inner, after, _ := strings.Cut(rest, "]")
		_, value, _ := strings.Cut(inner, ":")
		out.WriteString(value)
		marked = after
	}
	return out.String()
}

// What looks like an identifier and is none stays.
func TestClinicalLanguageStays(t *testing.T) {
	for _, s := range []string{
		"Graves' disease, Barrett esophagus, Crohn's disease, Parkinson's disease, Hodgkin's lymphoma treated with ABVD; Bleomycin held.",
		"The Foley was removed. Foley catheter, Swan-Ganz, Jackson-Pratt drain, Penrose drain, Balfour retractor, Satinsky clamp, Fogarty balloon.",
		"Babinski downgoing, Murphy's sign negative, McBurney's point, Homans' sign, Kernig and Brudzinski signs, Romberg, Trendelenburg.",
		"May advance diet. Will follow. Mark the site. Drew labs. Chance of recurrence. Grant access. Hope to wean. Rose Bengal stain. Dawn phenomenon.",
		"Labs: Sodium 138, Potassium 4.2, Creatinine 1.1, WBC 9.8, Hct 33.2, CA 19-9 40, HbA1c 7.1%. EF 55-60%. CHADS2-VASc 3, Wells score 4.5.",
		"Vitals: T 98.6 BP 132/84 HR 76 RR 16 O2 97% RA. I/O 2400/1800. Pain 7/10, strength 5/5, 2/6 systolic murmur, Apgar 8 and 9.",
		"Medications: Toprol XL 50 mg daily, Lantus 20 units, Percocet 5/325, Keflex 500 mg qid, Advair Diskus, vancomycin 1 g q12h.",
		"Axial images, Omnipaque 350. Couinaud segment VII lesion. Bosniak II cyst. Glasgow Coma Scale 12. Glasgow coma score.",
		"Follow up at the Pain Clinic and Coumadin Clinic, Emergency Department, Cardiac Care Unit, Operating Room.",
		"A 6 mm Gore-Tex graft with 6-0 Prolene, 2-0 Vicryl. T4N2M0. L4-L5 and C5-C6 fusion. CN II-XII intact. Grade 3/6.",
		"Young, well-nourished white female. Long arm cast. White count trending down. Brown sputum. Short runs of palpitations.",
		"10 year history of smoking, 20 pack years, for 3 weeks; q8h x 5 days; series 3 image 45; room air; bed rest.",
		"Rocky Mountain spotted fever, Lyme disease, West Nile virus, Norwegian scabies, German measles, Spanish-speaking.",
	} {
		require.Equal(t, s, mark(s))
	}
}

// A person with the name of a disease goes, the disease stays.
func TestEponymsAndPersons(t *testing.T) {
	require.Equal(t, "Ms. [name:Bell] has Bell's palsy. Mr. [name:Parkinson] was told of Parkinson's disease by Dr. [name:Addison].",
		mark("Ms. Bell has Bell's palsy. Mr. Parkinson was told of Parkinson's disease by Dr. Addison."))
}

// A name that is sure once goes everywhere in the document.
func TestNamesAreRemovedAgain(t *testing.T) {
	require.Equal(t, "Patient: [name:Thornina Quillwick]. Later [name:Thornina] slept. [name:Quillwick] family informed.",
		mark("Patient: Thornina Quillwick. Later Thornina slept. Quillwick family informed."))
}

func FuzzFind(f *testing.F) {
	for _, s := range []string{
		"", "Dr.", "Dr. Émile Zoë-O’Hara, MD", "MRN: 123-45-6", "(555) 123-4567 x", "on 3/5", "患者 John Smith 今日", "12 Main St., Apt", "+1", "’s", "A. B. C. D.",
		"from from from", "Patient: \"", "\xff\xc3", "January of", "the 5th of",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		english.Find(s, func(start, end int, typ english.Type, _ bool) {
			require.True(t, 0 <= start && start < end && end <= len(s))
			require.NotEmpty(t, typ)
			if utf8.ValidString(s) {
				require.True(t, utf8.ValidString(s[start:end]))
			}
		})
	})
}

// Hostile text takes time in proportion to its length.
func TestTimeIsLinear(t *testing.T) {
	for _, unit := range []string{"Dr. ", "A. ", "1-", "1 ", "(", "\n", "MRN ", "of ", "Hospital ", "A", "O'", "Street ", "call 1-", "12 Main ", "A of ", "from A ", "Z\n\n", "Zeta "} {
		s := strings.Repeat(unit, 200_000/len(unit))
		start := time.Now()
		english.Find(s, func(int, int, english.Type, bool) {})
		require.Less(t, time.Since(start), 3*time.Second, unit)
	}
}
