package leak

import (
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/mozillazg/go-pinyin"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// compound are family names of two characters.
var compound = words(`欧阳 太史 端木 上官 司马 东方 独孤 南宫 万俟 闻人 夏侯 诸葛 尉迟 公羊 赫连 澹台 皇甫 宗政 濮阳 公冶 太叔
申屠 公孙 慕容 仲孙 钟离 长孙 宇文 司徒 鲜于 司空 闾丘 子车 亓官 司寇 巫马 公西 颛孙 壤驷 公良 漆雕 乐正 宰父 谷梁 拓跋 夹谷 轩辕 令狐
段干 百里 呼延 东郭 南门 羊舌 微生 梁丘 左丘 东门 西门 第五 欧陽 東方 諸葛 司馬 鍾離 長孫`)

// families are family names of one character, by how many people bear them; those that are
// common words as well stand in doubtful.
var families = letters(`王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏锺钟
汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文庞樊兰殷施陶洪翟安颜倪严牛温芦季俞章鲁葛伍韦申尤毕聂
丛焦向柳邢路岳齐沿梅莫庄辛管祝左涂谷祁时舒耿牟卜詹关苗凌费纪靳盛童欧甄项曲成游阳裴席卫查屈鲍位覃霍翁隋植甘景薄单包司柏宁柯阮桂闵解强柴华车冉房边
净阴闫佘练骆付代麦容悲初瞿褚班全名井米谈宫虞奚佟符蒲穆漆卞丘逄晏郁苟宗戚巫褚娄应臧仇敖冷卓花蓝苑池晋蔺丰窦简岑古楼刁`)

// doubtful are family names that begin many ordinary words: they count beside a strong cue
// alone.
var doubtful = letters(`于高何方石文安成常向时阳全名车房边初应左关路易白单解强华花古简万项位时代容练净悲植沿全麦阴冷丰管包米金申温明平查毕成司连`)

func words(s string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(s) {
		out[w] = true
	}
	return out
}

func letters(s string) map[rune]bool {
	out := map[rune]bool{}
	for _, r := range s {
		if isHan(r) {
			out[r] = true
		}
	}
	return out
}

// split parts a Chinese name into family and given name.
func split(name []rune) (family, given []rune) {
	if len(name) >= 3 && compound[string(name[:2])] {
		return name[:2], name[2:]
	}
	return name[:1], name[1:]
}

// anonymous are values of a name field that name nobody.
var anonymous = words(`无名氏 未知 不详 无名 匿名 本人 患者 病人 家属 父亲 母亲 配偶 丈夫 妻子 儿子 女儿 其他 医生 护士 医师 自述 无 不明 测试 某某
unknown anonymous patient test null none self mother father son daughter spouse doctor nurse physician admin system other baby male female`)

// titles make 王某 and 王先生 of a family name, by their first character. The longer come
// first.
var titles = func() map[rune][][]rune {
	out := map[rune][][]rune{}
	for t := range strings.FieldsSeq("某某 某 先生 女士 小姐 太太 同志 大爷 大妈 大娘 奶奶 爷爷 阿姨 叔叔 老师 师傅 医生 医师 大夫 主任 护士 教授 院长 xx ××") {
		r := []rune(t)
		out[r[0]] = append(out[r[0]], r)
	}
	return out
}()

// titleAt returns the length of the title at i of the view, 0 if there is none. 某 before 院
// and the like is no title, nor is it behind a family name that is a word as well (于某日).
func (v *view) titleAt(i int, word bool) int {
	if i >= len(v.tight) || word && v.tight[i].r == '某' {
		return 0
	}
	if v.tight[i].r == '某' && i+1 < len(v.tight) && strings.ContainsRune("院单病地日月年时处种些个甲乙丙丁戊己庚辛壬癸", v.tight[i+1].r) {
		return 0
	}
	for _, t := range titles[v.tight[i].r] {
		if i+len(t) <= len(v.tight) && (t[0] != 'x' || i+2 >= len(v.tight) || !isAlnum(v.tight[i+2].r)) && v.has(i, string(t)) {
			return len(t)
		}
	}
	return 0
}

// person adds a name in all its forms.
func (c *Compiled) person(v string) {
	tight := squeeze(v)
	if anonymous[tight] || anonymous[strings.ToLower(v)] {
		return
	}
	runes := []rune(tight)
	if len(runes) == 0 {
		return
	}
	if strings.IndexFunc(tight, func(r rune) bool { return !isHanR(r) }) < 0 {
		c.chinese(v, runes)
		return
	}
	if strings.IndexFunc(tight, isHan) >= 0 { // 王小明(家属), 阿不都·A.
		for _, part := range strings.FieldsFunc(v, func(r rune) bool { return !isHanR(normal(r)) && r != '·' && r != '•' }) {
			if p := []rune(squeeze(part)); len(p) >= 2 && !anonymous[string(p)] {
				c.chinese(part, p)
			}
		}
		return
	}
	c.latin(v)
}

// chinese adds a name in characters: whole, its long parts if it has a dot in it, else its
// other orders, with titles and with 某.
func (c *Compiled) chinese(v string, name []rune) {
	if len(name) < 2 || len(name) > 30 {
		return
	}
	c.put(string(name), Name, false, true)
	if parts := strings.FieldsFunc(v, func(r rune) bool { return r == '·' || r == '•' || r == '・' || r == '.' }); len(parts) > 1 {
		for _, p := range parts {
			if utf8.RuneCountInString(p) >= 3 {
				c.put(p, Name, false, true)
			}
		}
		return
	}
	if len(name) <= 4 {
		family, given := split(name)
		c.orders(family, given)
		c.pinyin(family, given)
	}
}

// orders adds a name backwards, family name last, as 王某 and 王先生, as 老王.
func (c *Compiled) orders(family, given []rune) {
	if len(family)+len(given) >= 3 {
		reversed := slices.Concat(family, given)
		slices.Reverse(reversed)
		c.put(string(reversed), Name, false, true)
		c.put(string(given)+string(family), Name, false, true)
	}
	c.insert(pattern{runes: family, typ: Name, titled: true, word: len(family) == 1 && doubtful[family[0]]})
	if len(given) == 2 {
		c.insert(pattern{runes: given, typ: Name, titled: true})
	}
	if !doubtful[family[0]] {
		c.put(string(family)+"某"+string(given[len(given)-1:]), Name, false, false)
	}
	for _, before := range []string{"老", "小"} {
		if len(family) == 1 && !wordAfter[before+string(family)] {
			c.put(before+string(family), Name, false, false)
		}
	}
}

// wordAfter are ordinary words that look like a familiar address.
var wordAfter = words(`小方 小肠 小石 小高 小于 老于 小时 小单 小房 小花 小米 小金 小麦 小江 小龙 小安 小白 小毛 小关 小管 小叶 小车 老年 小应 小强 小全 小项 小成 小包 小边 小牛 小马 老马 老牛 小脑 小儿 小梁 小段 小汤 小冷 小温 小丁 小平 小池`)

// pinyin adds a name in Latin letters, in both orders. Sounds of two characters or less are
// too many words to be told apart.
func (c *Compiled) pinyin(family, given []rune) {
	for _, f := range spellings(family) {
		for _, g := range spellings(given) {
			if len(f)+len(g) >= 6 {
				c.put(f+g, Name, true, false)
				c.put(g+f, Name, true, false)
			}
		}
	}
}

// spellings are the ways to write characters in pinyin without tones, eight at most.
func spellings(chars []rune) []string {
	out := []string{""}
	for _, r := range chars {
		sounds := soundsOf(r)
		if len(sounds) == 0 {
			return nil
		}
		var next []string
		for _, head := range out {
			for _, s := range sounds[:min(len(sounds), 3)] {
				next = append(next, head+s)
				if strings.Contains(s, "v") {
					next = append(next, head+strings.ReplaceAll(s, "v", "u"), head+strings.ReplaceAll(s, "v", "yu"))
				}
			}
		}
		out = next[:min(len(next), 8)]
	}
	return out
}

// soundsOf are the readings of a character, the usual one first.
func soundsOf(r rune) []string {
	if known, ok := sounds.Load(r); ok {
		return known.([]string)
	}
	a := pinyin.NewArgs()
	a.Style, a.Heteronym = pinyin.Normal, true
	list := pinyin.SinglePinyin(r, a)
	sounds.Store(r, list)
	return list
}

// sounds keeps what soundsOf found: at most one entry for each character that there is.
var sounds sync.Map

// latin adds a name in Latin letters: whole, in both orders, without middle names.
func (c *Compiled) latin(v string) {
	parts := latinParts(v)
	if len(parts) < 2 {
		if len(parts) == 1 && len(parts[0]) >= 5 && !vocabulary[strings.ToLower(parts[0])] {
			c.put(parts[0], Name, true, false)
		}
		return
	}
	first, last := parts[0], parts[len(parts)-1]
	for _, form := range []string{strings.Join(parts, " "), first + last, last + first} {
		if len(squeeze(form)) >= 5 {
			c.put(form, Name, true, false)
		}
	}
	for _, p := range []string{first, last} {
		for _, title := range []string{"mr", "mrs", "ms", "miss", "dr", "prof", "nurse", "doctor"} {
			c.put(title+" "+p, Name, true, false)
		}
		if len(p) >= 5 && !vocabulary[strings.ToLower(p)] {
			c.put(p, Name, true, false)
		}
	}
}

// latinParts are the parts of a name, titles left out.
func latinParts(v string) []string {
	var parts []string
	for _, p := range strings.FieldsFunc(v, func(r rune) bool { return separates(r) && r != '\'' && r != '-' }) {
		if low := strings.ToLower(p); !prefixes[low] && !noName[low] && strings.IndexFunc(low, isLatin) >= 0 {
			parts = append(parts, p)
		}
	}
	return parts
}

// prefixes are no part of a name.
var prefixes = words(`mr mrs ms miss dr prof md phd rn do np pa jr sr ii iii iv esq dds`)

// vocabulary are names that are ordinary or clinical words as well: alone they prove
// nothing.
var vocabulary = words(`black brown white green young small short little large strong heart hands stone woods wells waters fields house church
north south march april bishop baker cooper carter mason hunter marsh field brook brooks bell cook foot ward page summer winter autumn
grace faith hope joy rose daisy violet olive amber crystal pearl ruby destiny angel christian parkinson hodgkin crohn graves cushing addison
bright wilson down marfan turner alzheimer babinski murphy glasgow barrett basset foley holter doppler romberg hoffman hoffmann charcot
major minor chase cross drew frank grant mark miles norma patience pierce sharp singer skinner storm tanner temple tracey walker weeks
chance carver fisher foster gardner miller porter potter price riley royal rusty sandy sterling taylor wade wells robin clay dean`)

// sameCharacter reports that a character outside of the simplified set stands for one with
// the same sound: 曉 for 晓. It is a guess that errs to the safe side.
func sameCharacter(got, want rune) bool {
	if !isTraditional(got) && !isTraditional(want) {
		return false
	}
	a := sound(got)
	return a != "" && a == sound(want)
}

// sound is the first reading of a character.
func sound(r rune) string {
	if !isHan(r) {
		return ""
	}
	if list := soundsOf(r); len(list) > 0 {
		return list[0]
	}
	return ""
}

// isTraditional reports a character that GB/T 2312 does not have: what simplified text
// does not use, save in rare names.
func isTraditional(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF && outside()[r-0x4E00]
}

var outside = sync.OnceValue(func() *[0x9FFF - 0x4E00 + 1]bool {
	out := new([0x9FFF - 0x4E00 + 1]bool)
	enc := simplifiedchinese.GBK.NewEncoder()
	var buf [utf8.UTFMax]byte
	for i := range out {
		n := utf8.EncodeRune(buf[:], rune(0x4E00+i))
		b, err := enc.Bytes(buf[:n])
		out[i] = err != nil || len(b) != 2 || b[0] < 0xB0 || b[0] > 0xF7 || b[1] < 0xA1
	}
	return out
})
