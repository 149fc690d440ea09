package guard_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/guard"
)

// Whoever reads Redis learns no sender, control id, nonce or caller.
func TestRedisSeesNoPlaintext(t *testing.T) {
	s := startRedis(t)
	g := open(t, s.config())
	remember(t, g, guard.New, message("PLAINTEXT-SENDER", "PLAINTEXT-CONTROL", "PLAINTEXT-CONTENT"))
	require.True(t, use(t, g, "PLAINTEXT-SCOPE", "PLAINTEXT-NONCE"))
	_, _, err := g.Allow(t.Context(), "PLAINTEXT-CALLER", guard.Limit{Events: 1, Per: time.Minute, Burst: 3})
	require.NoError(t, err)
	all := contents(t, s.client())
	assert.Equal(t, 4, strings.Count(all, "emr:"), all)
	assert.NotContains(t, all, "PLAINTEXT")

	again := s.config()
	again.Key = append([]byte{1}, testKey[1:]...)
	stranger := open(t, again)
	got, err := stranger.Control(t.Context(), message("PLAINTEXT-SENDER", "PLAINTEXT-CONTROL", "PLAINTEXT-CONTENT"))
	require.NoError(t, err)
	assert.Equal(t, guard.New, got, "another key, other names")
}

func TestEntriesExpire(t *testing.T) {
	s := startRedis(t)
	a, b := open(t, s.config()), open(t, s.config())
	fresh, err := a.UseNonce(t.Context(), "s", []byte("short-lived"), 300*time.Millisecond)
	require.NoError(t, err)
	require.True(t, fresh)
	time.Sleep(400 * time.Millisecond)
	assert.True(t, use(t, b, "s", "short-lived"))
	assert.False(t, use(t, a, "s", "short-lived"))
	remember(t, a, guard.New, message("S", "1", "x"))
	c := s.client()
	names, err := c.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	for _, n := range names {
		ttl, err := c.PTTL(t.Context(), n).Result()
		require.NoError(t, err)
		assert.Positive(t, ttl, "%s never expires", n)
		assert.LessOrEqual(t, ttl, 7*24*time.Hour)
	}
}

// Whoever writes to Redis cannot make a message pass for a duplicate or a conflict.
func TestForgedLedgerValues(t *testing.T) {
	s := startRedis(t)
	g := open(t, s.config())
	remember(t, g, guard.New, message("S", "genuine", "x"))
	c := s.client()
	names, err := c.Keys(t.Context(), "emr:c:*").Result()
	require.NoError(t, err)
	genuine, err := c.Get(t.Context(), names[0]).Result()
	require.NoError(t, err)

	remember(t, g, guard.New, message("S", "target", "x"))
	after, err := c.Keys(t.Context(), "emr:c:*").Result()
	require.NoError(t, err)
	target := after[0]
	if target == names[0] {
		target = after[1]
	}
	for i, forged := range []string{"", "1", strings.Repeat("\x00", 32), genuine, genuine + "x"} {
		require.NoError(t, c.Set(t.Context(), target, forged, 0).Err())
		victim := open(t, s.config())
		for _, content := range []string{"x", "y"} {
			got, err := victim.Control(t.Context(), message("S", "target", content))
			require.NoError(t, err)
			assert.Equal(t, guard.New, got, "forgery %d", i)
		}
		remember(t, victim, guard.New, message("S", "target", "x"))
		assert.EqualValues(t, 3, victim.Stats().Forged)
		third := open(t, s.config())
		got, err := third.Control(t.Context(), message("S", "target", "x"))
		require.NoError(t, err)
		assert.Equal(t, guard.Duplicate, got, "the forgery was replaced")
	}
	require.NoError(t, c.Del(t.Context(), target).Err())
	require.NoError(t, c.LPush(t.Context(), target, "not a string").Err())
	got, err := open(t, s.config()).Control(t.Context(), message("S", "target", "x"))
	require.NoError(t, err)
	assert.Equal(t, guard.New, got)
}

