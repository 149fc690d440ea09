package config

import (
	"fmt"
	"strings"
	"time"
)

// CDA is the SOAP service of the hospital information platform, where clinical documents
// and patient messages come in. Without Addr it is switched off.
type CDA struct {
	Addr             string       `yaml:"addr"`
	Path             string       `yaml:"path"`
	TLS              TLS          `yaml:"tls"`
	MaxBody          Size         `yaml:"max_body"`
	MaxConcurrent    int          `yaml:"max_concurrent"`
	Timeout          Duration     `yaml:"timeout"`
	ResultElement    string       `yaml:"result_element"`
	Self             string       `yaml:"self"`
	AcceptOthers     []string     `yaml:"accept_others"`
	KeepRegistration bool         `yaml:"keep_registration"`
	Archive          bool         `yaml:"archive"`
	Partners         []CDAPartner `yaml:"partners"`
}

// CDAPartner holds the rules for one sender.
type CDAPartner struct {
	Sender        string           `yaml:"sender"`
	Encoding      string           `yaml:"encoding"`
	ForceEncoding bool             `yaml:"force_encoding"`
	AnyNamespace  bool             `yaml:"any_namespace"`
	Allow         []string         `yaml:"allow"`
	Types         []CDATypeAlias   `yaml:"types"`
	Roots         []CDARootMeaning `yaml:"roots"`
}

// CDATypeAlias says which document a partner's own type code stands for.
type CDATypeAlias struct {
	Code  string `yaml:"code"`
	Means string `yaml:"means"`
}

// CDARootMeaning says what a partner's own OID root stands for.
type CDARootMeaning struct {
	Root      string `yaml:"root"`
	Means     string `yaml:"means"`
	Authority string `yaml:"authority"`
}

func defaultCDA() CDA {
	return CDA{Path: "/hip", MaxBody: 64 << 20, MaxConcurrent: 16, Timeout: Duration(time.Minute), ResultElement: "payload", Archive: true}
}

func (c *CDA) completePaths(absolute func(string) string) {
	for _, p := range []*string{&c.TLS.Cert, &c.TLS.Key, &c.TLS.ClientCA} {
		if *p != "" {
			*p = absolute(*p)
		}
	}
}

func (c CDA) check(k *checker) {
	if c.Addr == "" {
		return
	}
	k.address("cda.addr", c.Addr)
	if !strings.HasPrefix(c.Path, "/") || len(c.Path) < 2 || strings.ContainsAny(c.Path, " ?#{}") {
		k.add("cda.path", "%q is no path; write for example /hip", c.Path)
	}
	if c.TLS.Enabled() {
		k.file("cda.tls.cert", c.TLS.Cert, false)
		k.file("cda.tls.key", c.TLS.Key, true)
		if c.TLS.ClientCA != "" {
			k.file("cda.tls.client_ca", c.TLS.ClientCA, false)
		}
	}
	k.between("cda.max_body", int64(c.MaxBody), 1<<10, 128<<20)
	k.between("cda.max_concurrent", int64(c.MaxConcurrent), 1, 1024)
	k.span("cda.timeout", c.Timeout, time.Second, 10*time.Minute)
	if !xmlName(c.ResultElement) {
		k.add("cda.result_element", "%q is no name of an element", c.ResultElement)
	}
	seen := map[string]bool{}
	for i, p := range c.Partners {
		at := fmt.Sprintf("cda.partners[%d].", i)
		if k.need(at+"sender", p.Sender, "give the sender/device/id of the partner's messages, or * for all") && seen[p.Sender] {
			k.add(at+"sender", "%q is given twice", p.Sender)
		}
		seen[p.Sender] = true
		p.check(k, at)
	}
}

func (p CDAPartner) check(k *checker, at string) {
	if p.Encoding != "" {
		k.oneOf(at+"encoding", p.Encoding, charsets...)
	} else if p.ForceEncoding {
		k.add(at+"encoding", "is missing while force_encoding is set")
	}
	for j, t := range p.Types {
		k.need(fmt.Sprintf("%stypes[%d].code", at, j), t.Code, "give the partner's code")
		k.need(fmt.Sprintf("%stypes[%d].means", at, j), t.Means, "give a document code, C0001 to C0053")
	}
	for j, r := range p.Roots {
		k.need(fmt.Sprintf("%sroots[%d].root", at, j), r.Root, "give the partner's OID")
		if r.Means == "" && r.Authority == "" {
			k.add(fmt.Sprintf("%sroots[%d].means", at, j), "is missing; give the OID it stands for, or an authority")
		}
	}
}

func xmlName(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == "" &&
		(s[0] < '0' || s[0] > '9')
}
