package text

import "strings"

// longestToken bounds what is looked at as one word of Western characters.
const longestToken = 400

// tokens looks at every run of Western characters: addresses of the Internet, plates, permits.
func (s *scan) tokens() {
	v := s.v
	for i := 0; i < v.len(); i++ {
		if !tokenChar(v.at(i)) || s.taken[i] != "" {
			continue
		}
		end, marks := i, 0
		for end < v.len() && end-i < longestToken && (tokenChar(v.r[end]) || v.is(end, alpha)) && (end == i || v.gap[end] == noGap) {
			switch v.r[end] {
			case '@', '.', ':', '/':
				marks++
			}
			end++
		}
		if marks > 0 {
			s.internet(i, end)
		}
		s.plainToken(i, end)
		i = max(i, end-1)
	}
}

func tokenChar(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
		return true
	}
	return r != 0 && r < 0x80 && strings.ContainsRune("@._%+-:/?=&#~[]", r)
}

// internet recognises mail addresses, web addresses and IP addresses within a token.
func (s *scan) internet(i, end int) {
	v := s.v
	w := v.text(i, end)
	if n := strings.Index(w, "://"); n > 1 && n < 8 {
		from := i + n
		for from > i && v.is(from-1, alpha) {
			from--
		}
		s.claim(from, v.closeURL(from, end), URL, 0.95)
		return
	}
	if n := strings.Index(w, "www."); n >= 0 && len(w) > n+6 {
		s.claim(i+n, v.closeURL(i+n, end), URL, 0.95)
		return
	}
	if at := strings.IndexByte(w, '@'); at > 0 {
		s.mail(i, i+at, end)
		return
	}
	s.ipv4(i, end)
	if strings.Count(w, ":") >= 5 || strings.Contains(w, "::") && strings.Count(w, ":") >= 3 {
		s.hexAddress(i, end)
	}
	if s.hostPath(w) {
		s.claim(i, v.closeURL(i, end), URL, 0.8)
	}
}

// hostPath tells whether a token is a host name with a path, written without its scheme.
func (s *scan) hostPath(w string) bool {
	host, path, found := strings.Cut(w, "/")
	if !found || path == "" || strings.Count(host, ".") == 0 {
		return false
	}
	for _, d := range [...]string{".com", ".cn", ".org", ".net", ".edu", ".gov", ".io"} {
		if strings.HasSuffix(host, d) && len(host) > len(d)+1 {
			return true
		}
	}
	return false
}

// closeURL leaves out the mark of a sentence that ends with the address.
func (v *view) closeURL(i, end int) int {
	if v.at(end) == '\n' && v.at(end+1) != 0 && strings.ContainsRune("?&#=/", v.at(end+1)) {
		for end++; end < v.len() && end-i < longestToken && tokenChar(v.r[end]); end++ {
		}
	}
	for end > i && strings.ContainsRune(".:?#-_]", v.r[end-1]) {
		end--
	}
	return end
}

// mail claims the mail address around the @ at place at, RFC 5322 addr-spec as people use it.
func (s *scan) mail(i, at, end int) {
	v := s.v
	from, to := at, at+1
	for from > i && at-from < 64 && (v.is(from-1, alpha|digit) || strings.ContainsRune("._%+-", v.r[from-1])) {
		from--
	}
	for to < end && (v.is(to, alpha|digit) || v.r[to] == '.' || v.r[to] == '-') {
		to++
	}
	for to > at+1 && !v.is(to-1, alpha|digit) {
		to--
	}
	domain := v.text(at+1, to)
	dot := strings.LastIndexByte(domain, '.')
	if from == at || dot < 1 || len(domain)-dot < 3 {
		return
	}
	if strings.HasSuffix(domain, ".invalid") { // RFC 6761, 6.4: can be nobody's
		return
	}
	s.claim(from, to, Email, 0.97)
}

// ipv4 claims the dotted quads in a token.
func (s *scan) ipv4(i, end int) {
	v := s.v
	for at := i; at < end; at++ {
		if !v.is(at, digit) || v.is(at-1, digit|alpha) || v.at(at-1) == '.' {
			continue
		}
		if to := v.dottedQuad(at); to > at && v.closed(to) && !v.before(at, "v") {
			if v.at(to) == ':' && v.is(to+1, digit) {
				to = v.skipDigits(to + 1)
			}
			s.claim(at, to, IP, 0.9)
			return
		}
	}
}