// A value far in the future must not lock a caller out for longer than its budget.
func TestForgedRateValues(t *testing.T) {
	s := startRedis(t)
	limit := guard.Limit{Events: 10, Per: time.Second, Burst: 2}
	_, _, err := open(t, s.config()).Allow(t.Context(), "k", limit)
	require.NoError(t, err)
	c := s.client()
	names, err := c.Keys(t.Context(), "emr:r:*").Result()
	require.NoError(t, err)
	for _, forged := range []string{"999999999999999999999", "-1", "nan", "inf", "", "text", "0x7fffffffffffffff"} {
		require.NoError(t, c.Set(t.Context(), names[0], forged, 0).Err())
		g := open(t, s.config())
		deadline := time.Now().Add(time.Second)
		for ok := false; !ok; {
			require.True(t, time.Now().Before(deadline), "locked out by %q", forged)
			var retry time.Duration
			ok, retry, err = g.Allow(t.Context(), "k", limit)
			require.NoError(t, err)
			assert.LessOrEqual(t, retry, 200*time.Millisecond)
			time.Sleep(retry)
		}
	}
}

func TestLedgerInRedisIsBounded(t *testing.T) {
	s := startRedis(t)
	cfg := s.config()
	cfg.MaxLedger = 100
	g := open(t, cfg)
	for i := range 30 {
		var batch []guard.Control
		for k := range 10 {
			batch = append(batch, message("S", fmt.Sprint(i*10+k), "x"))
		}
		_, err := g.Remember(t.Context(), batch...)
		require.NoError(t, err)
	}
	names, err := s.client().Keys(t.Context(), "emr:c:*").Result()
	require.NoError(t, err)
	assert.Len(t, names, 100)
	got, err := open(t, s.config()).ControlAll(t.Context(), []guard.Control{message("S", "299", "x"), message("S", "0", "x")})
	require.NoError(t, err)
	assert.Equal(t, []guard.Outcome{guard.Duplicate, guard.New}, got)
}

// TLS with a checked certificate, an ACL user with no more than the guard needs.
func TestTLSAndACL(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	_, port, _ := net.SplitHostPort(addr)
	acl := filepath.Join(dir, "users.acl")
	require.NoError(t, os.WriteFile(acl, []byte("user default off\n"+
		"user front on >secret resetchannels ~emr:* -@all +hello +auth +ping +select +client|setname +exists +get +set +del +eval +evalsha +time\n"), 0o600))
	startRedis(t, "--tls-port", port, "--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"),
		"--tls-ca-cert-file", filepath.Join(dir, "cert.pem"), "--tls-auth-clients", "no", "--aclfile", acl)

	cfg := guard.Config{Addrs: []string{addr}, Username: "front", Password: "secret", Key: testKey,
		TLS: &tls.Config{RootCAs: pool, ServerName: "redis.test"}}
	g := open(t, cfg)
	healthy(t, g)
	nonces(t, g, g)
	remember(t, g, guard.New, message("S", "1", "x"))
	_, _, err = g.Allow(t.Context(), "k", guard.Limit{Events: 1, Per: time.Second, Burst: 1})
	require.NoError(t, err)
	require.NoError(t, g.Healthy())
	assert.Zero(t, g.Stats().Failures)

	for name, change := range map[string]func(*guard.Config){
		"other name":     func(c *guard.Config) { c.TLS = &tls.Config{RootCAs: pool, ServerName: "other.test"} },
		"unknown issuer": func(c *guard.Config) { c.TLS = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "redis.test"} },
		"password":       func(c *guard.Config) { c.Password = "wrong-secret" },
	} {
		bad := cfg
		change(&bad)
		g := open(t, bad)
		err := g.Healthy()
		require.ErrorIs(t, err, guard.ErrDegraded, name)
		assert.NotContains(t, err.Error(), "secret", name)
		assert.True(t, use(t, g, "degraded", "nonce-"+name), name)
	}
}

// certificate writes a self-signed certificate for redis.test.
func certificate(t *testing.T, dir string) *x509.CertPool {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis.test"}, DNSNames: []string{"redis.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cert.pem"), certPEM, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pem"),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600))
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(certPEM))
	return pool
}
