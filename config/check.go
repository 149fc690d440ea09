package config

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// check returns all faults of a completed configuration.
func (c *Config) check() Faults {
	k := &checker{}
	c.Hospital.check(k)
	k.oneOf("crypto.provider", c.Crypto.Provider, "gmsm", "tjfoc")
	c.Keystore.check(k)
	c.Bus.check(k)
	c.Redis.check(k)
	c.Intake.check(k)
	c.HL7.check(k)
	c.CDA.check(k)
	c.FHIR.check(k)
	c.Chain.check(k)
	c.Gateway.check(k)
	c.Research.check(k)
	c.Ferry.check(k)
	k.address("observe.addr", c.Observe.Addr)
	k.oneOf("observe.log_level", c.Observe.LogLevel, "debug", "info", "warn", "error")
	k.oneOf("observe.log_format", c.Observe.LogFormat, "text", "json")
	return k.faults
}

// checker gathers faults.
type checker struct{ faults Faults }

func (k *checker) add(key, format string, args ...any) {
	k.faults = append(k.faults, Fault{Key: key, Problem: fmt.Sprintf(format, args...)})
}

func (k *checker) need(key, value, hint string) bool {
	if value == "" {
		k.add(key, "is missing; %s", hint)
	}
	return value != ""
}

func (k *checker) oneOf(key, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	k.add(key, "%q is not one of %s", value, strings.Join(allowed, ", "))
}

func (k *checker) between(key string, v, low, high int64) {
	if v < low || v > high {
		k.add(key, "%d is out of range; allowed are %d to %d", v, low, high)
	}
}

func (k *checker) span(key string, d Duration, low, high time.Duration) {
	if d.D() < low || d.D() > high {
		k.add(key, "%s is out of range; allowed are %s to %s", d.D(), low, high)
	}
}

func (k *checker) address(key, value string) {
	if !k.need(key, value, "give HOST:PORT") {
		return
	}
	if _, _, err := net.SplitHostPort(value); err != nil {
		k.add(key, "%q is not HOST:PORT", value)
	}
}

func (k *checker) file(key, path string, private bool) {
	if !k.need(key, path, "name a file") {
		return
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		k.add(key, "cannot be read: %v", err)
	case info.IsDir():
		k.add(key, "%s is a folder, a file is wanted", path)
	case private && info.Mode().Perm()&0o077 != 0:
		k.add(key, "%s can be read by others; run: chmod 600 %s", path, path)
	}
}

func (h Hospital) check(k *checker) {
	if h.Number == 0 {
		k.add("hospital.number", "is missing; the consortium assigns it, 1 to 65535")
	}
	k.need("hospital.msp", h.MSP, "the Fabric membership service id, for example H1MSP")
	k.need("hospital.name", h.Name, "the name as it is to stand on the ledger")
	if _, err := time.LoadLocation(h.Zone); err != nil {
		k.add("hospital.zone", "%q is no time zone; write for example Asia/Shanghai", h.Zone)
	}
}

func (s Keystore) check(k *checker) {
	switch {
	case s.PassphraseFile != "":
		k.file("keystore.passphrase_file", s.PassphraseFile, true)
	case s.PassphraseEnv == "":
		k.add("keystore.passphrase_env", "is missing; name a variable, or give keystore.passphrase_file")
	}
}

func (b Bus) check(k *checker) {
	for i, u := range b.URLs {
		parsed, err := url.Parse(u)
		if err != nil || (parsed.Scheme != "nats" && parsed.Scheme != "tls") || parsed.Host == "" {
			k.add(fmt.Sprintf("bus.urls[%d]", i), "%q is no nats:// or tls:// address", u)
		}
	}
	if b.Creds != "" {
		k.file("bus.credentials_file", b.Creds, true)
	}
	if b.CAFile != "" {
		k.file("bus.ca_file", b.CAFile, false)
	}
	k.between("bus.max_bytes", int64(b.MaxBytes), 64<<20, 1<<44)
	k.between("bus.replicas", int64(b.Replicas), 1, 5)
	if len(b.URLs) == 0 && b.Replicas != 1 {
		k.add("bus.replicas", "the embedded bus keeps one copy; give bus.urls for a cluster")
	}
}

