//go:build corpus

package hl7_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// corpusFiles calls see with every ER7 file of the outside data, by its name below the
// folder that CORPUS names.
func corpusFiles(t *testing.T, see func(name string, data []byte)) {
	t.Helper()
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "set CORPUS to the folder that holds hl7v2, hl7v2-derived-encodings and hl7v2-to-fhir")
	for _, dir := range []string{"hl7v2", "hl7v2-derived-encodings", "hl7v2-to-fhir"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || dir == "hl7v2-to-fhir" && filepath.Ext(path) != ".hl7" {
				return err
			}
			name, err := filepath.Rel(root, path)
			require.NoError(t, err)
			data, err := os.ReadFile(path)
			see(filepath.ToSlash(name), data)
			return err
		}))
	}
}

// TestCorpusRoundTrip takes outside messages through: every message decodes, parses, and
// comes back byte for byte, apart from the exceptions below, each of which is refused for
// its reason and at once. Run it with
//
//	CORPUS=/path/to/corpus go test -tags corpus -run Corpus ./adapters/hl7
func TestCorpusRoundTrip(t *testing.T) {
	files, messages, refused := 0, 0, map[string]bool{}
	corpusFiles(t, func(name string, data []byte) {
		files++
		start := time.Now()
		n, failure := roundTripAll(data)
		messages += n
		want, listed := corpusExceptions[name]
		if !listed {
			assert.NoError(t, failure, name)
			return
		}
		refused[name] = true
		if assert.Error(t, failure, "%s is listed as refused", name) {
			assert.ErrorIs(t, failure, want.kind, name)
		}
		assert.Less(t, time.Since(start), time.Second, "%s is refused at once", name)
	})
	assert.Len(t, refused, len(corpusExceptions), "every listed file is there")
	t.Logf("%d files, %d messages round-tripped, %d files refused as listed", files, messages, len(refused))
}

var errNoMessage = errors.New("no message in the file")

// roundTripAll returns how many messages of a file came back unchanged and the refusals.
func roundTripAll(data []byte) (n int, refused error) {
	msgs := hl7.SplitMessages(data).Messages()
	if len(msgs) == 0 {
		_, _, err := hl7.CharsetPolicy{}.Decode(data)
		return 0, errors.Join(errNoMessage, err)
	}
	for _, raw := range msgs {
		if err := roundTrip(raw); err != nil {
			refused = errors.Join(refused, err)
			continue
		}
		n++
	}
	return n, refused
}

var errChanged = errors.New("bytes changed")

func roundTrip(raw []byte) error {
	text, cs, err := hl7.CharsetPolicy{}.Decode(raw)
	if err != nil {
		return err
	}
	m, err := hl7.Parse(text)
	if err != nil {
		return err
	}
	if !bytes.Equal(text, m.Rebuild()) {
		return errChanged
	}
	back, err := cs.Encode(m.Encode())
	if err != nil {
		return err
	}
	if !bytes.Equal(back, raw) {
		return errChanged
	}
	return nil
}

// exception is a file that is refused on purpose, or that needs an endpoint's setting.
type exception struct {
	kind error
	why  string
}

const (
	nhapi = "hl7v2/nHapiNET+nHapi/"
	pipe  = nhapi + "BadInputs/PipeParser/HL7Exception/"
	hapi  = "hl7v2/hapifhir+hapi-hl7v2/"
)

