package deidtest

import (
	"fmt"
	"strings"
	"time"
)

// chineseDate writes a day in one of the forms that notes use.
func (r *rng) chineseDate(t time.Time, form int) string {
	y, m, d := t.Date()
	switch form {
	case 0:
		return fmt.Sprintf("%d年%d月%d日", y, m, d)
	case 1:
		return t.Format("2006-01-02")
	case 2:
		return fmt.Sprintf("%d.%d.%d", y, m, d)
	case 3:
		return t.Format("2006/01/02")
	case 4:
		return fmt.Sprintf("%d年%02d月%02d日", y, m, d)
	case 5:
		zero := pick(r, []string{"〇", "零", "○"})
		return strings.ReplaceAll(chineseDigits(fmt.Sprint(y)), "〇", zero) + "年" + chineseNumber(int(m)) + "月" + chineseNumber(d) + "日"
	case 6:
		return fmt.Sprintf("%02d年%d月%d日", y%100, m, d)
	case 7:
		return fmt.Sprintf("%d月%d日", m, d)
	case 8:
		return fmt.Sprintf("%d月%d号", m, d)
	case 9:
		return fmt.Sprintf("%d年%d月", y, m)
	}
	return fmt.Sprintf("%d-%d-%d", y, m, d)
}

// chineseDateForms lists the forms with a share each; a note keeps to one of them in most places.
var chineseDateForms = []int{0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 10}

// looseDateForms are used in running text beside the note's own.
var looseDateForms = []int{7, 7, 8, 9, 6, 0}

func chineseDigits(s string) string {
	return strings.Map(func(r rune) rune { return []rune("〇一二三四五六七八九")[r-'0'] }, s)
}

// chineseNumber writes 1 to 99.
func chineseNumber(n int) string {
	tens, ones := "", ""
	if n >= 20 {
		tens = chineseDigits(fmt.Sprint(n / 10))
	}
	if n >= 10 {
		tens += "十"
	}
	if n%10 > 0 {
		ones = chineseDigits(fmt.Sprint(n % 10))
	}
	return tens + ones
}

func (r *rng) englishDate(t time.Time, form int) string {
	switch form {
	case 0:
		return t.Format("01/02/2006")
	case 1:
		return t.Format("January 2, 2006")
	case 2:
		return t.Format("2006-01-02")
	case 3:
		return t.Format("1/2/06")
	case 4:
		return t.Format("2 January 2006")
	case 5:
		return t.Format("02-Jan-2006")
	case 6:
		return t.Format("Jan 2, 2006")
	case 7:
		return t.Format("January ") + ordinal(t.Day())
	case 8:
		return "the " + ordinal(t.Day()) + t.Format(" of January")
	case 9:
		return t.Format("January 2006")
	case 10:
		return t.Format("1/2")
	}
	return t.Format("Jan 2")
}

var (
	englishDateForms = []int{0, 0, 1, 1, 2, 3, 4, 5, 6}
	looseEnglish     = []int{7, 7, 8, 9, 11, 1}
)

func ordinal(n int) string {
	suffix := "th"
	if n/10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprint(n) + suffix
}