func (r Redis) check(k *checker) {
	if r.Addr == "" {
		if r.Username != "" || r.PasswordFile != "" || r.TLS || r.CAFile != "" {
			k.add("redis.addr", "is missing while other redis keys are set; give HOST:PORT, or remove them")
		}
		return
	}
	k.address("redis.addr", r.Addr)
	k.between("redis.db", int64(r.DB), 0, 15)
	if r.PasswordFile != "" {
		k.file("redis.password_file", r.PasswordFile, true)
	}
	if r.CAFile != "" {
		k.file("redis.ca_file", r.CAFile, false)
	}
}

// charsets are the names by which an endpoint's default may be given.
var charsets = []string{"UTF-8", "GB18030", "GBK", "GB2312", "ISO-8859-1", "Big5", "ASCII"}

func (h HL7) check(k *checker) {
	checkFolders(k, h.Folders)
	h.checkMappings(k)
	seen := map[string]bool{}
	for i, l := range h.Listeners {
		at := fmt.Sprintf("hl7.listeners[%d].", i)
		if k.need(at+"name", l.Name, "a short name for logs and metrics") && seen[l.Name] {
			k.add(at+"name", "%q is used twice", l.Name)
		}
		seen[l.Name] = true
		k.address(at+"addr", l.Addr)
		k.oneOf(at+"charset", l.Charset, charsets...)
		l.checkAcks(k, at)
		k.between(at+"max_frame", int64(l.MaxFrame), 1<<10, largestClaim)
		k.between(at+"max_connections", int64(l.MaxConnections), 1, 10_000)
		k.span(at+"idle_timeout", l.IdleTimeout, time.Second, 24*time.Hour)
		k.span(at+"frame_timeout", l.FrameTimeout, 100*time.Millisecond, time.Hour)
		k.span(at+"write_timeout", l.WriteTimeout, 100*time.Millisecond, time.Hour)
		if l.TLS.Enabled() {
			k.file(at+"tls.cert", l.TLS.Cert, false)
			k.file(at+"tls.key", l.TLS.Key, true)
			if l.TLS.ClientCA != "" {
				k.file(at+"tls.client_ca", l.TLS.ClientCA, false)
			}
		}
	}
}

func (c Chain) check(k *checker) {
	k.need("chain.channel", c.Channel, "name the Fabric channel")
	k.need("chain.contract", c.Contract, "name the contract")
	k.file("chain.cert", c.Cert, false)
	k.file("chain.key", c.Key, true)
	k.file("chain.authority", c.Authority, false)
	if len(c.Peers) == 0 {
		k.add("chain.peers", "is empty; give at least the hospital's own peer")
	}
	for i, p := range c.Peers {
		at := fmt.Sprintf("chain.peers[%d].", i)
		k.address(at+"addr", p.Addr)
		k.file(at+"tls_ca", p.TLSCA, false)
		k.need(at+"msp", p.MSP, "the member that runs the peer")
	}
	if len(c.Endorsers) > 0 {
		k.between("chain.endorsers_needed", int64(c.EndorsersNeeded), 1, int64(len(c.Endorsers)))
	} else if c.EndorsersNeeded > 1 {
		k.add("chain.endorsers", "is empty while %d endorsers are needed; list the MSP ids of the members", c.EndorsersNeeded)
	}
	k.between("chain.batch.max_entries", int64(c.Batch.MaxEntries), 1, 5000)
	k.span("chain.batch.max_wait", c.Batch.MaxWait, time.Millisecond, time.Minute)
	k.between("chain.batch.in_flight", int64(c.Batch.InFlight), 1, 64)
}

func (g Gateway) check(k *checker) {
	if g.Addr == "" {
		return // this installation does not serve other hospitals
	}
	k.address("gateway.addr", g.Addr)
	if u, err := url.Parse(g.Endpoint); err != nil || u.Scheme != "https" || u.Host == "" {
		k.add("gateway.endpoint", "%q is no https:// address; other hospitals must reach this one by it", g.Endpoint)
	}
	k.file("gateway.cert", g.Cert, false)
	k.file("gateway.key", g.Key, true)
	k.file("gateway.ca", g.CA, false)
	k.between("gateway.rate_limit", int64(g.RateLimit), 1, 100_000)
	k.span("gateway.grant_time", g.GrantTime, time.Minute, 24*time.Hour)
}