// corpusExceptions lists every file of which some message is refused, and why.
var corpusExceptions = map[string]exception{
	"hl7v2/cosyte+hl7/malformed/empty-input.hl7":                           {errNoMessage, "empty, to be refused"},
	"hl7v2/cosyte+hl7/malformed/no-msh-segment.hl7":                        {errNoMessage, "no MSH, to be refused"},
	"hl7v2/cosyte+hl7/stream/malformed-mid-stream.hl7":                     {hl7.ErrDelimiters, "the message in the middle ends inside MSH-2; the others are taken"},
	hapi + "parser/guide.txt":                                              {hl7.ErrDelimiters, "a grammar, not messages"},
	"hl7v2/rethinkhealth+hl7v2/fixtures/invalid-segment-header-length.hl7": {hl7.ErrSegment, "segment names of four and two letters, to be refused"},
	"hl7v2/oehf+ipf/iti8/iti8-a40-iso-8859-1.hl7":                          {hl7.ErrCharset, "ISO 8859-1 without MSH-18: needs the endpoint's default charset"},
	"hl7v2-derived-encodings/cosyte+hl7/unicode-names.gbk.hl7":             {hl7.ErrCharset, "GBK without MSH-18: needs the endpoint's default charset"},
	"hl7v2-derived-encodings/cosyte+hl7/utf8-name.gb18030.hl7":             {hl7.ErrCharset, "declares UTF-8, is GB 18030"},
	"hl7v2-derived-encodings/cosyte+hl7/unicode-names.utf-16-le.hl7":       {hl7.ErrCharset, "UTF-16, which cannot be framed"},
	"hl7v2-derived-encodings/cosyte+hl7/utf8-name.utf-16-le.hl7":           {hl7.ErrCharset, "UTF-16, which cannot be framed"},

	nhapi + "Parser/uuencoded_escaped.txt":                                                                          {errNoMessage, "the text of a field, no message"},
	nhapi + "Parser/uuencoded_unescaped.txt":                                                                        {errNoMessage, "the text of a field, no message"},
	nhapi + "BadInputs/LegacyPipeParser/EncodingNotSupportedException/aoor1":                                        {errNoMessage, "empty"},
	nhapi + "BadInputs/LegacyPipeParser/EncodingNotSupportedException/nullref1":                                     {hl7.ErrDelimiters, "fuzzer find: a letter as MSH-1"},
	nhapi + "BadInputs/LegacyPipeParser/HL7Exception/hang1":                                                         {hl7.ErrSegment, "fuzzer find: a line without a segment name"},
	nhapi + "BadInputs/LegacyPipeParser/NoException/regex1":                                                         {hl7.ErrDelimiters, "fuzzer find: a control character and a digit in MSH-2"},
	nhapi + "BadInputs/PipeParser/EncodingNotSupportedException/id_000213,sig_02,src_001353+000130,op_splice,rep_8": {errNoMessage, "fuzzer find: MSH not at the head of a line"},
	nhapi + "BadInputs/PipeParser/NoException/id_000168,sig_02,src_002426+002144,op_splice,rep_8":                   {hl7.ErrCharset, "fuzzer find: bytes that are no UTF-8"},
	pipe + "id_000001,sig_02,src_000000,op_havoc,rep_16":                                                            {hl7.ErrDelimiters, "fuzzer find: digits in MSH-2"},
	pipe + "id_000029,sig_02,src_000167+001027,op_splice,rep_8":                                                     {hl7.ErrDelimiters, "fuzzer find: the line ends in MSH-2"},
	pipe + "id_000064,sig_02,src_000051+000380,op_splice,rep_16":                                                    {hl7.ErrDelimiters, "fuzzer find: empty MSH-2"},
	pipe + "id_000087,sig_02,src_000967+001832,op_splice,rep_2":                                                     {hl7.ErrCharset, "fuzzer find: bytes that are no UTF-8"},
	pipe + "id_000092,sig_02,src_001582+001861,op_splice,rep_16":                                                    {hl7.ErrDelimiters, "fuzzer find: a quotation mark in MSH-2"},
	pipe + "id_000118,sig_02,src_001039+002153,op_splice,rep_16":                                                    {hl7.ErrCharset, "fuzzer find: bytes that are no UTF-8"},
	pipe + "id_000172,sig_02,src_001146+002011,op_splice,rep_16":                                                    {hl7.ErrCharset, "fuzzer find: bytes that are no UTF-8"},
	pipe + "id_000205,sig_02,src_001449,op_havoc,rep_2":                                                             {hl7.ErrDelimiters, "fuzzer find: digits in MSH-2"},
}

