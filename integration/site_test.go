package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/devnet"
	"github.com/emrbridge/emrbridge/internal/devsite"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/record"
)

// patience is how long a test waits for what must come in the end. It is long because
// the machine may be busy; nobody waits it out when all is well.
const patience = 60 * time.Second

// site is a hospital's installation, which outlives the tests, and what its senders know.
type site struct {
	*devsite.Process
	hospital devnet.Hospital
	base     []byte // configuration that each test begins with
	running  bool

	mu    sync.Mutex
	tried map[record.ID]bool // sent at least once
	acked map[record.ID]bool // acknowledged at least once
}

// up returns the running installation of a hospital, configured as change says for this
// test only. The first call installs and registers it.
func (w *world) up(t *testing.T, number int, change func(*config.Config)) *site {
	t.Helper()
	s := w.sites[number]
	if s == nil {
		s = w.install(t, number, nil)
		w.sites[number] = s
	}
	t.Cleanup(func() { s.afterTest(t) })
	if s.running && change == nil {
		require.NoError(t, s.WaitReady(t.Context()))
		return s
	}
	s.stop(t)
	s.configure(t, change)
	s.start(t)
	if change != nil {
		t.Cleanup(func() {
			s.stop(t)
			s.configure(t, nil)
		})
	}
	return s
}

// install makes a hospital's installation, configured as change says for good, and registers it.
func (w *world) install(t *testing.T, number int, change func(*config.Config)) *site {
	t.Helper()
	h := w.net.Hospitals()[number-1]
	path, err := devsite.Write(t.Context(), w.net, h, devsite.Options{Dir: filepath.Join(w.dir, fmt.Sprintf("h%d", number)), Change: change})
	require.NoError(t, err)
	base, err := os.ReadFile(path)
	require.NoError(t, err)
	p, err := devsite.Open(w.program("emrbridge"), path)
	require.NoError(t, err)
	s := &site{Process: p, hospital: h, base: base, tried: map[record.ID]bool{}, acked: map[record.ID]bool{}}
	s.must(t, "member", "register")
	return s
}

// configure writes the base configuration as changed.
func (s *site) configure(t *testing.T, change func(*config.Config)) {
	t.Helper()
	c, err := config.Parse(s.base, s.Dir())
	require.NoError(t, err)
	if change != nil {
		change(c)
	}
	text, err := yaml.Marshal(c)
	require.NoError(t, err)
	require.NoError(t, fsatomic.WriteFile(s.Path, text, 0o600))
	p, err := devsite.Open(s.Self, s.Path)
	require.NoError(t, err)
	s.Process = p
}

// start starts the process and waits until it is ready.
func (s *site) start(t *testing.T) {
	t.Helper()
	s.running = true
	require.NoError(t, s.Start(context.Background()), "%s", s.logTail())
}

// stop ends the process in order.
func (s *site) stop(t *testing.T) {
	t.Helper()
	if !s.running {
		return
	}
	s.running = false
	assert.NoError(t, s.Stop(), "%s", s.logTail())
}

// kill ends the process as kill -9 does.
func (s *site) kill() {
	s.running = false
	s.Kill()
}

func (s *site) halt() {
	if s.running {
		s.kill()
	}
}

// afterTest shows the log of a failed test.
func (s *site) afterTest(t *testing.T) {
	if t.Failed() {
		t.Logf("log of %s:\n%s", s.hospital.MSPID, s.logTail())
	}
}

func (s *site) logTail() []byte {
	b, _ := os.ReadFile(s.LogFile())
	lines := bytes.Split(b, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-40):], []byte("\n"))
}

// must runs a command that has to succeed, and returns what it printed.
func (s *site) must(t *testing.T, args ...string) []byte {
	t.Helper()
	out, code, err := s.Run(t.Context(), args...)
	require.NoError(t, err, "emrbridge %v", args)
	require.Zero(t, code, "emrbridge %v: %s", args, out)
	return out
}

// answer runs a command, expects an exit code, and decodes the JSON that it printed.
func (s *site) answer(t *testing.T, code int, v any, args ...string) {
	t.Helper()
	out, got, err := s.Run(t.Context(), append(args, "--json")...)
	require.NoError(t, err, "emrbridge %v", args)
	require.Equal(t, code, got, "emrbridge %v: %s", args, out)
	require.NoError(t, json.Unmarshal(out, v), "%s", out)
}

// mllp is where the hospital's senders connect.
func (s *site) mllp() string { return s.Config.HL7.Listeners[0].Addr }

// id derives the record id of a message from its bytes alone, as anybody could.
func (s *site) id(t testing.TB, raw []byte) record.ID {
	charset, _ := hl7.CharsetByName(s.Config.HL7.Listeners[0].Charset)
	mapper := mapping.NewMapper(nil, mapping.Options{Charset: hl7.CharsetPolicy{Default: charset}})
	r, err := mapper.Map(mapping.Source{Raw: raw, HospitalNumber: uint16(s.hospital.Number), HospitalMSP: s.hospital.MSPID, ReceivedAt: time.Now()})
	require.NoError(t, err)
	return r.ID
}

// eventually polls until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if cond() {
			return
		}
	}
	require.Fail(t, "it never came to this: "+what)
}
