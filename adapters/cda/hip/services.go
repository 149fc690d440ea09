package hip

import "strings"

// Interaction is one service of the platform.
type Interaction struct {
	Number int
	Name   string // action, as DocumentRegister
	Root   string // root element of the request
}

// Root elements that this package does more with than to seal them.
const (
	rootRegister       = "RCMR_IN000002UV02"
	rootSearch         = "RCMR_IN000029UV01"
	rootFetch          = "RCMR_IN000031UV01"
	rootSearchAnswer   = "RCMR_IN000030UV01"
	rootFetchAnswer    = "RCMR_IN000032UV01"
	rootPatientNew     = "PRPA_IN201311UV02"
	rootPatientUpdate  = "PRPA_IN201314UV02"
	rootPatientMerge   = "PRPA_IN201304UV02"
	rootPatientQuery   = "PRPA_IN201305UV02"
	rootPatientsAnswer = "PRPA_IN201306UV02"
	rootAcknowledge    = "MCCI_IN000002UV01"
)

// services are the services of the assessment scheme and the root element of each request.
var services = parseServices(`
1 PatientInfoRegister PRPA_IN201311UV02
2 PatientInfoUpdate PRPA_IN201314UV02
3 PatientInfoMerge PRPA_IN201304UV02
4 PatientInfoQuery PRPA_IN201305UV02
5 OrganizationInfoRegister PRPM_IN401030UV01
6 OrganizationInfoUpdate PRPM_IN403010UV01
7 OrganizationInfoQuery PRPM_IN406010UV01
8 ProviderInfoRegister PRPM_IN301010UV01
9 ProviderInfoUpdate PRPM_IN303010UV01
10 ProviderInfoQuery PRPM_IN306010UV01
11 TerminologyRegister PRVS_IN000001UV01
12 TerminologyUpdate PRVS_IN000002UV01
13 TerminologyQuery PRVS_IN000003UV01
14 DocumentRegister RCMR_IN000002UV02
15 DocumentAccess RCMR_IN000029UV01
16 DocumentRetrieve RCMR_IN000031UV01
17 EncounterCardInfoAdd PRPA_IN201311UV02
18 EncounterCardInfoUpdate PRPA_IN201314UV02
19 EncounterCardInfoQuery PRPA_IN201305UV02
20 OutPatientInfoAdd PRPA_IN400001UV
21 OutPatientInfoUpdate PRPA_IN400002UV
22 OutPatientInfoQuery PRPA_IN900300UV
23 InPatientInfoAdd PRPA_IN400001UV
24 InPatientInfoUpdate PRPA_IN400002UV
25 InPatientInfoQuery PRPA_IN900300UV
26 TransferInfoAdd PRPA_IN302011UV
27 TransferInfoUpdate PRPA_IN302012UV
28 TransferInfoQuery PRPA_IN900300UV
29 DischargeInfoAdd PRPA_IN400001UV
30 DischargeInfoUpdate PRPA_IN400002UV
31 DischargeInfoQuery PRPA_IN900300UV
32 OrderInfoAdd POOR_IN200901UV
33 OrderInfoUpdate POOR_IN200902UV
34 OrderInfoQuery QUMT_IN020030UV01
35 ExamAppInfoAdd POOR_IN200901UV
36 ExamAppInfoUpdate POOR_IN200902UV
37 ExamAppInfoQuery QUMT_IN020030UV01
38 CheckAppInfoAdd POOR_IN200901UV
39 CheckAppInfoUpdate POOR_IN200902UV
40 CheckAppInfoQuery QUMT_IN020030UV01
41 PathologyAppInfoAdd POOR_IN200901UV
42 PathologyAppInfoUpdate POOR_IN200902UV
43 PathologyAppInfoQuery QUMT_IN020030UV01
44 BloodTransAppInfoAdd POOR_IN200901UV
45 BloodTransAppInfoUpdate POOR_IN200902UV
46 BloodTransAppInfoQuery QUMT_IN020030UV01
47 OperationAppInfoAdd POOR_IN200901UV
48 OperationAppInfoUpdate POOR_IN200902UV
49 OperationAppInfoQuery QUMT_IN020030UV01
50 SourceAndScheduleInfoAdd PRSC_IN030101UV
51 SourceAndScheduleInfoUpdate PRSC_IN030102UV
52 SourceAndScheduleInfoQuery PRSC_IN100000UV
53 OutPatientAppointStatusInfoAdd PRPA_IN410001UV
54 OutPatientAppointStatusInfoUpdate PRPA_IN410002UV
55 OutPatientAppointStatusInfoQuery PRPA_IN900300UV
56 CheckAppointStatusInfoAdd PRSC_IN010101UV01
57 CheckAppointStatusInfoUpdate PRSC_IN010201UV01
58 CheckAppointStatusInfoQuery QUMT_IN020030UV01
59 OrderFillerStatusInfoUpdate POOR_IN200901UV
60 OrderFillerStatusInfoQuery QUMT_IN020030UV01
61 CheckStatusInfoUpdate POOR_IN200902UV
62 CheckStatusInfoQuery QUMT_IN020030UV01
63 ExamStatusInfoUpdate POLB_IN224000UV01
64 ExamStatusInfoQuery QUMT_IN020030UV01
65 OperationScheduleInfoAdd PRSC_IN010101UV
66 OperationScheduleInfoUpdate PRSC_IN010201UV
67 OperationScheduleInfoQuery QUMT_IN020030UV01
68 OperationStatusInfoUpdate POOR_IN200902UV
69 OperationStatusInfoQuery QUMT_IN020030UV01
`)

func parseServices(table string) []Interaction {
	var out []Interaction
	for _, line := range strings.Split(strings.TrimSpace(table), "\n") {
		f := strings.Fields(line)
		if len(f) != 3 {
			panic("hip: table of services: " + line)
		}
		out = append(out, Interaction{Number: len(out) + 1, Name: f[1], Root: f[2]})
	}
	return out
}

// Interactions returns the services of the assessment scheme in its order.
func Interactions() []Interaction { return append([]Interaction(nil), services...) }

// plainRoot folds the endings in which versions of the schemas differ: PRPA_IN400001UV,
// …UV01 and …UV02 are the same interaction.
func plainRoot(root string) string {
	i := strings.LastIndex(root, "UV")
	if i < 0 || strings.Trim(root[i+2:], "0123456789") != "" {
		return root
	}
	return root[:i+2]
}

// roots maps folded root elements to what they are: "add", "query", or one of the roots
// above.
var roots = func() map[string]string {
	out := map[string]string{}
	for _, s := range services {
		kind := "add"
		if strings.HasSuffix(s.Name, "Query") {
			kind = "query"
		}
		out[plainRoot(s.Root)] = kind
	}
	for _, r := range []string{rootRegister, rootSearch, rootFetch, rootPatientMerge, rootPatientQuery} {
		out[plainRoot(r)] = r
	}
	return out
}()