func init() {
	for _, name := range []string{"id_000099,sig_02,src_004226+004602,op_splice,rep_4",
		"id_000125,sig_02,src_004230+004691,op_splice,rep_16", "id_000149,sig_02,src_004338+004594,op_splice,rep_4",
		"id_000160,sig_02,src_004804+004815,op_splice,rep_8", "so2", "so3", "so4", "so5"} {
		corpusExceptions[pipe+name] = exception{hl7.ErrDelimiters, "fuzzer find: digits in MSH-2"}
	}
}

// TestCorpusWithEndpointCharset takes the files that declare no charset through with the
// one that their endpoint would configure.
func TestCorpusWithEndpointCharset(t *testing.T) {
	for name, cs := range map[string]hl7.Charset{
		"hl7v2/oehf+ipf/iti8/iti8-a40-iso-8859-1.hl7":              hl7.Latin1,
		"hl7v2-derived-encodings/cosyte+hl7/unicode-names.gbk.hl7": hl7.GB18030,
		"hl7v2-derived-encodings/cosyte+hl7/utf8-name.gb18030.hl7": hl7.GB18030,
	} {
		raw, err := os.ReadFile(filepath.Join(os.Getenv("CORPUS"), name))
		require.NoError(t, err)
		likely, ok := hl7.DetectCharset(raw)
		assert.True(t, ok && likely == cs, "%s: the advice is %s", name, likely)
		text, got, err := hl7.CharsetPolicy{Default: cs, Force: true}.Decode(raw)
		require.NoError(t, err, name)
		assert.Equal(t, cs, got)
		m, err := hl7.Parse(text)
		require.NoError(t, err, name)
		back, err := cs.Encode(m.Encode())
		require.NoError(t, err)
		assert.Equal(t, raw, back, name)
	}
}

// TestCorpusXML: HL7 v2 in XML is no transport that is taken, so that no entity in it is
// ever read. Every file is refused by name.
func TestCorpusXML(t *testing.T) {
	n := 0
	require.NoError(t, filepath.WalkDir(filepath.Join(os.Getenv("CORPUS"), "hl7v2-xml"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		n++
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		_, err = hl7.Parse(data)
		assert.ErrorIs(t, err, hl7.ErrXML, path)
		assert.ErrorContains(t, err, "set the sender to ER7", path)
		assert.Empty(t, hl7.SplitMessages(data).Messages(), path)
		return nil
	}))
	t.Logf("%d XML files refused", n)
	assert.NotZero(t, n)
}

