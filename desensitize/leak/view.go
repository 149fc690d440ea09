package leak

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// unit is one character of a view and where it stands in the text.
type unit struct {
	r          rune  // normalised
	start, end int32 // bytes in the text
	joined     bool  // the character before it in the text is the one before it in the view
}

// view is a text made ready for searching: half-width, lower case, without accents; Chinese
// numerals beside others are digits. In tight, white space and separators are left out.
type view struct {
	text  string
	tight []unit
}

func newView(text string) *view {
	v := &view{text: text, tight: make([]unit, 0, len(text)/2+8)}
	joined := false
	for i := 0; i < len(text); {
		r, n := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(text[i:])
		}
		r = normal(r)
		switch {
		case r == 0:
			// invisible: as if it were not there
		case separates(r):
			joined = false
		default:
			v.tight = append(v.tight, unit{r, int32(i), int32(i + n), joined})
			joined = true
		}
		i += n
	}
	v.numerals()
	return v
}

// normal folds a character: full-width to half-width, capitals to small letters, letters
// with accents to those without. Invisible characters become 0.
func normal(r rune) rune {
	switch {
	case r < utf8.RuneSelf:
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	case r >= 0x4E00 && r <= 0x9FFF:
		return r
	case r >= 0xFF01 && r <= 0xFF5E:
		return normal(r - 0xFEE0)
	case r == 0x3000 || r == 0xA0:
		return ' '
	case r >= 0x2E80 && r < 0x2FE0:
		return radical(r)
	case unicode.In(r, invisible):
		return 0
	}
	return unusual(r)
}

// invisible are characters without a width: joiners, marks of direction, accents that are
// written apart, variation selectors, soft hyphens.
var invisible = &unicode.RangeTable{R16: []unicode.Range16{
	{Lo: 0xAD, Hi: 0xAD, Stride: 1}, {Lo: 0x300, Hi: 0x36F, Stride: 1}, {Lo: 0x200B, Hi: 0x200F, Stride: 1}, {Lo: 0x202A, Hi: 0x202E, Stride: 1},
	{Lo: 0x2060, Hi: 0x2064, Stride: 1}, {Lo: 0xFE00, Hi: 0xFE0F, Stride: 1}, {Lo: 0xFEFF, Hi: 0xFEFF, Stride: 1},
}, LatinOffset: 1}

// unusual folds digits in circles and in other typefaces, and letters with accents.
func unusual(r rune) rune {
	switch {
	case r >= 0x2460 && r <= 0x2468:
		return r - 0x2460 + '1' // ① …
	case r >= 0x1D7CE && r <= 0x1D7FF:
		return '0' + (r-0x1D7CE)%10
	case r > 0x2E7F:
		return r
	}
	if i := strings.IndexRune(accented, r); i >= 0 {
		return plain[utf8.RuneCountInString(accented[:i])]
	}
	return unicode.ToLower(r)
}

// radical folds the Kangxi radicals, which PDF readers confuse with the characters.
func radical(r rune) rune {
	const first, list = 0x2F00, "一丨丶丿乙亅二亠人儿入八冂冖冫几凵刀力勹匕匚匸十卜卩厂厶又口囗土士夂夊夕大女子宀寸小尢尸屮山巛工己巾干幺广廴廾弋弓彐彡彳心戈戶手支攴文斗斤方无日曰月木欠止歹殳毋比毛氏气水火爪父爻爿片牙牛犬玄玉瓜瓦甘生用田疋疒癶白皮皿目矛矢石示禸禾穴立竹米糸缶网羊羽老而耒耳聿肉臣自至臼舌舛舟艮色艸虍虫血行衣襾見角言谷豆豕豸貝赤走足身車辛辰辵邑酉釆里金長門阜隶隹雨靑非面革韋韭音頁風飛食首香馬骨高髟鬥鬯鬲鬼魚鳥鹵鹿麥麻黃黍黑黹黽鼎鼓鼠鼻齊齒龍龜龠"
	if r < first {
		return r
	}
	n := int(r - first)
	for _, c := range list {
		if n == 0 {
			return c
		}
		n--
	}
	return r
}

// accented and plain are the letters of pinyin with tones and of European names.
const accented = "āáǎàăâäãåąēéěèêëęīíǐìîïōóǒòôöõøūúǔùûüǖǘǚǜñńňçćčšśžźżłđýÿĀÁǍÀÂÄÃÅĒÉĚÈÊËĪÍǏÌÎÏŌÓǑÒÔÖÕØŪÚǓÙÛÜÑŃŇÇĆČŠŚŽŹŻŁĐÝ"

var plain = []rune("aaaaaaaaaaeeeeeeeiiiiiioooooooouuuuuuvvvvnnncccsszzzldyyaaaaaaaaeeeeeeiiiiiioooooooouuuuuunnncccsszzzldy")

// separates reports characters that people put between the parts of a name or number.
func separates(r rune) bool {
	switch r {
	case ' ', '\t', '\n', '\r', '\f', '\v', '-', '_', '.', '·', '•', '・', '‧', '∙', '*', '~', '/', '|', ',', '^', '&', '\'', '"', '‐', '‑', '‒', '–', '—', '−', '\\', '`', '+', '(', ')', '[', ']', '<', '>', '#', '=', ';':
		return true
	}
	return r > 0x2000 && unicode.IsSpace(r)
}

// numerals turns runs of four and more Chinese numerals into digits: a number read out.
func (v *view) numerals() {
	for i := 0; i < len(v.tight); i++ {
		if _, ok := numeral(v.tight[i].r); !ok {
			continue
		}
		end := i
		for end < len(v.tight) {
			if _, ok := numeral(v.tight[end].r); !ok {
				break
			}
			end++
		}
		if end-i >= 4 {
			for ; i < end; i++ {
				v.tight[i].r, _ = numeral(v.tight[i].r)
			}
		}
		i = end
	}
}

func numeral(r rune) (rune, bool) {
	switch r {
	case '〇', '零', '○':
		return '0', true
	case '一', '壹', '幺':
		return '1', true
	case '二', '贰', '貳', '两':
		return '2', true
	case '三', '叁', '參':
		return '3', true
	case '四', '肆':
		return '4', true
	case '五', '伍':
		return '5', true
	case '六', '陆', '陸':
		return '6', true
	case '七', '柒':
		return '7', true
	case '八', '捌':
		return '8', true
	case '九', '玖':
		return '9', true
	}
	return 0, false
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }
func isLatin(r rune) bool { return r >= 'a' && r <= 'z' }
func isHan(r rune) bool   { return r >= 0x3400 && r <= 0x9FFF || r >= 0x20000 && r <= 0x323AF }
func isAlnum(r rune) bool { return isDigit(r) || isLatin(r) }
func isHanR(r rune) bool  { return isHan(r) || r == '〇' }
