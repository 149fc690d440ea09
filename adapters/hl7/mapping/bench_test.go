package mapping_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
)

// oneKilobyte is a result of 1 KB, as a laboratory sends them.
var oneKilobyte = strings.ReplaceAll(`MSH|^~\&|LIS|H1|EMR|H1|20260301093000||ORU^R01^ORU_R01|LIS-000001|P|2.5|||AL|NE|CHN|UNICODE UTF-8
PID|1||10001^^^H1^PI~990101198001011236^^^GA^NNCHN~YB-77^^^SI^YB~Z2026-1^^^H1^IP||测试^甲||19800101|1|||测试省测试市测试路1号^^^^100000||13900000000|||M
PV1|1|I|内科^301^05||||D001^王^医生||||||||||||Z2026-1-1|||||||||||||||||||||||||20260301074000
ORC|RE|P1|F1||CM
OBR|1|P1|F1|CBC^血常规^L|||20260301083000|||||||20260301084000|BLD^全血|D009^孙^医生||||||20260301093000||LAB|F|||||||LT1&钱&检验
OBX|1|NM|WBC^白细胞计数^L||5.6|10^9/L|3.5-9.5|N|||F|||20260301092500
OBX|2|NM|RBC^红细胞计数^L||4.4|10^12/L|3.8-5.1|N|||F|||20260301092500
OBX|3|NM|HGB^血红蛋白^L||131|g/L|115-150|N|||F|||20260301092500
OBX|4|NM|PLT^血小板计数^L||210|10^9/L|125-350|N|||F|||20260301092500
OBX|5|NM|NEUT^中性粒细胞百分数^L||61.2|%|40-75|N|||F|||20260301092500
OBX|6|NM|LYMPH^淋巴细胞百分数^L||30.1|%|20-50|N|||F|||20260301092500
`, "\n", "\r")

// BenchmarkMap measures one message from its bytes to its record, the digest for the id
// included. undisturbed/s is of the fastest hundred in a row, which is what one core does
// however much else runs on the machine; 50,000 are wanted.
func BenchmarkMap(b *testing.B) {
	m := mapping.NewMapper(nil, mapping.Options{Unmapped: new(mapping.Report).Note})
	src := mapping.Source{Raw: []byte(oneKilobyte), HospitalNumber: 1, HospitalMSP: "H1MSP", ReceivedAt: time.UnixMilli(1)}
	require.InDelta(b, 1024, len(src.Raw), 64)
	b.SetBytes(int64(len(src.Raw)))
	b.ReportAllocs()
	const row = 100
	best, n, begun := time.Hour, 0, time.Now()
	for b.Loop() {
		if _, err := m.Map(src); err != nil {
			b.Fatal(err)
		}
		if n++; n%row == 0 {
			now := time.Now()
			best, begun = min(best, now.Sub(begun)), now
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	if n >= row {
		b.ReportMetric(row/best.Seconds(), "undisturbed/s")
	}
}
