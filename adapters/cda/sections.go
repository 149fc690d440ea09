package cda

// SectionType is a chapter of the document body.
type SectionType struct {
	// Code is the LOINC code; "" where WS/T 500 gives the chapter a name only.
	Code string
	// Display is the display name that goes with the code.
	Display string
	// Name is the name of the chapter in the standard.
	Name string
	// Element and ElementName give a data element that the chapter usually holds (WS 445,
	// WS 364), of type text.
	Element, ElementName string
}

// sectionTypes is the catalogue of chapters in WS/T 500.1 to 500.53, chapter 6 of each part.
var sectionTypes = map[string]SectionType{
	"studies":    {"30954-2", "STUDIES SUMMARY", "实验室检查章节", "DE04.30.009.00", "检查/检验结果"},
	"past":       {"11348-0", "HISTORY OF PAST ILLNESS", "既往史章节", "DE02.10.099.00", "既往史"},
	"immun":      {"11369-6", "HISTORY OF IMMUNIZATIONS", "预防免疫史章节", "DE02.10.101.00", "预防接种史"},
	"transfused": {"56836-0", "History of blood transfusion", "输血章节", "DE02.10.100.00", "输血史"},
	"allergy":    {"48765-2", "Allergies, adverse reactions, alerts", "过敏史章节", "DE02.10.022.00", "过敏史"},
	"social":     {"29762-2", "Social history", "个人史章节", "DE02.10.097.00", "个人史"},
	"menstrual":  {"49033-4", "Menstrual History", "月经史章节", "DE02.10.102.00", "月经史"},
	"family":     {"10157-6", "HISTORY OF FAMILY MEMBER DISEASES", "家族史章节", "DE02.10.103.00", "家族史"},
	"chief":      {"10154-3", "CHIEF COMPLAINT", "主诉章节", "DE04.01.119.00", "主诉"},
	"illness":    {"10164-2", "HISTORY OF PRESENT ILLNESS", "现病史章节", "DE02.10.071.00", "现病史"},
	"exam":       {"29545-1", "PHYSICAL EXAMINATION", "体格检查章节", "DE04.10.258.00", "体格检查结果"},
	"vital":      {"8716-3", "VITAL SIGNS", "生命体征章节", "DE04.10.186.00", "体温（℃）"},
	"diagnosis":  {"29548-5", "Diagnosis", "诊断记录章节", "DE05.01.024.00", "疾病诊断编码"},
	"admission":  {"46241-6", "HOSPITAL ADMISSION DX", "入院诊断章节", "DE05.01.024.00", "入院诊断编码"},
	"discharge":  {"11535-2", "HOSPITAL DISCHARGE DX", "出院诊断章节", "DE05.01.024.00", "出院诊断编码"},
	"plan":       {"18776-5", "TREATMENT PLAN", "治疗计划章节", "DE06.00.300.00", "治则治法"},
	"orders":     {"46209-3", "Provider Orders", "医嘱章节", "DE06.00.287.00", "医嘱内容"},
	"medication": {"10160-0", "HISTORY OF MEDICATION USE", "用药章节", "DE08.50.047.00", "中药用药方法"},
	"given":      {"18610-6", "MEDICATION ADMINISTERED", "用药管理章节", "DE06.00.136.00", "药物用法"},
	"procedure":  {"47519-4", "HISTORY OF PROCEDURES", "手术操作章节", "DE06.00.094.00", "手术及操作名称"},
	"problem":    {"11450-4", "PROBLEM LIST", "主要健康问题章节", "DE05.10.113.00", "主要健康问题"},
	"course":     {"8648-8", "Hospital Course", "住院过程章节", "DE06.00.296.00", "诊疗过程描述"},
	"assessment": {"51848-0", "Assessment note", "健康评估章节", "DE05.10.126.00", "健康评估"},
	"advice":     {"69730-0", "Instructions", "健康指导章节", "DE06.00.124.00", "宣教内容"},
	"payment":    {"48768-6", "PAYMENT SOURCES", "费用章节", "DE07.00.010.00", "费用说明"},
	"symptom":    {"11018-3", "SYMPTOMS", "症状章节", "DE04.01.117.00", "症状名称"},
	"anesthesia": {"59774-0", "Procedure anesthesia", "麻醉章节", "DE06.00.226.00", "麻醉过程"},
	"preop":      {"10219-4", "Surgical operation note preoperative Dx", "术前诊断章节", "DE05.01.024.00", "术前诊断编码"},
	"postop":     {"10218-6", "Surgical operation note postoperative Dx", "术后诊断章节", "DE05.01.024.00", "术后诊断编码"},
	"bloodloss":  {"55103-6", "Surgical operation note estimated blood loss", "失血章节", "DE06.00.097.00", "出血量描述"},
	"fluids":     {"10216-0", "Surgical operation note fluids", "输液章节", "DE06.00.269.00", "术中输液项目"},
	"drains":     {"11537-8", "Surgical drains", "引流章节", "DE08.50.044.00", "引流描述"},
	"labor":      {"57074-7", "labor and delivery process", "阴道分娩章节", "DE06.00.190.00", "产程经过"},
	"prenatal":   {"57073-9", "prenatal events", "产前检查章节", "DE05.10.161.00", "产前检查异常情况描述"},
	"postpartum": {"57076-2", "postpartum hospitalization treatment", "产后处置章节", "DE05.10.082.00", "产后情况"},
	"newborn":    {"57075-4", "newborn delivery information", "新生儿章节", "DE05.10.167.00", "新生儿异常情况"},
	"stays":      {"11336-5", "HISTORY OF HOSPITALIZATIONS", "住院史章节", "DE02.10.090.00", "住院次数说明"},
	"referral":   {"42349-1", "Reason for referral", "会诊原因章节", "DE06.00.039.00", "会诊原因"},
	"death":      {"69453-9", "Cause of death", "死亡原因章节", "DE05.01.025.00", "死亡原因名称"},
	"consent":    {"34895-3", "EDUCATION NOTE", "知情同意章节", "DE09.00.117.00", "知情同意书名称"},

	"opinion":    {"", "", "意见章节", "DE06.00.018.00", "医疗机构意见"},
	"risk":       {"", "", "操作风险章节", "DE05.01.075.00", "可能出现的意外及风险"},
	"events":     {"", "", "卫生事件章节", "DE06.00.182.00", "卫生事件描述"},
	"exposure":   {"", "", "健康危险因素章节", "DE05.10.119.00", "健康危险因素"},
	"report":     {"", "", "检查报告章节", "DE04.50.131.00", "检查报告结果"},
	"labreport":  {"", "", "检验报告章节", "DE04.50.130.00", "检验报告结果"},
	"handling":   {"", "", "其他处置章节", "DE06.00.251.00", "处理及指导意见"},
	"rescue":     {"", "", "抢救记录章节", "DE06.00.094.00", "急诊抢救记录"},
	"other":      {"", "", "其他相关信息章节", "DE06.00.179.00", "注意事项"},
	"whereto":    {"", "", "术后去向章节", "DE06.00.185.00", "患者去向"},
	"delivery":   {"", "", "分娩评估章节", "DE05.10.113.00", "分娩结果"},
	"nursing":    {"", "", "护理记录章节", "DE06.00.211.00", "护理等级"},
	"observed":   {"", "", "护理观察章节", "DE02.10.028.00", "护理观察结果"},
	"care":       {"", "", "护理操作章节", "DE06.00.210.00", "护理操作结果"},
	"caremark":   {"", "", "护理标志章节", "DE06.00.219.00", "护理标志"},
	"supplies":   {"", "", "高值耗材章节", "DE08.50.048.00", "耗材名称"},
	"admitted":   {"", "", "入院信息章节", "DE05.10.053.00", "入院原因"},
	"lifestyle":  {"", "", "生活方式章节", "DE05.10.065.00", "睡眠状况"},
	"transfer":   {"", "", "转科记录章节", "DE06.00.314.00", "转科原因"},
	"admin":      {"", "", "行政管理章节", "DE09.00.103.00", "病案质量"},
	"auxiliary":  {"", "", "辅助检查章节", "DE04.30.009.00", "辅助检查结果"},
	"consulted":  {"", "", "会诊意见章节", "DE06.00.018.00", "会诊意见"},
	"summary":    {"", "", "病历摘要章节", "DE06.00.182.00", "病历摘要"},
	"notice":     {"", "", "注意事项章节", "DE09.00.119.00", "注意事项"},
	"discussion": {"", "", "讨论内容章节", "DE06.00.181.00", "讨论意见"},
	"conclusion": {"", "", "讨论总结章节", "DE06.00.018.00", "主持人总结意见"},
}

