package deidtest

import (
	"fmt"
	"strings"
)

// place is where somebody lives.
type place struct {
	province, city, district string
	full                     string // to the door
}

// chinesePlace draws an address. Half of them lie in cities that do not exist.
func (r *rng) chinesePlace() place {
	var p place
	if r.percent(55) {
		fields := strings.Fields(r.word("zh_places", "real"))
		p = place{province: strings.Trim(fields[0], "-"), city: fields[1], district: pick(r, strings.Split(fields[2], ","))}
	} else {
		p = place{province: r.word("zh_places", "province"), city: r.word("zh_places", "stem") + "市",
			district: r.word("zh_places", "stem") + pick(r, []string{"区", "县", "市", "区"})}
	}
	door := r.urbanDoor()
	if r.percent(35) {
		door = r.ruralDoor()
	}
	p.full = p.province + p.city + p.district + door
	if p.province != "" && r.percent(20) {
		p.full = p.city + p.district + door
	} else if r.percent(8) {
		p.full = p.district + door
	}
	return p
}

func (r *rng) street() string {
	return r.word("zh_places", "street") + pick(r, []string{"路", "路", "街", "大道", "大街", "巷", "胡同", "东路", "北街", "支路", "弄"})
}

func (r *rng) urbanDoor() string {
	n := func(most int) int { return r.between(1, most) }
	subdistrict := ""
	if r.percent(30) {
		subdistrict = r.word("zh_places", "stem") + "街道"
	}
	number := fmt.Sprintf("%d号", n(880))
	switch r.intn(14) {
	case 0, 1:
		number = fmt.Sprintf("%d弄%d号", n(900), n(60))
	case 2:
		number = fmt.Sprintf("甲%d号", n(60))
	case 3:
		number = fmt.Sprintf("%d-%d号", n(60), n(9))
	}
	estate := ""
	if r.percent(55) {
		estate = r.word("zh_places", "estate")
	}
	room := pick(r, []string{
		fmt.Sprintf("%d幢%d单元%d0%d室", n(40), n(4), n(28), n(4)),
		fmt.Sprintf("%d号楼%d门%d0%d", n(30), n(6), n(18), n(4)),
		fmt.Sprintf("%s座%d0%d室", string("ABCDE"[r.intn(5)]), n(30), n(8)),
		fmt.Sprintf("%d栋%d0%d", n(50), n(32), n(6)),
		fmt.Sprintf("%d-%d-%d0%d", n(20), n(4), n(17), n(3)),
		"",
	})
	return subdistrict + r.street() + number + estate + room
}

func (r *rng) ruralDoor() string {
	stem := func() string { return r.word("zh_places", "stem") }
	town := stem() + pick(r, []string{"镇", "乡", "镇", "苏木"})
	village := stem() + pick(r, []string{"村", "村", "行政村", "嘎查", "屯"})
	tail := pick(r, []string{
		fmt.Sprintf("%d组", r.between(1, 18)), fmt.Sprintf("%d组%d号", r.between(1, 18), r.between(1, 120)),
		fmt.Sprintf("%d号", r.between(1, 220)), fmt.Sprintf("第%s村民小组", pick(r, []string{"一", "二", "五", "七", "十一"})),
		fmt.Sprintf("%s自然村%d号", stem(), r.between(1, 99)),
	})
	return town + village + tail
}

// chineseHospital draws the name of a hospital in the place or elsewhere.
func (r *rng) chineseHospital(p place) string {
	city := p.city
	stem := r.word("zh_places", "hospital")
	return pick(r, []string{
		city + pick(r, []string{"第一", "第二", "第三", "第五"}) + "人民医院",
		p.district + "人民医院",
		city + "中医院",
		city + pick(r, []string{"中心医院", "妇幼保健院", "中西医结合医院", "肿瘤医院", "儿童医院"}),
		pick(r, []string{"江南", "东方", "北湖", "云川"}) + "大学附属" + pick(r, []string{"第一医院", "第二医院", stem + "医院", "口腔医院"}),
		stem + "医院", stem + pick(r, []string{"骨科医院", "康复医院", "老年病医院", "眼科医院", "国际医院"}),
		r.word("zh_places", "stem") + pick(r, []string{"镇卫生院", "街道社区卫生服务中心", "乡卫生院"}),
		"解放军第" + fmt.Sprint(r.between(101, 989)) + "医院",
		city + stem + "医院",
	})
}

func (r *rng) chineseEmployer(p place) string {
	e := r.word("zh_places", "employer")
	if r.percent(60) {
		return strings.TrimSuffix(p.city, "市") + e
	}
	return e
}

func (r *rng) englishStreet() string {
	stem := r.word("en_places", "street")
	if r.percent(35) {
		stem = capital(r.word("en_names", "head") + r.word("en_names", "tail"))
	}
	return stem + " " + pick(r, []string{"Street", "St", "Avenue", "Ave", "Road", "Rd.", "Lane", "Drive", "Blvd", "Court", "Terrace", "Way"})
}

// englishPlace draws a US address, one in six a British one.
func (r *rng) englishPlace() (p place, postcode string) {
	p.city = r.englishTown()
	street := fmt.Sprintf("%d %s", r.between(2, 9800), r.englishStreet())
	if r.percent(35) {
		street += pick(r, []string{", Apt %d", ", Unit %d", " #%d", ", Suite %d"})
		street = fmt.Sprintf(street, r.between(1, 480))
	}
	if r.percent(16) {
		postcode = fmt.Sprintf("%s%d %d%s", pick(r, []string{"SW", "LS", "M", "EH", "CB", "N"}), r.between(1, 19), r.between(1, 9), pick(r, []string{"AA", "BD", "EH", "JT", "QY", "RZ", "XL"}))
		p.full = street + ", " + p.city
		return p, postcode
	}
	p.province = r.word("en_places", "state")
	postcode = fmt.Sprintf("%05d", r.between(10001, 99950))
	if r.percent(20) {
		postcode += "-" + r.digits(4)
	}
	p.full = street + ", " + p.city + ", " + p.province
	return p, postcode
}

func (r *rng) englishTown() string {
	if r.percent(45) {
		return capital(r.word("en_names", "head") + pick(r, []string{"ton", "ville", "burg", "field", "haven", " Falls", " Heights"}))
	}
	return r.word("en_places", "town")
}

func (r *rng) englishHospital(town string) string {
	stem := r.word("en_places", "hospital")
	return pick(r, []string{
		stem + " Hospital", stem + " Medical Center", "St. " + r.word("en_names", "female") + "'s Hospital",
		town + " General Hospital", town + " Community Hospital", stem + " Clinic", "University of " + town + " Medical Center",
		stem + " Regional Medical Center", stem + " Nursing Home", town + " Family Practice",
	})
}
