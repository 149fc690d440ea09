package leak_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize/leak"
)

const (
	messageV2 = "MSH|^~\\&|HIS|H1|||20240301||ADT^A01|1|P|2.5||||||UNICODE UTF-8\r" +
		"PID|1||320106198503051237^^^^NI~ZY0012345^^^H1^PI||王^晓明||19850305|M|||中山路321号2幢301室^^南京市||13851234567\r" +
		"NK1|1|欧阳^丽华|SPO|||025-83262626\r" +
		"PV1|1|I|W1^3^12|||||D1001^钱^学文\r"
	resource = `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","identifier":[{"value":"320106198503051237"}],
"name":[{"family":"王","given":["晓明"]}],"telecom":[{"system":"phone","value":"13851234567"}],"birthDate":"1985-03-05",
"address":[{"line":["中山路321号2幢301室"],"city":"南京市"}],"contact":[{"name":{"text":"欧阳丽华"},"telecom":[{"value":"025-83262626"}]}]}},
{"resource":{"resourceType":"Practitioner","name":[{"text":"钱学文"}]}},{"resource":{"resourceType":"Encounter","identifier":[{"value":"ZY0012345"}]}}]}`
	document = `<ClinicalDocument xmlns="urn:hl7-org:v3"><id root="1" extension="ZY0012345"/><recordTarget><patientRole><id root="2.16.156.10011.1.12" extension="ZY0012345"/>
<addr><streetName>中山路321号2幢301室</streetName></addr><telecom value="tel:13851234567"/><patient><id extension="320106198503051237"/><name>王晓明</name>
<birthTime value="19850305"/></patient></patientRole></recordTarget><author><assignedAuthor><assignedPerson><name><family>钱</family><given>学文</given></name></assignedPerson></assignedAuthor></author>
<participant><associatedEntity><telecom value="025-83262626"/><associatedPerson><name>欧阳丽华</name></associatedPerson></associatedEntity></participant></ClinicalDocument>`
)

func TestHarvest(t *testing.T) {
	g := leak.New(leak.Config{})
	for format, original := range map[leak.Format]string{leak.HL7v2: messageV2, leak.FHIR: resource, leak.CDA: document} {
		compiled := leak.Compile(leak.Harvest(format, []byte(original)))
		for _, value := range []string{"王晓明", "欧阳丽华", "钱学文", "320106198503051237", "13851234567", "83262626", "中山路321号", "ZY0012345", "1985年3月5日", "wang xiaoming"} {
			found, err := g.Check(context.Background(), leak.Text, []byte("记录 "+value+" 完"), compiled)
			require.NoError(t, err)
			known := false
			for _, f := range found {
				known = known || f.Known
			}
			require.True(t, known, "%s: %s", format, value)
		}
		found, err := g.Check(context.Background(), format, []byte(original), compiled)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(found), 8, format)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(messageV2))
	f.Add([]byte(resource))
	f.Add([]byte(document))
	f.Add([]byte("<a b='&#x738b;'>JVBERi0xLjQK \\u738b %E7%8E%8B =E7=8E\\X E78E \\</a>"))
	g := leak.New(leak.Config{MaxBytes: 1 << 20, Dates: true})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, format := range []leak.Format{"", leak.HL7v2, leak.FHIR, leak.CDA, leak.Text} {
			found, err := g.Check(context.Background(), format, data, leak.Compile(leak.Harvest(format, data)))
			require.NoError(t, err)
			for _, x := range found {
				require.GreaterOrEqual(t, x.Offset, 0)
				require.GreaterOrEqual(t, x.Length, 0)
			}
		}
	})
}

// A value that is planted in any text is found, whatever surrounds it.
func FuzzPlanted(f *testing.F) {
	f.Add("患者", "入院")
	f.Add("<p>", "</p>")
	g := leak.New(leak.Config{MaxBytes: 1 << 20})
	compiled := leak.Compile(known)
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, value := range []string{"王晓明", "320106198503051237"} {
			found, err := g.Check(context.Background(), leak.Text, []byte(before+" "+value+" "+after), compiled)
			require.NoError(t, err)
			require.NotEmpty(t, found)
		}
	})
}
