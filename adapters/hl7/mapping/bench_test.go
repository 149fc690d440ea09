package mapping_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
)

// oneKilobyte is a result of about 1 KB, as a laboratory sends them.
var oneKilobyte = strings.ReplaceAll(`MSH|^~\&|LIS|H1|EMR|H1|20260301093000||ORU^R01^ORU_R01|LIS-000001|P|2.5|||AL|NE|CHN|UNICODE UTF-8
PID|1||10001^^^H1^PI~990101198001011236^^^GA^NNCHN~YB-77^^^SI^YB~Z2026-1^^^H1^IP||测试^甲||19800101|1|||测试省测试市测试路1号^^^^100000||13900000000|||M
PV1|1|I|内科^301^05||||D001^王^医生||||||||||||Z2026-1-1|||||||||||||||||||||||||20260301074000
ORC|RE|P1|F1||CM
OBR|1|P1|F1|CBC^血常规^L|||20260301083000|||||||20260301084000|BLD^全血|D009^孙^医生||||||20260301093000||LAB|F|||||||LT1&钱&检验
OBX|1|NM|WBC^白细胞计数^L||5.6|10^9/L|3.5-9.5|N|||F|||20260301092500
OBX|2|NM|RBC^红细胞计数^L||4.4|10^12/L|3.8-5.1|N|||F|||20260301092500
OBX|3|NM|HGB^血红蛋白^L||131|g/L|115-150|N|||F|||20260301092500
OBX|4|NM|PLT^血小板计数^L||210|10^9/L|125-350|N|||F|||20260301092500
`, "\n", "\r")

func BenchmarkMap(b *testing.B) {
	m := mapping.NewMapper(nil, mapping.Options{})
	src := mapping.Source{Raw: []byte(oneKilobyte), HospitalNumber: 1, HospitalMSP: "H1MSP", ReceivedAt: time.UnixMilli(1)}
	b.SetBytes(int64(len(src.Raw)))
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		if _, err := m.Map(src); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64(b.N)/(processorTime(b)-before).Seconds(), "messages/s-of-processor")
}

// processorTime is what the process has used of the processors, which says more than the
// clock on a machine that others use too.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
