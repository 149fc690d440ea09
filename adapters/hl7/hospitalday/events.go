package hospitalday

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// visit is one patient's day.
type visit struct {
	g         *generator
	index     int
	p         *Patient
	c         condition
	doctor    staff
	nurse     staff
	at        time.Time
	encounter string
	inpatient bool
	admitted  time.Time
	bed       string
	orders    int
}

// patient invents a patient and the course of their day.
func (g *generator) patient(i int) {
	g.patients = append(g.patients, g.person(i))
	r := g.events
	v := &visit{g: g, index: i, p: &g.patients[i], c: pick(r, conditions), nurse: pick(r, doctors["护理部"])}
	if age := g.day.Year() - v.p.BirthDate.Year(); age < 14 {
		v.c = conditions[5]
	} else if v.c.department == "儿科" {
		v.c = conditions[r.IntN(5)]
	}
	v.doctor = pick(r, doctors[v.c.department])
	v.at = g.day.Add(7*time.Hour + time.Duration(r.IntN(8*3600))*time.Second)
	switch course := r.IntN(10); {
	case course < 6:
		v.outpatient()
	case course < 9:
		v.outpatient()
		v.admission()
	default:
		v.discharge()
	}
}

// later moves the clock on by a random part of the given minutes, at least a second.
func (v *visit) later(minutes int) {
	v.at = v.at.Add(time.Duration(1+v.g.events.IntN(minutes*60)) * time.Second)
}

func (v *visit) chance(percent int) bool { return v.g.events.IntN(100) < percent }

// send puts a message of a system into the day.
func (v *visit) send(sys *system, kind, event string, body ...string) {
	v.g.out = append(v.g.out, draft{sys: sys, kind: kind, event: event, patient: v.index, at: v.at, body: body})
}

func (v *visit) outpatient() {
	v.encounter = fmt.Sprintf("OP%s%05d", v.g.day.Format("20060102"), v.index+1)
	v.adt("A04")
	if v.chance(25) {
		v.later(3)
		v.adt("A08")
	}
	v.later(30)
	v.examine()
	v.later(15)
	v.document("OR", "门诊病历", v.note("门诊病历"))
}

func (v *visit) admission() {
	v.later(40)
	v.admit(v.at, 0)
	v.adt("A01")
	v.later(20)
	v.document("HP", "入院记录", v.note("入院记录"))
	v.later(30)
	v.examine()
	if v.chance(30) {
		v.later(60)
		v.adt("A08")
	}
}

// discharge is the last day of a stay that began some days ago.
func (v *visit) discharge() {
	days := 3 + v.g.events.IntN(9)
	v.admit(v.at.AddDate(0, 0, -days), days)
	if v.chance(50) {
		v.examine()
		v.later(60)
	}
	v.document("DS", "出院小结", v.note("出院小结"))
	v.later(45)
	v.adt("A03")
}

func (v *visit) admit(at time.Time, days int) {
	v.inpatient, v.admitted = true, at
	v.p.InpatientNo = fmt.Sprintf("Z%s%04d", at.Format("060102"), v.index+1)
	v.encounter = v.p.InpatientNo + "-1"
	v.bed = fmt.Sprintf("%02d", 1+(v.index+days)%40)
}

// examine orders the panels and images of the condition and brings their results.
func (v *visit) examine() {
	for _, p := range v.c.panels {
		placer := v.order(his, p.code, p.name)
		v.later(60)
		v.result(p, placer)
		v.later(5)
	}
	if v.c.image != nil {
		placer := v.order(his, v.c.image.code, v.c.image.name)
		v.later(90)
		v.report(*v.c.image, placer)
	}
}

// adt sends a patient administration event.
func (v *visit) adt(event string) {
	body := []string{
		seg("EVN", event, his.stamp(v.at), "", "", v.nurse.xcn(), his.stamp(v.at.Add(-time.Minute))),
		v.pid(), v.pv1(his, event == "A03"),
	}
	if event != "A08" {
		body = append(body, seg("DG1", "1", "", v.c.icd+"^"+esc(v.c.name)+"^ICD10", "", his.stamp(v.at), "A"))
	}
	if event == "A01" || event == "A04" {
		body = append(body, seg("IN1", "1", "JBYB^城镇职工基本医疗保险", "YB99", "医疗保障局"),
			seg("ZPI", v.p.InsuranceNo, "", `""`))
	}
	v.send(his, "ADT", event, body...)
}