// dottedQuad returns the end of four numbers up to 255 with dots between, or i.
func (v *view) dottedQuad(i int) int {
	at := i
	for part := range 4 {
		if part > 0 {
			if v.at(at) != '.' {
				return i
			}
			at++
		}
		to := v.skipDigits(at)
		if to == at || to-at > 3 || decimal(v.r[at:to]) > 255 {
			return i
		}
		at = to
	}
	return at
}

// hexAddress claims IPv6 and MAC addresses.
func (s *scan) hexAddress(i, end int) {
	v := s.v
	from := i
	for to := i; to <= end; to++ {
		if to < end && (v.r[to] == ':' || v.is(to, digit) || v.r[to] >= 'a' && v.r[to] <= 'f') {
			continue
		}
		w := v.text(from, to)
		if n := strings.Count(w, ":"); n >= 5 && len(w) >= 11 || strings.Contains(w, "::") && n >= 3 {
			s.claim(from, to, IP, 0.85)
		}
		from = to + 1
	}
}

// plainToken recognises numbers by the shape of one word: vehicle plates, travel permits.
func (s *scan) plainToken(i, end int) {
	v := s.v
	to := i
	for to < end && v.is(to, alpha|digit) {
		to++
	}
	if plateEnd := v.plate(i); plateEnd > 0 {
		s.claim(i-1, plateEnd, Plate, 0.9)
		return
	}
	if n := to - i; n < 7 || n > 12 || !v.is(i, upper) {
		return
	}
	if v.is(i+1, upper) {
		if to-i == 9 && v.r[i] == 'e' && v.skipDigits(i+2) == to { // passports since 2017
			s.claim(i, to, Passport, 0.85)
		}
		return
	}
	if v.skipDigits(i+1) == to {
		s.letterNumber(i, to)
	}
}

// letterNumber recognises a capital letter with digits behind it.
func (s *scan) letterNumber(i, to int) {
	v := s.v
	switch n := to - i; {
	case n == 10 && v.formosa(i):
		s.claim(i, to, HMTPermit, 0.85)
	case n == 7 && v.at(to) == '(' && (v.is(to+1, digit) || v.at(to+1) == 'a') && v.at(to+2) == ')':
		s.claim(i, to+3, HMTPermit, 0.85)
	case (n == 9 || n == 11) && v.oneOf(i, "hm"):
		s.claim(i, to, HMTPermit, 0.8)
	case n == 9 && v.oneOf(i, "eg"):
		s.claim(i, to, Passport, 0.75)
	}
}

// plate returns the end of a plate (GA 36-2018) whose letter of the place is at i: a province
// before it and five or six characters behind it.
func (v *view) plate(i int) int {
	const provinces = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使"
	if !v.is(i, alpha) || !strings.ContainsRune(provinces, v.at(i-1)) {
		return 0
	}
	from := i + 1
	if v.oneOf(from, "·.- ") {
		from++
	}
	end, digits := from, 0
	for v.is(end, alpha|digit) && end-from < 7 {
		if v.is(end, digit) {
			digits++
		}
		end++
	}
	if end-from < 4 || end-from > 6 || digits < 2 {
		return 0
	}
	if end-from == 4 {
		if !v.oneOf(end, "学警挂港澳") {
			return 0
		}
		end++
	}
	return end
}

// formosa checks a Taiwanese identity number, a letter and nine digits.
func (v *view) formosa(i int) bool {
	codes := [...]int{10, 11, 12, 13, 14, 15, 16, 17, 34, 18, 19, 20, 21, 22, 35, 23, 24, 25, 26, 27, 28, 29, 32, 30, 31, 33}
	if v.r[i] < 'a' || v.r[i] > 'z' || v.r[i+1] != '1' && v.r[i+1] != '2' && v.r[i+1] != '8' && v.r[i+1] != '9' {
		return false
	}
	code := codes[v.r[i]-'a']
	sum := code/10 + code%10*9
	for n := range 8 {
		sum += int(v.r[i+1+n]-'0') * (8 - n)
	}
	return (sum+int(v.r[i+9]-'0'))%10 == 0
}
