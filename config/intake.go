package config

// Intake bounds messages and documents that are too long for the bus. Their bytes wait in
// encrypted files until the record store has them.
type Intake struct {
	ClaimsFrom     Size `yaml:"claims_from"`
	ClaimsMaxBytes Size `yaml:"claims_max_bytes"`
}

// largestClaim is the longest message or document, in bytes: the payload of one record.
const largestClaim = 64 << 20

func defaultIntake() Intake { return Intake{ClaimsFrom: 1 << 20, ClaimsMaxBytes: 1 << 30} }

func (i Intake) check(k *checker) {
	k.between("intake.claims_from", int64(i.ClaimsFrom), 64<<10, 7<<20)
	k.between("intake.claims_max_bytes", int64(i.ClaimsMaxBytes), 2*largestClaim, 1<<44)
}