// corpusFaults lists every message with an error of content: file, paths of the errors of its
// first message that has any, and why that is one. All other messages have warnings at most.
var corpusFaults = map[string][2]string{
	"hl7v2/oehf+ipf/wan/invalid-glucose-continua-wan.hl7v2":                                                   {"OBX[8]-2 OBX[9]-2 OBX[10]-2", "to be refused: values without a value type"},
	"hl7v2/cosyte+hl7/vendor-quirks/missing-required-field.hl7":                                               {"MSH-9", "to be reported: no message type"},
	"hl7v2/cosyte+hl7/vendor-quirks/duplicate-required-segment.hl7":                                           {"PID", "to be reported: two MSH, so that the first is a message of its own, without a patient"},
	"hl7v2/cosyte+hl7/vendor-quirks/extra-fields.hl7":                                                         {"EVN-6", "an extra field where v2.5 has a time"},
	"hl7v2/CDCgov+data-exchange-hl7/messages/PHLIP_FLU_2.5.1_NO_MSH10.txt":                                    {"MSH-10", "to be reported: no control id"},
	"hl7v2/CDCgov+data-exchange-hl7/resources/Lyme_WithWarnings3.txt":                                         {"PID-7", "an age as date of birth"},
	"hl7v2/CDCgov+data-exchange-hl7/adb/MMG_V1_2_StLouis.txt":                                                 {"OBR-7 OBR-22 OBR[2]-7 OBR[2]-22", "times of 13 digits"},
	"hl7v2/CDCgov+prime-reportstream/HL7_to_FHIR/sample_oru_CDPH_NBS_20241021-001.hl7":                        {"OBX[4]-14 OBX[13]-14", "times of 15 digits"},
	"hl7v2/CDCgov+prime-reportstream/orcobr/orc_obr-to-servicerequest_diagnosticreport-orc-obr-populated.hl7": {"ORC-9", "a zone of three digits"},
	"hl7v2/CDCgov+prime-reportstream/orcobr/orc_obr-to-servicerequest_diagnosticreport-orc-populated.hl7":     {"ORC-9", "a zone of three digits"},
	"hl7v2-to-fhir/CDCgov+prime-reportstream/dtm/dateTime/dtm-zero-year-to-dateTime.hl7":                      {"PID-29", "the year 0"},
	"hl7v2-to-fhir/CDCgov+prime-reportstream/catchall/msg/MSG-to-Coding-missing-msg2.hl7":                     {"MSH-9", "no trigger event"},
	"hl7v2/microsoft+FHIR-Converter/Hl7v2/ORM-O01-01.hl7":                                                     {"ORC-15", "a date that does not exist"},
	"hl7v2/microsoft+FHIR-Converter/Input/Hl7v2TestTimezoneInput.hl7v2":                                       {"PID", "a fragment without a patient"},
	"hl7v2/rethinkhealth+hl7v2/fixtures/adt-a01-full.hl7":                                                     {"IN1-12", "an address where a date belongs"},
	"hl7v2/cosyte+hl7/athena/adt-a01.hl7":                                                                     {"MSH-7 EVN-2", "dates as MM/DD/YYYY"},
	"hl7v2/cosyte+hl7/cerner/oru-r01.hl7":                                                                     {"MSH-7 OBR-7", "dates as in ISO 8601"},
	"hl7v2/cosyte+hl7/epic/adt-a01.hl7":                                                                       {"MSH-7 EVN-2", "dates as MM/DD/YYYY"},
	"hl7v2/cosyte+hl7/genericLab/oru-r01.hl7":                                                                 {"MSH-7 OBR-7", "a blank in a time, a date with hyphens"},
	"hl7v2/dshills+golevel7/msg3.hl7":                                                                         {"MSH-7", "a time of 16 digits"},
	"hl7v2/johnpaulett+python-hl7/test_accessor.L41.hl7":                                                      {"MSH-7 MSH-10", "a fragment of a test"},
	"hl7v2/johnpaulett+python-hl7/test_parse.L258.hl7":                                                        {"MSH-9 MSH-10 MSH-12", "a fragment of a test"},
	"hl7v2/nextgenhealthcare+connect/tests/test-hl7-1636-output.txt":                                          {"OBX-2 ORC", "an order without an order, and a value type of nobody"},
	"hl7v2/nextgenhealthcare+connect/tests/test-hl7-repetitions-input.txt":                                    {"OBX-2 ORC", "an order without an order, and a value type of nobody"},
	"hl7v2/nextgenhealthcare+connect/tests/test-hl7-missing-fields-output.txt":                                {"PID-7 ORC", "an order without an order, a date in words"},
	"hl7v2/nextgenhealthcare+connect/tests/test-hl7-missing-subcomponents-output.txt":                         {"OBX-2 ORC", "an order without an order, and a value type of nobody"},
	"hl7v2/nextgenhealthcare+connect/tests/test-hl7-whitespace-input.txt":                                     {"PID-7 ORC", "an order without an order, a date in words"},
	"hl7v2/nextgenhealthcare+connect/tests/test-hl7-input.txt":                                                {"PID-7 PV1-44", "dates in words"},
	"hl7v2/oehf+ipf/resources/msg-04.hl7":                                                                     {"MSH-7", "no time of the message"},
	"hl7v2/oehf+ipf/resources/msg-05.hl7":                                                                     {"MSH-7", "no time of the message"},
	"hl7v2/oehf+ipf/resources/qbp.hl7":                                                                        {"MSH-7", "no time of the message"},
	nhapi + "LegacyPipeParserV26Tests.L129.hl7":                                                               {"PID-7", "month and day 00"},
	nhapi + "LegacyPipeParserTests.L152.hl7":                                                                  {"PID TXA", "a document without patient and header"},
	hapi + "AbstractMessageTest.L207.hl7":                                                                     {"MSH-7", "a fragment of a test"},
	hapi + "ConformanceProfileRuleTest.L139.hl7":                                                              {"MSH-7", "a fragment of a test"},
	hapi + "DefaultValidatorTest.L191.hl7":                                                                    {"PID", "a fragment of a test"},
	hapi + "EscapeTest.L95.hl7":                                                                               {"PV1", "PV1 before PID"},
	hapi + "ExampleUseTerser.L55.hl7":                                                                         {"MSH-10", "no control id"},
	hapi + "Hl7InputStreamMessageIteratorTest.L13.hl7":                                                        {"MRG", "a move without the prior visit"},
	hapi + "NewPipeParserTest.L121.hl7":                                                                       {"MSH-7 MSH-9 MSH-12", "the numbers of the fields as their values"},
	hapi + "NewPipeParserTest.L125.hl7":                                                                       {"PID", "a fragment of a test"},
	hapi + "NewPipeParserTest.L750.hl7":                                                                       {"PV1-44", "a number where a time belongs"},
	hapi + "ParserConfigurationTest.L67.hl7":                                                                  {"MSH-10 MFI", "a fragment of a test"},
	hapi + "ParserTest.L163.hl7":                                                                              {"MSH-10", "no control id"},
	hapi + "SuperStructureTest.L31.hl7":                                                                       {"PID[2]", "two patients in an admission"},
	hapi + "ResponderTest.L108.hl7":                                                                           {"MSA", "an acknowledgement without MSA"},
}

