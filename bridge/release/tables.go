package release

import (
	"encoding/json"
	"strconv"
	"strings"
)

// column of a table: its name, and what it means.
type column struct{ name, english, chinese string }

// table is drawn from resources of some types, one row for each.
type table struct {
	name    string
	about   string
	columns []column
	types   []string
	row     func(m map[string]any) []string // without the subject
}

var subjectColumn = column{"subject", "project pseudonym; joins all tables and all hospitals' parts", "项目假名，用于关联各表与各医院数据"}

// tables of a package, beside the one of subjects.
var tables = []table{
	{"encounters", "visits · 就诊", []column{
		{"encounter", "resource id of the visit; the other tables refer to it", "就诊资源标识"}, {"class", "class of the visit (HL7 ActCode)", "就诊类别"}, {"status", "status", "状态"},
		{"start", "begin, shifted", "开始时间（已偏移）"}, {"end", "end, shifted", "结束时间（已偏移）"},
	}, []string{"Encounter"}, func(m map[string]any) []string {
		return []string{text(m, "id"), text(m, "class", "code"), text(m, "status"), text(m, "period", "start"), text(m, "period", "end")}
	}},
	{"conditions", "diagnoses · 诊断", []column{
		{"system", "code system", "编码体系"}, {"code", "code", "编码"}, {"display", "text", "名称"},
		{"onset", "onset, shifted", "起病时间（已偏移）"}, {"recorded", "recorded, shifted", "记录时间（已偏移）"}, {"encounter", "resource id of the visit", "就诊资源标识"},
	}, []string{"Condition"}, func(m map[string]any) []string {
		return append(concept(m["code"]), text(m, "onsetDateTime"), text(m, "recordedDate"), target(m, "encounter"))
	}},
	{"observations", "results and findings · 检验检查结果", []column{
		{"system", "code system", "编码体系"}, {"code", "code", "编码"}, {"display", "text", "名称"},
		{"value", "value", "结果值"}, {"unit", "unit", "单位"}, {"interpretation", "interpretation", "异常标志"},
		{"status", "status", "状态"}, {"effective", "time, shifted", "时间（已偏移）"}, {"encounter", "resource id of the visit", "就诊资源标识"},
	}, []string{"Observation"}, func(m map[string]any) []string {
		value, unit := valueOf(m)
		return append(concept(m["code"]), value, unit, concept(first(m["interpretation"]))[1], text(m, "status"), text(m, "effectiveDateTime"), target(m, "encounter"))
	}},
	{"medications", "orders and administrations of drugs · 用药", []column{
		{"system", "code system", "编码体系"}, {"code", "code", "编码"}, {"display", "text", "名称"},
		{"dose", "dose as written", "用法用量"}, {"status", "status", "状态"}, {"time", "time, shifted", "时间（已偏移）"}, {"encounter", "resource id of the visit", "就诊资源标识"},
	}, []string{"MedicationRequest", "MedicationAdministration", "MedicationStatement", "MedicationDispense"}, func(m map[string]any) []string {
		dose, _ := first(m["dosageInstruction"]).(map[string]any)
		at := text(m, "authoredOn")
		if at == "" {
			at = text(m, "effectiveDateTime")
		}
		visit := target(m, "encounter")
		if visit == "" {
			visit = target(m, "context")
		}
		return append(concept(m["medicationCodeableConcept"]), text(dose, "text"), text(m, "status"), at, visit)
	}},
	{"procedures", "operations and procedures · 手术与操作", []column{
		{"system", "code system", "编码体系"}, {"code", "code", "编码"}, {"display", "text", "名称"},
		{"status", "status", "状态"}, {"time", "time, shifted", "时间（已偏移）"}, {"encounter", "resource id of the visit", "就诊资源标识"},
	}, []string{"Procedure"}, func(m map[string]any) []string {
		at := text(m, "performedDateTime")
		if at == "" {
			at = text(m, "performedPeriod", "start")
		}
		return append(concept(m["code"]), text(m, "status"), at, target(m, "encounter"))
	}},
}

// subjectColumns are those of the table of subjects; the quasi-identifiers are in the middle.
var subjectColumns = []column{
	subjectColumn,
	{"sex", "GB/T 2261.1: 0 unknown, 1 male, 2 female, 9 not stated", "性别（GB/T 2261.1）"},
	{"age", "age at the last record, or a group of ages; 90 stands for 90 and more", "年龄或年龄段；90 表示 90 岁及以上"},
	{"region", "administrative division of the home, as far as it may be told", "居住地行政区划"},
	{"records", "records of the subject in this part", "记录数"},
}

// tablesOf returns the tables that take resources of a type.
func tablesOf(typ string) (out []table) {
	for _, t := range tables {
		for _, x := range t.types {
			if x == typ {
				out = append(out, t)
			}
		}
	}
	return out
}

// text follows names into nested objects.
func text(m map[string]any, names ...string) string {
	var v any = m
	for _, n := range names {
		o, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = o[n]
	}
	return scalar(v)
}

func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

func first(v any) any {
	if list, ok := v.([]any); ok && len(list) > 0 {
		return list[0]
	}
	return nil
}

// concept gives system, code and text of a CodeableConcept.
func concept(v any) []string {
	m, _ := v.(map[string]any)
	coding, _ := first(m["coding"]).(map[string]any)
	display := text(coding, "display")
	if display == "" {
		display = text(m, "text")
	}
	return []string{text(coding, "system"), text(coding, "code"), display}
}

// target is the id that a reference leads to.
func target(m map[string]any, name string) string {
	ref := text(m, name, "reference")
	return ref[strings.LastIndexByte(ref, '/')+1:]
}

// valueOf gives value and unit of an Observation.
func valueOf(m map[string]any) (value, unit string) {
	if q, ok := m["valueQuantity"].(map[string]any); ok {
		unit = text(q, "unit")
		if unit == "" {
			unit = text(q, "code")
		}
		return text(q, "comparator") + text(q, "value"), unit
	}
	if c, ok := m["valueCodeableConcept"]; ok {
		parts := concept(c)
		if parts[2] != "" {
			return parts[2], ""
		}
		return parts[1], ""
	}
	for _, name := range []string{"valueString", "valueInteger", "valueBoolean", "valueDateTime", "valueTime"} {
		if v := scalar(m[name]); v != "" {
			return v, ""
		}
	}
	return "", ""
}

// csvLine writes cells as one line (RFC 4180 §2) without its end; line feeds within cells
// become spaces, so that a row is a line.
func csvLine(cells ...string) []byte {
	var b []byte
	for i, c := range cells {
		if i > 0 {
			b = append(b, ',')
		}
		c = strings.Map(func(r rune) rune {
			if r == '\n' || r == '\r' {
				return ' '
			}
			return r
		}, c)
		if strings.ContainsAny(c, `,"`) || strings.HasPrefix(c, " ") || strings.HasSuffix(c, " ") {
			c = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
		}
		b = append(b, c...)
	}
	return b
}

func heads(columns []column) []byte {
	var names []string
	for _, c := range columns {
		names = append(names, c.name)
	}
	return csvLine(names...)
}
