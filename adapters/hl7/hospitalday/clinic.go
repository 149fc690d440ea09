package hospitalday

// item is one test of a laboratory panel.
type item struct {
	code, name, unit string
	low, high        float64
	decimals         int
}

// panel is a group of tests that are ordered together.
type panel struct {
	code, name, specimen string
	items                []item
}

var (
	bloodCount = panel{"CBC", "血常规", "全血", []item{
		{"WBC", "白细胞计数", "10^9/L", 3.5, 9.5, 2}, {"NEUT", "中性粒细胞百分比", "%", 40, 75, 1},
		{"LYMPH", "淋巴细胞百分比", "%", 20, 50, 1}, {"RBC", "红细胞计数", "10^12/L", 3.8, 5.8, 2},
		{"HGB", "血红蛋白", "g/L", 115, 175, 0}, {"HCT", "红细胞压积", "%", 35, 50, 1},
		{"PLT", "血小板计数", "10^9/L", 125, 350, 0}, {"CRP", "C反应蛋白", "mg/L", 0, 10, 1}}}
	chemistry = panel{"BIO", "生化全套", "血清", []item{
		{"ALT", "丙氨酸氨基转移酶", "U/L", 9, 50, 0}, {"AST", "天门冬氨酸氨基转移酶", "U/L", 15, 40, 0},
		{"TBIL", "总胆红素", "umol/L", 5, 21, 1}, {"ALB", "白蛋白", "g/L", 40, 55, 1},
		{"BUN", "尿素", "mmol/L", 2.9, 8.2, 2}, {"CREA", "肌酐", "umol/L", 57, 111, 0},
		{"GLU", "葡萄糖", "mmol/L", 3.9, 6.1, 2}, {"K", "钾", "mmol/L", 3.5, 5.3, 2},
		{"NA", "钠", "mmol/L", 137, 147, 1}, {"TG", "甘油三酯", "mmol/L", 0.3, 1.7, 2}}}
	diabetes = panel{"DM", "糖代谢", "全血", []item{
		{"HBA1C", "糖化血红蛋白", "%", 4, 6, 1}, {"FPG", "空腹血糖", "mmol/L", 3.9, 6.1, 2},
		{"INS", "胰岛素", "mIU/L", 2.6, 24.9, 1}}}
	heart = panel{"CTN", "心肌标志物", "血清", []item{
		{"CTNI", "肌钙蛋白I", "ng/mL", 0, 0.04, 3}, {"CKMB", "肌酸激酶同工酶", "U/L", 0, 25, 1},
		{"BNP", "脑钠肽", "pg/mL", 0, 100, 0}}}
	urine = panel{"URT", "尿常规", "尿液", []item{
		{"USG", "尿比重", "", 1.005, 1.03, 3}, {"UPH", "尿酸碱度", "", 5, 8, 1}, {"UWBC", "尿白细胞", "/HP", 0, 5, 0}}}
)

// imaging is an examination with a report in words.
type imaging struct{ code, name, findings, conclusion string }

// condition is why a patient comes.
type condition struct {
	icd, name, department string
	complaint, history    string
	plan                  string
	panels                []panel
	image                 *imaging
}

var conditions = []condition{
	{"J18.9", "肺炎", "呼吸内科", "咳嗽、咳黄痰伴发热5天", "患者5天前受凉后出现咳嗽，咳黄色粘痰，体温最高38.9℃，无咯血，无胸痛。", "抗感染、化痰、补液对症治疗，注意休息，多饮水。",
		[]panel{bloodCount, chemistry}, &imaging{"CT01", "胸部CT平扫", "右肺下叶见斑片状密度增高影，边缘模糊，其内可见支气管充气征。余肺纹理清晰，双侧胸腔未见积液。", "右肺下叶炎症，建议抗炎治疗后复查。"}},
	{"I10.x00", "原发性高血压", "心血管内科", "反复头晕3年，加重2天", "患者3年前发现血压升高，最高180/105mmHg，平素服药不规律。2天前头晕加重，无恶心呕吐，无肢体活动障碍。", "低盐饮食，监测血压，口服氨氯地平5mg每日1次。",
		[]panel{chemistry, heart}, nil},
	{"K29.5", "慢性胃炎", "消化内科", "上腹部隐痛伴反酸1月", "患者1月前无明显诱因出现上腹部隐痛，餐后明显，伴反酸、嗳气，无黑便。", "清淡饮食，口服奥美拉唑20mg每日2次，2周后复诊。",
		[]panel{bloodCount}, &imaging{"US02", "上腹部彩超", "肝脏大小形态正常，包膜光整，实质回声均匀。胆囊壁光滑，腔内未见异常回声。胰腺、脾脏未见明显异常。", "肝胆胰脾未见明显异常。"}},
	{"E11.9", "2型糖尿病", "内分泌科", "口干、多饮、多尿半年", "患者半年前出现口干、多饮，每日饮水约3000mL，体重下降4kg。父亲有糖尿病史。", "糖尿病饮食及运动指导，口服二甲双胍0.5g每日3次，监测血糖。",
		[]panel{diabetes, chemistry, urine}, nil},
	{"S52.5", "桡骨远端骨折", "骨科", "摔伤致右腕部肿痛2小时", "患者2小时前不慎摔倒，右手掌着地，当即感右腕部疼痛、肿胀，活动受限。", "手法复位，石膏外固定4周，抬高患肢，定期复查。",
		[]panel{bloodCount}, &imaging{"DR05", "右腕关节正侧位片", "右桡骨远端骨皮质不连续，断端向背侧移位，关节面尚平整，周围软组织肿胀。", "右桡骨远端骨折（Colles骨折）。"}},
	{"J06.9", "急性上呼吸道感染", "儿科", "发热、流涕2天", "患儿2天前出现流清涕、打喷嚏，体温38.2℃，精神尚可，食欲稍差。", "对症退热，多饮水，观察体温变化，不适随诊。",
		[]panel{bloodCount}, nil},
	{"N20.0", "肾结石", "泌尿外科", "左侧腰部绞痛6小时", "患者6小时前突发左侧腰部绞痛，向会阴部放射，伴恶心，无发热，小便淡红色。", "解痉止痛，多饮水，择期体外冲击波碎石。",
		[]panel{urine, chemistry}, &imaging{"CT07", "泌尿系CT平扫", "左肾盂内见一大小约0.8cm×0.6cm高密度影，左肾盂轻度扩张。右肾及双侧输尿管未见异常。", "左肾结石伴轻度积水。"}},
}
