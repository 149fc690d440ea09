package cda

import (
	"fmt"
	"strings"
)

// codeTable is a table of codes that WS/T 500 refers to.
type codeTable struct {
	system string // OID
	source string // the standard that holds it
	// names gives the name of each code; "" where only the code is fixed.
	names map[string]string
}

const ageUnits = "岁 月 周 天 日 小时 时"

// pairs reads a table of code and name, alternating.
func pairs(text string) map[string]string {
	f := strings.Fields(text)
	out := make(map[string]string, len(f)/2)
	for i := 0; i+1 < len(f); i += 2 {
		out[f[i]] = f[i+1]
	}
	return out
}

// codes reads a table of codes alone.
func codes(list string) map[string]string {
	out := map[string]string{}
	for _, c := range strings.Fields(list) {
		out[c] = ""
	}
	return out
}

// span returns the codes from one number to another, in two digits.
func span(from, to int) string {
	var b strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintf(&b, "%02d ", i)
	}
	return b.String()
}

// genderNames is GB/T 2261.1.
var genderNames = pairs("0 未知的性别 1 男性 2 女性 9 未说明的性别")

var (
	maritalTable = codeTable{"2.16.156.10011.2.3.3.5", "GB/T 2261.2",
		pairs("10 未婚 20 已婚 21 初婚 22 再婚 23 复婚 30 丧偶 40 离婚 90 未说明的婚姻状况")}
	occupationTable = codeTable{"2.16.156.10011.2.3.3.13", "GB/T 2261.4",
		pairs(`11 国家公务员 13 专业技术人员 17 职员 21 企业管理人员 24 工人 27 农民 31 学生 37 现役军人 51 自由职业者
			54 个体经营者 70 无业人员 80 退(离)休人员 90 其他`)}
	ethnicTable = codeTable{"2.16.156.10011.2.3.3.3", "GB 3304", ethnicGroups()}
	// Of GB/T 4658 and GB/T 4761 the codes count; their names are written in several ways.
	educationTable = codeTable{"2.16.156.10011.2.3.3.6", "GB/T 4658",
		codes(span(10, 23) + "28 30 31 32 33 " + span(40, 49) + "60 61 62 63 70 71 73 80 81 83 90")}
	relationTable  = codeTable{"2.16.156.10011.2.3.3.8", "GB/T 4761", codes("0 1 2 3 4 5 6 7 8 9 01 02 " + span(10, 12) + span(20, 97) + "99")}
	encounterTable = codeTable{"2.16.156.10011.2.3.1.271", "WS 364 患者类型代码表", pairs("1 门诊 2 急诊 3 住院 9 其他")}
	positionTable  = codeTable{"2.16.156.10011.2.3.1.209", "WS 364 专业技术职务类别代码表", pairs("1 正高 2 副高 3 中级 4 师级/助理 5 士级 6 待聘")}
	routeTable     = codeTable{"2.16.156.10011.2.3.1.158", "WS 364 用药途径代码表",
		codes("1 2 3 4 401 402 403 404 5 6 601 602 603 604 605 606 607 608 609 610 611 612 699 9")}
	doseFormTable = codeTable{"2.16.156.10011.2.3.1.211", "WS 364 药物剂型代码表", codes(span(0, 72) + "90 99")}
)

// ethnicGroups is GB 3304-1991, by number from 01, and the codes for others.
func ethnicGroups() map[string]string {
	out := codes("97 98 99")
	for i, name := range strings.Fields(`汉族 蒙古族 回族 藏族 维吾尔族 苗族 彝族 壮族 布依族 朝鲜族 满族 侗族 瑶族 白族 土家族 哈尼族
		哈萨克族 傣族 黎族 傈僳族 佤族 畲族 高山族 拉祜族 水族 东乡族 纳西族 景颇族 柯尔克孜族 土族 达斡尔族 仫佬族 羌族 布朗族 撒拉族
		毛南族 仡佬族 锡伯族 阿昌族 普米族 塔吉克族 怒族 乌孜别克族 俄罗斯族 鄂温克族 德昂族 保安族 裕固族 京族 塔塔尔族 独龙族
		鄂伦春族 赫哲族 门巴族 珞巴族 基诺族`) {
		out[fmt.Sprintf("%02d", i+1)] = name
	}
	return out
}
