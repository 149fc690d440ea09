package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// recordSize is the size of a record in the published scheme's test: 32 KB.
const recordSize = 32 << 10

// perOp times fn for about the span given and returns seconds for each call.
func perOp(span time.Duration, fn func() error) (float64, error) {
	if err := fn(); err != nil {
		return 0, err
	}
	n, start := 0, time.Now()
	for time.Since(start) < span {
		if err := fn(); err != nil {
			return 0, err
		}
		n++
	}
	return time.Since(start).Seconds() / float64(n), nil
}

// Crypto measures sealing a record of 32 KB with both providers beside the primitives
// that it is made of, and OpenSSL's figures for the same primitives.
func Crypto(ctx context.Context, r *Results, o Options) error {
	span := o.Span / 5
	fmt.Fprintln(o.Progress, "sealing with both providers and OpenSSL")
	for _, p := range smcrypto.Providers() {
		if err := sealing(r, p, span); err != nil {
			return fmt.Errorf("bench: %s: %w", p.Name(), err)
		}
	}
	return openSSL(ctx, r)
}

func sealing(r *Results, p smcrypto.Provider, span time.Duration) error {
	key, err := p.GenerateKey()
	if err != nil {
		return err
	}
	emr := make([]byte, recordSize)
	if _, err := rand.Read(emr); err != nil {
		return err
	}
	h := smcrypto.Header{HospitalNumber: 1, MSPID: "H1MSP", Epoch: 1, SealedAt: time.UnixMilli(1772323200000)}
	h.RecordID[1] = 1
	k := smcrypto.Key{1}
	sign := func(digest [32]byte) ([]byte, error) { return p.Sign(key, digest[:]) }
	aead, err := p.NewGCM(k)
	if err != nil {
		return err
	}
	nonce, out := make([]byte, aead.NonceSize()), make([]byte, 0, recordSize+64)
	steps := []struct {
		name string
		fn   func() error
	}{
		{"seal", func() error { _, err := smcrypto.Seal(p, k, h, emr, sign); return err }},
		{"SM3 of 32 KB", func() error { p.SM3(emr); return nil }},
		{"SM4-GCM of 32 KB", func() error { out = aead.Seal(out[:0], nonce, emr, nil); return nil }},
		{"SM2 sign", func() error { _, err := p.Sign(key, emr[:100]); return err }},
	}
	// In turn, in short rounds, so that a busy machine slows all of them alike.
	const rounds = 15
	all := make([][]float64, len(steps))
	for range rounds {
		for i, s := range steps {
			t, err := perOp(span/rounds, s.fn)
			if err != nil {
				return err
			}
			all[i] = append(all[i], t)
		}
	}
	took := make([]float64, len(steps))
	for i := range took {
		took[i] = median(all[i])
	}
	primitives := 2*took[1] + took[2] + took[3]
	group := "seal 32 KB, " + p.Name()
	r.add(group, p.Name()+" sealed", 1/took[0], "records/s/core", targetOf(p, "target 1,500"))
	r.add(group, p.Name()+" over its primitives", took[0]/primitives, "ratio", targetOf(p, "target at most 1.3; ")+"2×SM3 + SM4-GCM + SM2 sign")
	r.add(group, p.Name()+" SM3", recordSize/took[1]/1e6, "MB/s", "")
	r.add(group, p.Name()+" SM4-GCM", recordSize/took[2]/1e6, "MB/s", "")
	r.add(group, p.Name()+" SM2 sign", 1000*took[3], "ms", "")
	return asymmetric(r, p, key, span)
}

// targetOf is text for the default provider, which alone has targets.
func targetOf(p smcrypto.Provider, text string) string {
	if p.Name() != smcrypto.Default().Name() {
		return ""
	}
	return text
}

func asymmetric(r *Results, p smcrypto.Provider, key *smcrypto.PrivateKey, span time.Duration) error {
	pub, msg := key.Public(), make([]byte, 100)
	sig, err := p.Sign(key, msg)
	if err != nil {
		return err
	}
	ct, err := p.Encrypt(pub, msg[:16])
	if err != nil {
		return err
	}
	for _, s := range []struct {
		name, anchor string
		fn           func() error
	}{
		{"SM2 verify", "", func() error { return p.Verify(pub, msg, sig) }},
		{"SM2 encrypt a key", "", func() error { _, err := p.Encrypt(pub, msg[:16]); return err }},
		{"SM2 decrypt a key", "published scheme: 46.7 ms", func() error { _, err := p.Decrypt(key, ct); return err }},
	} {
		took, err := perOp(span/2, s.fn)
		if err != nil {
			return err
		}
		r.add("seal 32 KB, "+p.Name(), p.Name()+" "+s.name, 1000*took, "ms", s.anchor)
	}
	return nil
}

// openSSL adds the figures of the machine's OpenSSL, as its own speed command gives them.
// OpenSSL 3.0 has no SM4-GCM; CTR is its nearest mode, without the authentication.
func openSSL(ctx context.Context, r *Results) error {
	if _, err := exec.LookPath("openssl"); err != nil {
		return fmt.Errorf("bench: openssl is missing; install it with: apt-get install openssl")
	}
	for _, alg := range []struct{ arg, name string }{{"sm3", "SM3"}, {"sm4-ctr", "SM4-CTR"}} {
		out, err := exec.CommandContext(ctx, "openssl", "speed", "-mr", "-seconds", "1", "-bytes", strconv.Itoa(recordSize), "-evp", alg.arg).CombinedOutput()
		if err != nil {
			return fmt.Errorf("bench: openssl speed %s: %w", alg.arg, err)
		}
		if v, ok := lastField(out, "+F:", 3); ok {
			r.add("seal 32 KB, OpenSSL", "OpenSSL "+alg.name, v/1e6, "MB/s", "")
		}
	}
	out, err := exec.CommandContext(ctx, "openssl", "speed", "-mr", "-seconds", "1", "sm2").CombinedOutput()
	if err != nil {
		return fmt.Errorf("bench: openssl speed sm2: %w", err)
	}
	for i, name := range []string{"SM2 sign", "SM2 verify"} { // operations per second
		if v, ok := lastField(out, "+F7:", 4+i); ok && v > 0 {
			r.add("seal 32 KB, OpenSSL", "OpenSSL "+name, 1000/v, "ms", "")
		}
	}
	return nil
}

// lastField reads a field of the last machine-readable line with a prefix.
func lastField(out []byte, prefix string, field int) (float64, bool) {
	var found float64
	ok := false
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		parts := strings.Split(s.Text(), ":")
		if !strings.HasPrefix(s.Text(), prefix) || len(parts) <= field {
			continue
		}
		if v, err := strconv.ParseFloat(parts[field], 64); err == nil {
			found, ok = v, true
		}
	}
	return found, ok
}
