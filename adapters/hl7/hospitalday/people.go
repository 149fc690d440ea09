package hospitalday

import (
	"fmt"
	"math/rand/v2"
	"time"
)

var families = []string{"王", "李", "张", "刘", "陈", "杨", "黄", "赵", "吴", "周", "徐", "孙", "马", "朱", "胡", "郭",
	"何", "林", "高", "罗", "郑", "梁", "谢", "宋", "唐", "许", "韩", "冯", "邓", "曹", "彭", "曾", "欧阳", "司徒", "诸葛"}

// The last line of each list holds characters whose second byte in GB 18030 is | ^ ~ or \.
var (
	maleGiven = []string{"建", "国", "文", "志", "明", "伟", "强", "军", "磊", "洋", "涛", "超", "浩", "宇", "轩", "晨",
		"鹏", "飞", "波", "斌", "龙", "平", "刚", "辉", "勇", "峰", "俊", "凯", "博", "远", "㛃", "𬭎",
		"珅", "晐", "玘", "珇", "昞", "玕"}
	femaleGiven = []string{"芳", "娜", "敏", "静", "丽", "秀", "霞", "燕", "玲", "桂", "英", "兰", "红", "梅", "雪", "琳",
		"欣", "怡", "婷", "佳", "雅", "诗", "萍", "慧", "蓉", "莹", "倩", "颖", "月", "云", "㛃", "𬭎",
		"瓅", "琟", "瓇", "皛", "琝", "珅"}
	placeFirst  = []string{"云", "清", "安", "临", "永", "松", "梅", "竹", "柳", "枫", "长", "宁"}
	placeSecond = []string{"溪", "澜", "屿", "岚", "棠", "杉", "汀", "陌", "坞", "浦"}
)

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// person invents patient number i. It draws only from g.persons, so that the person does
// not depend on the facility.
func (g *generator) person(i int) Patient {
	r := g.persons
	p := Patient{Family: pick(r, families), Gender: "1"}
	given := maleGiven
	if r.IntN(2) == 0 {
		p.Gender, given = "2", femaleGiven
	}
	p.Given = pick(r, given)
	if r.IntN(3) > 0 {
		p.Given += pick(r, given)
	}
	age := 1 + r.IntN(88)
	p.BirthDate = time.Date(2024-age, time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC)
	p.ResidentID = residentID(r, p.BirthDate, p.Gender)
	p.InsuranceNo = fmt.Sprintf("99%010d", r.Int64N(1e10))
	p.HealthCardNo = fmt.Sprintf("9900%014d", r.Int64N(1e14))
	p.Phone = fmt.Sprintf("100%08d", r.IntN(1e8))
	p.Address = fmt.Sprintf("%s%s市%s%s区%s%s路%d号%d栋%d室", pick(r, placeFirst), pick(r, placeSecond), pick(r, placeFirst),
		pick(r, placeSecond), pick(r, placeFirst), pick(r, placeSecond), 1+r.IntN(299), 1+r.IntN(20), 101+r.IntN(1500))
	number := hash(g.facility)%9*1_000_000 + uint64(i)
	p.LocalNo = fmt.Sprintf("%08d", 10_000_000+number)
	p.OutpatientNo = fmt.Sprintf("M%s%06d", g.day.Format("060102"), i+1)
	return p
}

// residentID makes an id of the form of GB 11643 with the area code 9901xx, which is
// assigned to no place. The last digit of the sequence is odd for men, even for women.
func residentID(r *rand.Rand, birth time.Time, gender string) string {
	sequence := 2 * r.IntN(500)
	if gender == "1" {
		sequence++
	}
	digits := fmt.Sprintf("9901%02d%s%03d", 1+r.IntN(20), birth.Format("20060102"), sequence)
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += w * int(digits[i]-'0')
	}
	return digits + string("10X98765432"[sum%11])
}

// staff is a doctor or nurse of a department.
type staff struct{ id, family, given string }

var doctors = map[string][]staff{
	"呼吸内科":  {{"D101", "沈", "知远"}, {"D102", "陆", "清和"}},
	"心血管内科": {{"D201", "顾", "长宁"}, {"D202", "秦", "思源"}},
	"消化内科":  {{"D301", "苏", "明哲"}, {"D302", "温", "若兰"}},
	"内分泌科":  {{"D401", "叶", "书瑶"}, {"D402", "江", "闻达"}},
	"骨科":    {{"D501", "段", "承志"}, {"D502", "石", "立山"}},
	"儿科":    {{"D601", "简", "雨晴"}, {"D602", "柯", "安然"}},
	"泌尿外科":  {{"D701", "聂", "文博"}},
	"检验科":   {{"T001", "方", "如是"}, {"T002", "牧", "小舟"}},
	"放射科":   {{"T101", "白", "景行"}, {"T102", "纪", "南乔"}},
	"护理部":   {{"N001", "楚", "怀瑾"}, {"N002", "卓", "云舒"}, {"N003", "艾", "向晚"}},
}

// xcn writes a staff member in the XCN data type.
func (s staff) xcn() string { return s.id + "^" + s.family + "^" + s.given }