// TestCorpusValidate validates every message that parses. Profiles of single countries and
// vocabularies (Invalid-Vocab, InvalidOBR31, conformance/, pcd01-response-invalid) are not
// the standard's and have no errors here.
func TestCorpusValidate(t *testing.T) {
	clean, faulty, seen := 0, 0, map[string]bool{}
	corpusFiles(t, func(name string, data []byte) {
		if strings.Contains(name, "BadInputs") {
			return
		}
		for _, raw := range hl7.SplitMessages(data).Messages() {
			policy := hl7.CharsetPolicy{}
			if likely, ok := hl7.DetectCharset(raw); ok {
				policy.Default = likely
			}
			text, _, err := policy.Decode(raw)
			if err != nil {
				continue
			}
			m, err := hl7.Parse(text)
			if err != nil {
				continue
			}
			var paths []string
			for _, i := range hl7.Validate(m) {
				if i.Severity == hl7.Error {
					paths = append(paths, i.Path)
				}
				assert.LessOrEqual(t, i.Offset, len(text), name)
			}
			if len(paths) == 0 {
				clean++
				continue
			}
			faulty++
			if !seen[name] {
				assert.Equal(t, corpusFaults[name][0], strings.Join(paths, " "), name)
			}
			seen[name] = true
		}
	})
	assert.Len(t, seen, len(corpusFaults), "every listed file is there")
	t.Logf("%d messages without errors, %d with the errors that are listed", clean, faulty)
}

// TestCorpusBatches: what is wrong with a batch as a whole is said, and all of its messages
// are there.
func TestCorpusBatches(t *testing.T) {
	problems := map[string]string{}
	corpusFiles(t, func(name string, data []byte) {
		s := hl7.SplitMessages(data)
		if len(s.Messages()) == 0 {
			return
		}
		for _, p := range s.Problems {
			problems[name] += p.Text + "; "
		}
	})
	assert.Equal(t, map[string]string{
		"hl7v2/cosyte+hl7/batch/count-mismatch.hl7": "BTS-1 says 3 messages, there are 2; ",
		hapi + "parser/guide.txt":                   "bytes that belong to no message; ",
	}, problems)
}
