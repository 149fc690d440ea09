package text

import (
	"strings"
	"testing"
)

// clinical is a mix of what notes hold; the person in it does not exist.
const clinical = `姓名：慕容雪晴　性别：女　年龄：61岁　住院号：ZY0012345　床号：12
现住址：浙江省杭州市西湖区文三路88号3幢501室　电话：13800138000
主诉：反复咳嗽、咳痰10年，加重1周。现病史：患者10年前受凉后出现咳嗽，咳白色黏痰，曾于2019年3月在杭州市第一人民医院就诊，予左氧氟沙星0.5g qd静滴，症状好转。
体格检查：T 36.8℃，P 88次/分，R 20次/分，BP 138/82mmHg，神志清楚，双肺呼吸音粗，可闻及散在湿啰音，心律齐，腹软，无压痛及反跳痛，双下肢无水肿。
辅助检查：白细胞11.2×10^9/L，血红蛋白128g/L，白蛋白36g/L，CRP 45mg/L。胸部CT（2024-03-05）：右肺下叶斑片状密度增高影，考虑感染性病变。
今日王建军主任医师查房，结合病史及检查，诊断：慢性阻塞性肺疾病急性加重，2型糖尿病。嘱其子周建国陪护，医师签名：陈静怡 2024-03-06 10:20
Patient seen with Dr. Jane Smith on March 6, 2024. Plan: continue ceftriaxone 2 g IV daily, repeat chest X-ray in 3 days. MRN: 00123456.
`

func BenchmarkFind(b *testing.B) {
	e := New(Options{})
	text := strings.Repeat(clinical, 20)
	for _, c := range []struct {
		name string
		k    *Known
	}{{"alone", nil}, {"known", e.Prepare(person)}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				e.Find(text, c.k)
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		New(Options{Terms: []string{"云帆方案"}})
	}
}

func BenchmarkPrepare(b *testing.B) {
	e := New(Options{})
	for b.Loop() {
		e.Prepare(person)
	}
}
