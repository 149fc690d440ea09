package deidtest

// rng is SplitMix64: small, and the same on every machine and with every version of Go.
type rng struct{ state uint64 }

func (r *rng) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// intn is a number from 0 to n-1; 0 for n < 2. The bias of the remainder is far below what a
// test could see.
func (r *rng) intn(n int) int {
	if n < 2 {
		return 0
	}
	return int(r.next() >> 1 % uint64(n))
}

// between is a number from least to most.
func (r *rng) between(least, most int) int { return least + r.intn(most-least+1) }

// percent is true in p of 100 cases.
func (r *rng) percent(p int) bool { return r.intn(100) < p }

// digits is a string of n digits.
func (r *rng) digits(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + r.intn(10))
	}
	return string(b)
}

func pick[T any](r *rng, from []T) T { return from[r.intn(len(from))] }
