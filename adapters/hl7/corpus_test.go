//go:build corpus

package hl7_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// TestCorpus takes outside messages through: every message decodes, parses, and comes
// back byte for byte, apart from the exceptions below. Run it with
//
//	CORPUS=/path/to/corpus go test -tags corpus -run TestCorpus ./adapters/hl7
func TestCorpus(t *testing.T) {
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "set CORPUS to the folder that holds hl7v2 and hl7v2-derived-encodings")
	files, messages, refused := 0, 0, map[string]bool{}
	for _, dir := range []string{"hl7v2", "hl7v2-derived-encodings"} {
		base := filepath.Join(root, dir)
		require.NoError(t, filepath.WalkDir(base, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			files++
			name, _ := filepath.Rel(root, path)
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			n, failure := roundTripAll(data)
			messages += n
			if want, listed := corpusExceptions[filepath.ToSlash(name)]; listed {
				refused[filepath.ToSlash(name)] = true
				if assert.Error(t, failure, "%s is listed as refused", name) {
					assert.ErrorIs(t, failure, want.kind, name)
				}
				return nil
			}
			assert.NoError(t, failure, name)
			return nil
		}))
	}
	assert.Len(t, refused, len(corpusExceptions), "every listed file is there")
	t.Logf("%d files, %d messages round-tripped, %d files refused as listed", files, messages, len(refused))
}

var errNoMessage = errors.New("no message in the file")

// roundTripAll returns how many messages of a file came back unchanged and the first
// refusal.
func roundTripAll(data []byte) (n int, first error) {
	msgs := hl7.SplitMessages(data).Messages()
	if len(msgs) == 0 {
		return 0, errNoMessage
	}
	for _, raw := range msgs {
		if err := roundTrip(raw); err != nil {
			first = errors.Join(first, err)
			continue
		}
		n++
	}
	return n, first
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
)

// corpusExceptions lists every file of which some message is refused, and why.
var corpusExceptions = map[string]exception{
	"hl7v2/cosyte+hl7/malformed/empty-input.hl7":                           {errNoMessage, "empty, to be refused"},
	"hl7v2/cosyte+hl7/malformed/no-msh-segment.hl7":                        {errNoMessage, "no MSH, to be refused"},
	"hl7v2/cosyte+hl7/stream/malformed-mid-stream.hl7":                     {hl7.ErrDelimiters, "the message in the middle ends inside MSH-2; the others are taken"},
	"hl7v2/hapifhir+hapi-hl7v2/parser/guide.txt":                           {hl7.ErrDelimiters, "a grammar, not messages"},
	"hl7v2/rethinkhealth+hl7v2/fixtures/invalid-segment-header-length.hl7": {hl7.ErrSegment, "segment names of four and two letters"},
	"hl7v2/oehf+ipf/iti8/iti8-a40-iso-8859-1.hl7":                          {hl7.ErrCharset, "ISO 8859-1 without MSH-18: needs the endpoint's default charset"},
	"hl7v2/oehf+ipf/resources/msg-02.hl7":                                  {hl7.ErrCharset, "MSH-18 code1~code2 is no charset"},
	"hl7v2/oehf+ipf/test/resources/msg-02.hl7":                             {hl7.ErrCharset, "MSH-18 code1~code2 is no charset"},
	"hl7v2-derived-encodings/cosyte+hl7/unicode-names.gbk.hl7":             {hl7.ErrCharset, "GBK without MSH-18: needs the endpoint's default charset"},
	"hl7v2-derived-encodings/cosyte+hl7/utf8-name.gb18030.hl7":             {hl7.ErrCharset, "declares UTF-8, is GB 18030"},
	"hl7v2-derived-encodings/cosyte+hl7/unicode-names.utf-16-le.hl7":       {errNoMessage, "UTF-16, which cannot be framed"},
	"hl7v2-derived-encodings/cosyte+hl7/utf8-name.utf-16-le.hl7":           {errNoMessage, "UTF-16, which cannot be framed"},

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
	pipe + "id_000092,sig_02,src_001582+001861,op_splice,rep_16":                                                    {hl7.ErrCharset, "fuzzer find: MSH-18 is 0"},
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
