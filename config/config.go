// Package config is the one typed configuration of emrbridge. It is read once, from one
// YAML file, checked as a whole, and handed down as values: nothing below the composition
// root reads files, flags or the environment for settings.
//
// Every key is documented in example.yaml, which a test holds against this type.
package config

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed example.yaml
var example []byte

// Example returns the documented example configuration. It is valid as it stands.
func Example() []byte { return bytes.Clone(example) }

// Config is the whole configuration. Relative paths count from the folder of the file.
type Config struct {
	Hospital Hospital `yaml:"hospital"`
	DataDir  string   `yaml:"data_dir"`
	Crypto   Crypto   `yaml:"crypto"`
	Keystore Keystore `yaml:"keystore"`
	Bus      Bus      `yaml:"bus"`
	Store    Store    `yaml:"store"`
	Redis    Redis    `yaml:"redis"`
	Intake   Intake   `yaml:"intake"`
	HL7      HL7      `yaml:"hl7"`
	CDA      CDA      `yaml:"cda"`
	FHIR     FHIR     `yaml:"fhir"`
	Chain    Chain    `yaml:"chain"`
	Gateway  Gateway  `yaml:"gateway"`
	Research Research `yaml:"research"`
	Ferry    Ferry    `yaml:"ferry"`
	Observe  Observe  `yaml:"observe"`
}

// Hospital says who this installation speaks for.
type Hospital struct {
	Number uint16 `yaml:"number"`
	MSP    string `yaml:"msp"`
	Name   string `yaml:"name"`
	Zone   string `yaml:"zone"`
}

// Crypto chooses the implementation of SM2, SM3 and SM4.
type Crypto struct {
	Provider string `yaml:"provider"`
}

// Keystore says where the keys are and what opens them.
type Keystore struct {
	Dir            string `yaml:"dir"`
	PassphraseFile string `yaml:"passphrase_file"`
	PassphraseEnv  string `yaml:"passphrase_env"`
}

// Bus is the JetStream bus: embedded, or a cluster named by URLs.
type Bus struct {
	URLs     []string `yaml:"urls"`
	Creds    string   `yaml:"credentials_file"`
	CAFile   string   `yaml:"ca_file"`
	MaxBytes Size     `yaml:"max_bytes"`
	Replicas int      `yaml:"replicas"`
}

// Store is the store of sealed records.
type Store struct {
	Dir string `yaml:"dir"`
}