// pid writes the patient with all numbers that the systems exchange.
func (v *visit) pid() string {
	p := v.p
	ids := []string{p.LocalNo + "^^^" + v.g.facility + "^PI", p.ResidentID + "^^^GA^NNCHN", p.InsuranceNo + "^^^YB^YB",
		p.HealthCardNo + "^^^NHC^HC", p.OutpatientNo + "^^^" + v.g.facility + "^OP"}
	if p.InpatientNo != "" {
		ids = append(ids, p.InpatientNo+"^^^"+v.g.facility+"^IP")
	}
	gender := map[string]string{"1": "M", "2": "F"}[p.Gender]
	return seg("PID", "1", "", strings.Join(ids, "~"), "", esc(p.Family)+"^"+esc(p.Given), "",
		p.BirthDate.Format("20060102"), gender, "", "", esc(p.Address), "CHN", p.Phone)
}

func (v *visit) pv1(s *system, discharged bool) string {
	class, place := "O", v.c.department+"^诊室"+fmt.Sprint(1+v.index%6)
	if v.inpatient {
		class, place = "I", v.c.department+"^3病区^"+v.bed
	}
	f := make([]string, 46)
	f[1], f[2], f[3], f[7], f[19] = "1", class, place, v.doctor.xcn(), v.encounter
	if v.inpatient {
		f[44] = s.stamp(v.admitted)
	}
	if discharged {
		f[36], f[45] = "01^医嘱离院", s.stamp(v.at)
	}
	return seg("PV1", f[1:]...)
}

// order sends ORM^O01 and returns the placer's number.
func (v *visit) order(s *system, code, name string) string {
	v.orders++
	placer := fmt.Sprintf("A%s%05d%02d", v.g.day.Format("060102"), v.index+1, v.orders)
	at := s.stamp(v.at)
	v.send(s, "ORM", "O01", v.pid(), v.pv1(s, false),
		seg("ORC", "NW", placer, "", "", "SC", "", "", "", at, "", "", v.doctor.xcn()),
		seg("OBR", "1", placer, "", code+"^"+esc(name)+"^L", "", at, "", "", "", "", "", "", "", "", "", v.doctor.xcn()))
	return placer
}

// result sends ORU^R01 of a laboratory panel from the LIS.
func (v *visit) result(p panel, placer string) {
	technician := pick(v.g.events, doctors["检验科"])
	body := []string{v.pid(), v.pv1(lis, false), v.obr(lis, placer, p.code, p.name, esc(p.specimen), technician)}
	for i, it := range p.items {
		value, flag := v.measure(it)
		limits := fmt.Sprintf("%.*f-%.*f", it.decimals, it.low, it.decimals, it.high)
		body = append(body, seg("OBX", fmt.Sprint(i+1), "NM", it.code+"^"+esc(it.name)+"^L", "", value, esc(it.unit), limits, flag,
			"", "", "F", "", "", lis.stamp(v.at), "", technician.xcn()))
	}
	v.send(lis, "ORU", "R01", body...)
}

// obr writes the request that a result answers. Its times are before that of the message.
func (v *visit) obr(s *system, placer, code, name, specimen string, by staff) string {
	f := make([]string, 33)
	f[1], f[2], f[3], f[4] = "1", placer, s.prefix+placer[1:], code+"^"+esc(name)+"^L"
	f[7], f[14], f[15] = s.stamp(v.at.Add(-20*time.Minute)), s.stamp(v.at.Add(-15*time.Minute)), specimen
	f[16], f[22], f[25] = v.doctor.xcn(), s.stamp(v.at), "F"
	f[32] = strings.ReplaceAll(by.xcn(), "^", "&")
	return seg("OBR", f[1:]...)
}

// measure draws a value, mostly within its limits, with the flag of HL7 table 0078.
func (v *visit) measure(it item) (value, flag string) {
	middle, spread := (it.low+it.high)/2, (it.high-it.low)/4.5
	x := math.Max(0, middle+v.g.events.NormFloat64()*spread)
	if v.chance(15) {
		x = it.high + v.g.events.Float64()*(it.high-it.low)
	}
	flag = "N"
	switch {
	case x < it.low:
		flag = "L"
	case x > it.high:
		flag = "H"
	}
	return fmt.Sprintf("%.*f", it.decimals, x), flag
}

