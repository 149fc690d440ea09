// Package cohort makes up patients for trying out a research release: a thousand persons of
// several hospitals, some of them in two, with admissions, diagnoses, laboratory results and
// ward notes as HL7 v2.5 messages in UTF-8 that any hospital's endpoint takes in.
//
// Nobody in it exists: resident numbers have the form of GB 11643 with the area 9901xx, which
// is assigned to no place, and names, streets and telephone numbers are put together from
// lists. The same seed gives the same bytes.
package cohort

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Config says what to make.
type Config struct {
	Seed     uint64
	Patients int // 1 to MaxPatients
	// Hospitals are the facilities, by the name that stands in MSH-4; 1 to 8.
	Hospitals []string
	// Shared is the share of patients who are in two hospitals, 0 to 1.
	Shared float64
	// From is the day of the first visits; they spread over a year.
	From time.Time
}

// MaxPatients bounds a cohort.
const MaxPatients = 100_000

// ErrConfig reports what cannot be made.
var ErrConfig = errors.New("cohort: configuration")

// Patient is a person of the cohort. It redacts itself in logs, as a real one would.
type Patient struct {
	ResidentID    string
	Family, Given string
	Sex           string // GB/T 2261.1
	Birth         time.Time
	Address       string // state^city^district and street as PID-11 has them
	Phone         string
	Diagnosis     string // ICD-10, the main one
	Hospitals     []int  // where the records are, by number in Config.Hospitals
}

// LogValue implements slog.LogValuer.
func (Patient) LogValue() slog.Value { return slog.StringValue("[patient]") }

// Cohort is what was made.
type Cohort struct {
	Patients []Patient
	// Messages are those of each hospital, in the order of time.
	Messages [][]Message
}

// Message is one HL7 v2 message.
type Message struct {
	Patient int
	At      time.Time
	Raw     []byte
}

// illness is a diagnosis with what is measured and written about it.
type illness struct {
	code, name string
	tests      []test
	note       string // %[1]s stands for the family name, %[2]s the full name, %[3]s the telephone
}

type test struct {
	code, name, unit string
	low, high        float64
	decimals         int
}

var illnesses = []illness{
	{"E11.900", "2型糖尿病", []test{{"GLU", "空腹血糖", "mmol/L", 3.9, 16.5, 1}, {"HbA1c", "糖化血红蛋白", "%", 5.0, 12.5, 1}, {"CREA", "肌酐", "umol/L", 45, 160, 0}},
		"患者%[2]s，多饮多尿5年，近期血糖控制不佳。既往白蛋白正常，无黄疸。嘱控制饮食，规律用药，复诊请致电%[3]s。"},
	{"I10.x00", "高血压病", []test{{"SBP", "收缩压", "mm[Hg]", 120, 190, 0}, {"K", "血钾", "mmol/L", 3.2, 5.6, 1}},
		"%[1]s某，血压高峰出现于清晨，周身无水肿。给予氨氯地平5mg每日一次，家属联系电话%[3]s。"},
	{"J18.900", "肺炎", []test{{"WBC", "白细胞计数", "10*9/L", 4.0, 18.0, 1}, {"CRP", "C反应蛋白", "mg/L", 1, 180, 1}},
		"主诉：咳嗽、发热3天。%[2]s由门诊收入我科，胸部CT示右下肺炎症。"},
	{"I21.900", "急性心肌梗死", []test{{"cTnI", "肌钙蛋白I", "ng/mL", 0.01, 12, 2}, {"CK-MB", "肌酸激酶同工酶", "U/L", 5, 180, 0}},
		"患者%[1]s先生/女士于入院前2小时突发胸痛，急诊行PCI术，术程顺利。"},
	{"C34.900", "肺恶性肿瘤", []test{{"CEA", "癌胚抗原", "ng/mL", 0.5, 60, 1}, {"HGB", "血红蛋白", "g/L", 80, 160, 0}},
		"%[2]s，确诊肺腺癌，拟行第2周期化疗，已与家属（电话%[3]s）谈话签字。"},
	{"E11.901", "2型糖尿病伴血糖控制不佳", []test{{"GLU", "空腹血糖", "mmol/L", 7.5, 22, 1}, {"HbA1c", "糖化血红蛋白", "%", 7.5, 14, 1}},
		"%[2]s因血糖升高入院，胰岛素泵强化治疗中，低血糖未见。"},
}