// Redis is the shared short-lived state; without an address it is kept in the process.
type Redis struct {
	Addr         string `yaml:"addr"`
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"password_file"`
	DB           int    `yaml:"db"`
	TLS          bool   `yaml:"tls"`
	CAFile       string `yaml:"ca_file"`
}

// HL7 holds the endpoints for HL7 v2 over MLLP.
type HL7 struct {
	Listeners     []Listener `yaml:"listeners"`
	Folders       []Folder   `yaml:"folders"`
	AcceptUnknown bool       `yaml:"accept_unknown"`
	// Mapping is the file of rules from message to record; empty for those that are built in.
	Mapping  string          `yaml:"mapping"`
	Mappings []SenderMapping `yaml:"mappings"`
}

// Listener is one MLLP endpoint.
type Listener struct {
	Name           string   `yaml:"name"`
	Addr           string   `yaml:"addr"`
	Charset        string   `yaml:"charset"`
	ForceCharset   bool     `yaml:"force_charset"`
	TLS            TLS      `yaml:"tls"`
	MaxFrame       Size     `yaml:"max_frame"`
	MaxConnections int      `yaml:"max_connections"`
	IdleTimeout    Duration `yaml:"idle_timeout"`
	FrameTimeout   Duration `yaml:"frame_timeout"`
	WriteTimeout   Duration `yaml:"write_timeout"`
	ApplicationAck string   `yaml:"application_ack"`
	ReturnAddress  string   `yaml:"return_address"`
	ReturnCA       string   `yaml:"return_ca"`
}

// TLS names the files of a TLS endpoint; all empty means plain TCP.
type TLS struct {
	Cert     string `yaml:"cert"`
	Key      string `yaml:"key"`
	ClientCA string `yaml:"client_ca"`
}

// Enabled reports whether the endpoint speaks TLS.
func (t TLS) Enabled() bool { return t.Cert != "" || t.Key != "" || t.ClientCA != "" }

// Chain is the way to the consortium's ledger.
type Chain struct {
	Channel         string      `yaml:"channel"`
	Contract        string      `yaml:"contract"`
	Cert            string      `yaml:"cert"`
	Key             string      `yaml:"key"`
	Peers           []ChainPeer `yaml:"peers"`
	Endorsers       []string    `yaml:"endorsers"`
	EndorsersNeeded int         `yaml:"endorsers_needed"`
	Authority       string      `yaml:"authority"`
	Batch           Batch       `yaml:"batch"`
}

// ChainPeer is a Fabric peer with the gateway service.
type ChainPeer struct {
	Addr       string `yaml:"addr"`
	TLSCA      string `yaml:"tls_ca"`
	ServerName string `yaml:"server_name"`
	MSP        string `yaml:"msp"`
}

// Batch bounds how records are gathered before they are anchored.
type Batch struct {
	MaxEntries int      `yaml:"max_entries"`
	MaxWait    Duration `yaml:"max_wait"`
	InFlight   int      `yaml:"in_flight"`
}

// Gateway is the institution-to-institution HTTPS service and its local side.
type Gateway struct {
	Addr      string   `yaml:"addr"`
	Endpoint  string   `yaml:"endpoint"`
	Cert      string   `yaml:"cert"`
	Key       string   `yaml:"key"`
	CA        string   `yaml:"ca"`
	Socket    string   `yaml:"socket"`
	RateLimit int      `yaml:"rate_limit"`
	GrantTime Duration `yaml:"grant_time"`
}

// Observe says where the installation can be watched.
type Observe struct {
	Addr      string `yaml:"addr"`
	LogLevel  string `yaml:"log_level"`
	LogFormat string `yaml:"log_format"`
}

// Default returns the configuration before any file: every optional key has its default.
func Default() Config {
	return Config{
		Hospital: Hospital{Zone: "Asia/Shanghai"},
		DataDir:  "data",
		Crypto:   Crypto{Provider: "gmsm"},
		Keystore: Keystore{PassphraseEnv: "EMRBRIDGE_PASSPHRASE"}, //nolint:gosec // the name of a variable
		Bus:      Bus{MaxBytes: 8 << 30, Replicas: 1},
		Intake:   defaultIntake(),
		Research: defaultResearch(),
		CDA:      defaultCDA(),
		FHIR:     defaultFHIR(),
		HL7:      HL7{AcceptUnknown: true},
		Chain: Chain{
			Channel: "emr", Contract: "emrbridge",
			Batch: Batch{MaxEntries: 500, MaxWait: Duration(200 * time.Millisecond), InFlight: 4},
		},
		Gateway: Gateway{RateLimit: 50, GrantTime: Duration(15 * time.Minute)},
		Observe: Observe{Addr: "127.0.0.1:9464", LogLevel: "info", LogFormat: "text"},
	}
}

// defaultListener fills what a listener leaves out.
func (l *Listener) defaults() {
	set := func(d *Duration, v time.Duration) {
		if *d == 0 {
			*d = Duration(v)
		}
	}
	if l.Charset == "" {
		l.Charset = "UTF-8"
	}
	if l.MaxFrame == 0 {
		l.MaxFrame = largestClaim
	}
	if l.MaxConnections == 0 {
		l.MaxConnections = 256
	}
	if l.ApplicationAck == "" {
		l.ApplicationAck = AckReceived
	}
	set(&l.IdleTimeout, 10*time.Minute)
	set(&l.FrameTimeout, 30*time.Second)
	set(&l.WriteTimeout, 10*time.Second)
}

// Faults are all that is wrong with a configuration. Each names the key, the cause and
// the cure.
type Faults []Fault

// Fault is one thing wrong with a configuration.
type Fault struct {
	Key     string `json:"key"`
	Problem string `json:"problem"`
}

// Error implements error with one fault a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Key + ": " + fault.Problem
	}
	return strings.Join(lines, "\n")
}

// Load reads, completes and checks a configuration file. The error is Faults where the
// file could be read, so that all of them can be shown at once.
func Load(path string) (*Config, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("config: %w (make one with: emrbridge config example > %s)", err, path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return Parse(b, filepath.Dir(abs))
}

// Parse reads a configuration whose relative paths count from dir.
func Parse(b []byte, dir string) (*Config, error) {
	c := Default()
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	var faults Faults
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		faults = append(faults, yamlFaults(err)...)
	}
	c.complete(dir)
	faults = append(faults, c.check()...)
	if len(faults) > 0 {
		return &c, faults
	}
	return &c, nil
}

// yamlFaults turns what the YAML reader says into faults.
func yamlFaults(err error) Faults {
	var typed *yaml.TypeError
	if !errors.As(err, &typed) {
		return Faults{{Key: "file", Problem: strings.TrimPrefix(err.Error(), "yaml: ")}}
	}
	var faults Faults
	for _, line := range typed.Errors {
		where, what, ok := strings.Cut(line, ": ")
		if !ok {
			where, what = "file", line
		}
		faults = append(faults, Fault{Key: where, Problem: what})
	}
	return faults
}

// complete derives what was left out and makes paths absolute.
func (c *Config) complete(dir string) {
	for i := range c.HL7.Listeners {
		c.HL7.Listeners[i].defaults()
	}
	for i := range c.HL7.Folders {
		c.HL7.Folders[i].defaults()
	}
	c.HL7.completeMappings(dir)
	c.CDA.completePaths(func(p string) string { return within(dir, p) })
	c.FHIR.completePaths(func(p string) string { return within(dir, p) })
	c.DataDir = within(dir, c.DataDir)
	derive := func(p *string, name string) {
		if *p == "" {
			*p = filepath.Join(c.DataDir, name)
		} else {
			*p = within(dir, *p)
		}
	}
	for i := range c.Ferry.Channels {
		c.Ferry.Channels[i].complete(func(p string) string { return within(dir, p) }, c.DataDir)
	}
	derive(&c.Keystore.Dir, "keys")
	derive(&c.Store.Dir, "store")
	derive(&c.Gateway.Socket, "emrbridge.sock")
	paths := []*string{
		&c.Keystore.PassphraseFile, &c.Bus.Creds, &c.Bus.CAFile, &c.Redis.PasswordFile, &c.Redis.CAFile,
		&c.Chain.Cert, &c.Chain.Key, &c.Chain.Authority, &c.Gateway.Cert, &c.Gateway.Key, &c.Gateway.CA, &c.Research.Policies,
	}
	for i := range c.HL7.Listeners {
		t := &c.HL7.Listeners[i].TLS
		paths = append(paths, &t.Cert, &t.Key, &t.ClientCA, &c.HL7.Listeners[i].ReturnCA)
	}
	for i := range c.HL7.Folders {
		paths = append(paths, &c.HL7.Folders[i].Dir)
	}
	for i := range c.Chain.Peers {
		paths = append(paths, &c.Chain.Peers[i].TLSCA)
	}
	for _, p := range paths {
		if *p != "" {
			*p = within(dir, *p)
		}
	}
}

func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// Dir returns a folder below the data folder.
func (c *Config) Dir(name string) string { return filepath.Join(c.DataDir, name) }

// Location returns the hospital's time zone, which check has proved to exist.
func (c *Config) Location() *time.Location {
	loc, err := time.LoadLocation(c.Hospital.Zone)
	if err != nil {
		return time.UTC
	}
	return loc
}