// report sends ORU^R01 of an examination in words from the RIS.
func (v *visit) report(im imaging, placer string) {
	by := pick(v.g.events, doctors["放射科"])
	text := func(n int, code, name, value string) string {
		return seg("OBX", fmt.Sprint(n), "TX", code+"^"+name+"^L", "", esc(value), "", "", "", "", "", "F", "", "", ris.stamp(v.at), "", by.xcn())
	}
	v.send(ris, "ORU", "R01", v.pid(), v.pv1(ris, false), v.obr(ris, placer, im.code, im.name, "", by),
		text(1, "FIND", "检查所见", im.findings), text(2, "CONC", "检查结论", im.conclusion))
}

// document sends MDM^T02 with a narrative from the EMR.
func (v *visit) document(code, title, text string) {
	f := make([]string, 20)
	v.orders++
	f[1], f[2], f[3], f[4] = "1", code+"^"+title, "TX", emr.stamp(v.at.Add(-2*time.Minute))
	f[6], f[9] = emr.stamp(v.at.Add(-10*time.Minute)), v.doctor.xcn()
	f[12] = fmt.Sprintf("%s-%s%05d%02d", v.g.facility, v.g.day.Format("20060102"), v.index+1, v.orders)
	f[17], f[18], f[19] = "LA", "U", "AV"
	v.send(emr, "MDM", "T02", seg("EVN", "T02", emr.stamp(v.at)), v.pid(), v.pv1(emr, false), seg("TXA", f[1:]...),
		seg("OBX", "1", "FT", code+"^"+title+"^L", "", esc(text), "", "", "", "", "", "F"))
}

// note writes the narrative of a document.
func (v *visit) note(title string) string {
	sex := map[string]string{"1": "男", "2": "女"}[v.p.Gender]
	age := v.g.day.Year() - v.p.BirthDate.Year()
	lines := []string{
		fmt.Sprintf("%s　姓名：%s　性别：%s　年龄：%d岁　科室：%s", title, v.p.Name(), sex, age, v.c.department),
		"主诉：" + v.c.complaint + "。", "现病史：" + v.c.history,
		fmt.Sprintf("查体：T %.1f℃，P %d次/分，R %d次/分，BP %d/%dmmHg。", 36.2+2*v.g.events.Float64(), 60+v.g.events.IntN(50),
			15+v.g.events.IntN(8), 105+v.g.events.IntN(60), 65+v.g.events.IntN(30)),
		"诊断：" + v.c.name + "（" + v.c.icd + "）。", "处理：" + v.c.plan,
	}
	if title == "出院小结" {
		days := int(v.at.Sub(v.admitted).Hours() / 24)
		lines = append(lines, fmt.Sprintf("住院%d天，症状好转，生命体征平稳，准予出院。1周后%s门诊复诊，联系电话%s。", days, v.c.department, v.p.Phone))
	}
	return strings.Join(append(lines, "医师签名："+v.doctor.family+v.doctor.given), "\n")
}

// write gives a draft its control id and its bytes.
func (g *generator) write(n int, d draft) Message {
	id := fmt.Sprintf("%s%s%06d", d.sys.prefix, g.day.Format("20060102"), n+1)
	kind := d.kind + "^" + d.event
	if d.sys.version >= "2.5" {
		kind += "^" + d.kind + "_" + map[string]string{"R01": "R01", "T02": "T02"}[d.event]
	}
	var text strings.Builder
	text.WriteString(seg("MSH|^~\\&", d.sys.app, g.facility, "EMRBRIDGE", g.facility, d.sys.stamp(d.at), "", kind, id, "P",
		d.sys.version, "", "", "", "", "CHN", d.sys.name))
	for _, s := range d.body {
		text.WriteString("\r" + s)
	}
	text.WriteString("\r")
	raw, err := d.sys.charset.Encode([]byte(text.String()))
	if err != nil {
		panic(err) // every character of this package is in both charsets; the tests prove it
	}
	return Message{ControlID: id, Type: d.kind + "^" + d.event, Charset: d.sys.name, Raw: raw, PatientIndex: d.patient, At: d.at}
}

// seg joins the fields of a segment, without trailing empty ones.
func seg(name string, fields ...string) string {
	return strings.TrimRight(name+"|"+strings.Join(fields, "|"), "|")
}

// esc writes text as it may stand in a value.
func esc(s string) string {
	d := hl7.DefaultDelimiters
	return string(d.EscapeText(s))
}
