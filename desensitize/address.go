package desensitize

import "strings"

// provinces are the 34 divisions of the first level of GB/T 2260 by their short names.
var provinces = []string{
	"北京", "天津", "上海", "重庆", "河北", "山西", "辽宁", "吉林", "黑龙江", "江苏", "浙江", "安徽", "福建", "江西", "山东", "河南",
	"湖北", "湖南", "广东", "海南", "四川", "贵州", "云南", "陕西", "甘肃", "青海", "台湾", "内蒙古", "广西", "西藏", "宁夏", "新疆", "香港", "澳门",
}

var (
	provinceEnds = []string{"特别行政区", "维吾尔自治区", "壮族自治区", "回族自治区", "自治区", "省", "市"}
	cityEnds     = []string{"自治州", "地区", "市", "盟"}
	countyEnds   = []string{"自治县", "自治旗", "林区", "新区", "县", "区", "旗", "市"}
)

// maxDivision is the longest name of a division in characters, with its ending.
const maxDivision = 15

// coarseAddress cuts a Chinese address behind its province, city or county. An address whose
// divisions are not found is not shown at all.
func coarseAddress(text, to string) (string, bool) {
	text = strings.Join(strings.Fields(text), "")
	at, short := province(text)
	if at == 0 {
		return "", false
	}
	if to == ToProvince {
		return text[:at], true
	}
	if municipalities[short] {
		if strings.HasPrefix(text[at:], "市辖区") {
			at += len("市辖区")
		}
	} else {
		end := division(text[at:], cityEnds)
		if end == 0 {
			return text[:at], true // the province is all that is sure
		}
		at += end
	}
	if to == ToCounty {
		at += division(text[at:], countyEnds)
	}
	return text[:at], true
}

// municipalities have no cities between themselves and their districts.
var municipalities = map[string]bool{"北京": true, "天津": true, "上海": true, "重庆": true, "香港": true, "澳门": true}

// province returns where the province at the start of an address ends, and its short name.
func province(text string) (end int, short string) {
	for _, p := range provinces {
		if !strings.HasPrefix(text, p) {
			continue
		}
		for _, e := range provinceEnds {
			if strings.HasPrefix(text[len(p):], e) {
				return len(p) + len(e), p
			}
		}
		return len(p), p
	}
	return 0, ""
}

// division returns where the name of a division at the start of text ends, 0 if there is none.
func division(text string, ends []string) int {
	n := 0
	for i := range text {
		if n++; n > maxDivision {
			break
		}
		if n < 3 {
			continue // a name has two characters at least
		}
		for _, e := range ends {
			if strings.HasPrefix(text[i:], e) {
				return i + len(e)
			}
		}
	}
	return 0
}