var (
	families  = []string{"王", "李", "张", "刘", "陈", "杨", "黄", "赵", "吴", "周", "徐", "孙", "马", "朱", "胡", "欧阳", "司徒", "蒲", "苟", "郗"}
	given     = []string{"建国", "文", "志明", "伟", "强", "磊", "秀英", "丽", "敏", "静", "桂兰", "雪梅", "子涵", "一诺", "浩然", "思远", "若溪", "清和", "长宁", "知夏"}
	places    = []string{"四川省^成都市^武侯区", "四川省^成都市^锦江区", "四川省^绵阳市^涪城区", "重庆市^重庆市^渝中区", "云南省^昆明市^盘龙区"}
	streets   = []string{"松岚路", "云汀街", "柳坞巷", "枫浦大道", "棠溪路", "竹屿街"}
	doctors   = []string{"D101^沈^知远", "D201^顾^长宁", "D401^叶^书瑶", "D501^段^承志"}
	residents = [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
)

// Generate makes a cohort.
func Generate(c Config) (*Cohort, error) {
	switch {
	case c.Patients < 1 || c.Patients > MaxPatients:
		return nil, fmt.Errorf("%w: %d patients, 1 to %d are possible", ErrConfig, c.Patients, MaxPatients)
	case len(c.Hospitals) == 0 || len(c.Hospitals) > 8:
		return nil, fmt.Errorf("%w: 1 to 8 hospitals", ErrConfig)
	case c.Shared < 0 || c.Shared > 1 || c.Shared > 0 && len(c.Hospitals) < 2:
		return nil, fmt.Errorf("%w: the share of patients in two hospitals", ErrConfig)
	}
	g := &generator{c: c, r: rand.New(rand.NewPCG(c.Seed, 0x5bd1e995)), out: &Cohort{Messages: make([][]Message, len(c.Hospitals))}, //nolint:gosec // invented patients, no secret
		numbers: map[string]bool{}}
	for i := range c.Patients {
		g.patient(i)
	}
	for _, list := range g.out.Messages {
		slices.SortStableFunc(list, func(a, b Message) int { return a.At.Compare(b.At) })
	}
	return g.out, nil
}

type generator struct {
	c       Config
	r       *rand.Rand
	out     *Cohort
	numbers map[string]bool
	count   int
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// patient invents a person and the visits.
func (g *generator) patient(i int) {
	r := g.r
	sex := 1 + r.IntN(2)
	age := 25 + int(r.NormFloat64()*14+33)
	age = min(max(age, 19), 97)
	ill := pick(r, illnesses)
	p := Patient{Family: pick(r, families), Given: pick(r, given), Sex: fmt.Sprint(sex), Birth: g.c.From.AddDate(-age, -r.IntN(12), -r.IntN(28)), Diagnosis: ill.code,
		Address: pick(r, places), Phone: fmt.Sprintf("100%08d", r.IntN(1e8)), Hospitals: []int{r.IntN(len(g.c.Hospitals))}}
	p.ResidentID = g.resident(p.Birth, sex)
	if r.Float64() < g.c.Shared {
		p.Hospitals = append(p.Hospitals, (p.Hospitals[0]+1+r.IntN(len(g.c.Hospitals)-1))%len(g.c.Hospitals))
	}
	g.out.Patients = append(g.out.Patients, p)
	for _, h := range p.Hospitals {
		at := g.c.From.Add(time.Duration(r.IntN(360*24*60)) * time.Minute)
		g.visit(h, i, p, ill, at)
	}
}

// resident makes a number that nobody else of the cohort has. Its sequence is odd for men.
func (g *generator) resident(birth time.Time, sex int) string {
	for {
		digits := fmt.Sprintf("9901%02d%s%03d", 1+g.r.IntN(20), birth.Format("20060102"), 2*g.r.IntN(500)+sex%2)
		sum := 0
		for i, w := range residents {
			sum += w * int(digits[i]-'0')
		}
		id := digits + string("10X98765432"[sum%11])
		if !g.numbers[id] {
			g.numbers[id] = true
			return id
		}
	}
}

// visit writes admission, results, ward note and discharge.
func (g *generator) visit(h, i int, p Patient, ill illness, at time.Time) {
	facility := g.c.Hospitals[h]
	doctor := pick(g.r, doctors)
	local := fmt.Sprintf("%08d", 10_000_000+i)
	visit := fmt.Sprintf("ZY%06d", i)
	pid := seg("PID", "1", "", local+"^^^"+facility+"^PI~"+p.ResidentID+"^^^GA^NNCHN~"+visit+"^^^"+facility+"^IP", "", p.Family+"^"+p.Given, "",
		p.Birth.Format("20060102"), map[string]string{"1": "M", "2": "F"}[p.Sex], "", "", g.address(p), "CHN", p.Phone)
	place := make([]string, 45)
	place[0], place[1], place[2], place[6], place[18], place[43] = "1", "I", "内科^3病区^"+fmt.Sprint(1+g.r.IntN(40)), doctor, visit, stamp(at)
	pv1 := seg("PV1", place...)
	dg1 := seg("DG1", "1", "", ill.code+"^"+ill.name+"^I10", "", stamp(at), "A")
	g.send(h, i, at, "ADT^A01^ADT_A01", seg("EVN", "", stamp(at)), pid, pv1, dg1)
	at = at.Add(time.Duration(60+g.r.IntN(300)) * time.Minute)
	obx := []string{pid, pv1, seg("OBR", "1", "", visit+"L", "LAB^检验^L", "", "", stamp(at), "", "", "", "", "", "", "", "", doctor, "", "", "", "", "", stamp(at), "", "", "F")}
	for n, t := range ill.tests {
		v := t.low + g.r.Float64()*(t.high-t.low)
		obx = append(obx, seg("OBX", fmt.Sprint(n+1), "NM", t.code+"^"+t.name+"^L", "", fmt.Sprintf("%.*f", t.decimals, v), t.unit, "", "", "", "", "F", "", "", stamp(at)))
	}
	note := strings.NewReplacer("%[1]s", p.Family, "%[2]s", p.Family+p.Given, "%[3]s", p.Phone).Replace(ill.note)
	obx = append(obx, seg("OBX", fmt.Sprint(len(ill.tests)+1), "TX", "NOTE^病程记录^L", "", note, "", "", "", "", "", "F", "", "", stamp(at)))
	g.send(h, i, at, "ORU^R01^ORU_R01", obx...)
	at = at.Add(time.Duration(3+g.r.IntN(9)) * 24 * time.Hour)
	place[44] = stamp(at)
	pv1 = seg("PV1", place...)
	g.send(h, i, at, "ADT^A03^ADT_A03", seg("EVN", "", stamp(at)), pid, pv1, dg1)
}

// address writes PID-11: street, city, state, country and county of XAD.
func (g *generator) address(p Patient) string {
	parts := strings.Split(p.Address, "^")
	return fmt.Sprintf("%s%d号%d室^^%s^%s^^CHN^H^^%s", pick(g.r, streets), 1+g.r.IntN(299), 101+g.r.IntN(900), parts[1], parts[0], parts[2])
}

func (g *generator) send(h, i int, at time.Time, kind string, body ...string) {
	g.count++
	head := seg("MSH|^~\\&", "HIS", g.c.Hospitals[h], "EMRBRIDGE", g.c.Hospitals[h], stamp(at), "", kind, fmt.Sprintf("C%08d", g.count), "P", "2.5", "", "", "", "", "CHN", "UNICODE UTF-8")
	raw := head + "\r" + strings.Join(body, "\r") + "\r"
	g.out.Messages[h] = append(g.out.Messages[h], Message{Patient: i, At: at, Raw: []byte(raw)})
}

func stamp(t time.Time) string { return t.Format("20060102150405-0700") }

// seg joins the fields of a segment, without trailing empty ones.
func seg(name string, fields ...string) string {
	return strings.TrimRight(name+"|"+strings.Join(fields, "|"), "|")
}
