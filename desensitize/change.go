package desensitize

import (
	"math/big"
	"strconv"
	"strings"
)

// mask replaces all but the first and last characters by asterisks. Where little else would
// be left, everything is masked.
func mask(text string, first, last int) string {
	runes := []rune(text)
	if first+last >= len(runes) {
		first, last = 0, 0
	}
	for i := first; i < len(runes)-last; i++ {
		runes[i] = '*'
	}
	return string(runes)
}

// maxNumber bounds the digits of a number that perturb takes.
const maxNumber = 40

// perturb moves a number by keyed noise: uniform over an interval of length span around it.
// The same number of the same patient at the same place always moves alike, so that asking
// twice does not average the noise away.
func perturb(p *Project, subject []byte, rule *Rule, v Value) (string, bool) {
	if len(v.Text) > maxNumber || strings.ContainsAny(v.Text, "eE/") {
		return "", false
	}
	value, ok := new(big.Rat).SetString(v.Text)
	if !ok {
		return "", false
	}
	const steps = 1 << 53
	n := p.Number(steps+1, "perturb", string(subject), v.Path, v.Text)
	span := new(big.Rat).SetFloat64(rule.Span)
	if rule.Range == RangeProportional {
		span.Mul(span, new(big.Rat).Abs(value))
	}
	noise := new(big.Rat).SetFrac64(int64(n)-steps/2, steps)
	value.Add(value, noise.Mul(noise, span))
	places := 0
	if _, fraction, ok := strings.Cut(v.Text, "."); ok {
		places = len(fraction)
	}
	if rule.Round != nil {
		places = *rule.Round
	}
	return value.FloatString(places), true
}

// numeral reads a number that people wrote: ASCII or full-width digits, or Chinese numerals
// up to 九千九百九十九 (also digit by digit, as in 二〇二四).
func numeral(s string) (int, bool) {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return n, true
	}
	total, digit, seen, plain := 0, 0, false, true
	for _, r := range s {
		switch {
		case r >= '０' && r <= '９':
			digit, seen = digit*10+int(r-'０'), true
		case unitOf(r) > 0:
			if digit == 0 {
				digit = 1
			}
			total, digit, seen, plain = total+digit*unitOf(r), 0, true, false
		default:
			d, ok := digitOf(r)
			if !ok {
				return 0, false
			}
			if plain {
				digit = digit*10 + d
			} else {
				digit = d
			}
			seen = true
		}
		if total+digit > 9999 {
			return 0, false
		}
	}
	return total + digit, seen
}

func unitOf(r rune) int {
	switch r {
	case '十', '拾':
		return 10
	case '百', '佰':
		return 100
	case '千', '仟':
		return 1000
	case '廿':
		return 0
	}
	return 0
}

func digitOf(r rune) (int, bool) {
	if i := strings.IndexRune("〇一二三四五六七八九", r); i >= 0 {
		return i / len("一"), true
	}
	if i := strings.IndexRune("零壹贰叁肆伍陆柒捌玖", r); i >= 0 {
		return i / len("壹"), true
	}
	if r == 'O' || r == '○' || r == '◯' {
		return 0, true
	}
	if r == '两' {
		return 2, true
	}
	return 0, false
}