// typeTable lists the documents of WS/T 500-2016: part, title, last numbers of the roots of
// patientRole/id under 2.16.156.10011.1, parts of the header, chapters of the body. The
// template id of part n ends in 20+n.
const typeTable = `
1|病历概要|2 19|addr tel gender birth marital ethnic employer job contact|studies past immun transfused allergy exposure menstrual procedure events payment
2|门(急)诊病历|11 24|gender birth age provider legal|allergy chief illness past exam studies diagnosis plan orders
3|急诊留观病历|11 24|tel gender birth age provider legal|allergy chief illness past exam studies diagnosis plan orders procedure rescue course other
4|西药处方|11 20|gender age provider legal auth|diagnosis medication payment
5|中药处方|11 20|gender age provider legal auth|diagnosis medication payment plan
6|检查报告|11 12 32 24 14|tel gender birth age auth contact enc loc|diagnosis chief symptom procedure exam handling report
7|检验报告|11 12 33 24 14|tel gender birth age auth contact enc loc|diagnosis studies labreport
8|治疗记录|11 12 24|gender age auth enc loc|past vital admission plan procedure given
9|一般手术记录|11 12 24|gender age auth enc loc|preop postop given fluids transfused anesthesia bloodloss procedure drains
10|麻醉术前访视记录|11 12 24|gender age auth enc loc|studies preop past exam anesthesia problem plan
11|麻醉记录|11 12 24|gender age auth enc loc|studies preop postop given fluids transfused anesthesia problem vital procedure bloodloss whereto
12|麻醉术后访视记录|11 12 24|gender age auth enc loc|studies preop postop anesthesia problem procedure
13|输血记录|11 12 24|gender age auth enc loc|studies problem transfused
14|待产记录|12|age auth contact enc loc|problem vital past prenatal plan
15|阴道分娩记录|12|age auth contact enc loc|past labor postpartum newborn delivery
16|剖宫产记录|12|age auth contact enc loc|procedure postpartum newborn delivery
17|一般护理记录|12|gender age provider auth enc enccode loc|diagnosis allergy vital nursing observed care caremark
18|病重(病危)护理记录|12|gender age provider auth enc enccode loc|diagnosis allergy vital nursing observed care
19|手术护理记录|11 12|gender age provider auth enc enccode loc|studies diagnosis allergy vital nursing observed care procedure
20|生命体征测量记录|12|gender age provider auth enc enccode loc|diagnosis vital observed
21|出入量记录|12|gender age provider auth enc enccode loc|diagnosis vital nursing observed care medication caremark
22|高值耗材使用记录|12|gender age provider auth enc enccode loc|diagnosis supplies
23|入院评估|19 12|tel gender marital ethnic nationality age education job legal auth contact enc enccode loc|admitted symptom vital past allergy family assessment lifestyle admission observed course
24|护理计划|19 12|gender age auth enc enccode loc|diagnosis plan nursing caremark
25|出院评估与指导|19 12|gender age provider auth|discharge advice assessment
26|手术知情告知书|11 12 34 3|gender birth age legal auth enc loc|preop plan opinion risk
27|麻醉知情同意书|11 12 34 3|gender birth age legal auth enc loc|diagnosis plan opinion risk
28|输血治疗同意书|11 12 34 3|gender birth age legal auth enc loc|diagnosis transfused plan opinion risk
29|特殊检查及特殊治疗同意书|11 12 34 3|gender birth age legal auth enc loc|diagnosis plan risk opinion
30|病危(重)通知书|11 12 34 3|gender birth age legal auth enc loc|diagnosis plan opinion
31|其他知情同意书|11 12 34 3|gender birth age legal auth enc loc|diagnosis consent opinion
32|住院病案首页|19 12 13|addr tel gender birth marital ethnic birthplace nationality age employer household native job provider legal auth contact enc enccode loc|vital diagnosis problem transfer discharge allergy studies procedure stays course admin plan payment
33|中医住院病案首页|12 13 8|addr tel gender birth marital ethnic birthplace nationality age employer household native job provider legal auth contact enc enccode loc|vital diagnosis problem transfer discharge allergy studies procedure stays course admin plan payment
34|入院记录|12|addr gender marital ethnic age job informant legal auth enc loc|chief illness past immun transfused allergy social menstrual family vital exam auxiliary problem admission plan course
35|24小时内入出院记录|12|addr gender marital ethnic age job informant legal auth enc|chief problem admission plan course discharge orders
36|24小时内入院死亡记录|12|addr gender marital ethnic age job informant legal auth enc|chief problem admission plan course death
37|首次病程记录|12|gender birth age legal auth enc loc|chief diagnosis plan
38|日常病程记录|12|gender birth age auth enc enccode loc|problem diagnosis orders plan medication
39|上级医师查房记录|12|gender birth age legal auth enc loc|assessment problem diagnosis plan medication orders
40|疑难病例讨论记录|12|gender birth age auth contact enc enccode loc|assessment diagnosis plan discussion conclusion
41|交接班记录|12|gender birth age auth enc enccode loc|chief admission diagnosis plan course
42|转科记录|12|gender birth age auth enc enccode loc|chief admission diagnosis plan medication course
43|阶段小结|12|gender birth age auth service enc enccode loc|chief admission diagnosis plan medication course
44|抢救记录|12|gender birth age auth contact enc enccode loc|diagnosis plan procedure studies
45|会诊记录|12 24|gender birth age auth enc enccode loc|assessment diagnosis auxiliary plan referral consulted course
46|术前小结|12|gender birth age auth enc enccode loc|summary diagnosis past studies procedure plan notice
47|术前讨论|12|gender birth age auth contact enc enccode loc|preop plan procedure discussion conclusion
48|术后首次病程记录|12|gender birth age auth contact enc enccode loc|procedure postop notice
49|出院记录|12|gender birth age auth enc enccode loc|problem admission studies course discharge orders
50|死亡记录|12|gender birth age auth enc enccode loc|admission course death diagnosis opinion
51|死亡病例讨论记录|12|gender birth age auth contact enc enccode loc|death diagnosis discussion conclusion
52|住院医嘱|12|gender birth age auth enc enccode loc|vital orders
53|出院小结|19 12|addr tel gender birth marital ethnic age job legal auth contact enc enccode loc|problem studies admission discharge procedure course plan orders
`
