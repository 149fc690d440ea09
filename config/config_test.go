package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/emrbridge/emrbridge/config"
)

// site writes the files that the example names, and the example itself.
func site(t *testing.T, change func(string) string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"fabric/client.crt", "fabric/client.key", "fabric/tls-ca.crt", "consortium/authority.crt", "gateway/tls.crt", "gateway/tls.key", "gateway/ca.crt"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	}
	text := string(config.Example())
	if change != nil {
		text = change(text)
	}
	path := filepath.Join(dir, "emrbridge.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestExampleIsValidAndCompletesItself(t *testing.T) {
	path := site(t, nil)
	c, err := config.Load(path)
	require.NoError(t, err)
	dir := filepath.Dir(path)
	assert.Equal(t, filepath.Join(dir, "data", "keys"), c.Keystore.Dir)
	assert.Equal(t, filepath.Join(dir, "data", "store"), c.Store.Dir)
	assert.Equal(t, filepath.Join(dir, "fabric", "client.crt"), c.Chain.Cert)
	assert.Equal(t, 30*time.Second, c.HL7.Listeners[0].FrameTimeout.D())
	assert.Equal(t, config.Size(64<<20), c.HL7.Listeners[0].MaxFrame)
	assert.Equal(t, "Asia/Shanghai", c.Location().String())
}

// Every field of the type stands in the example, under its path, with a comment of its own.
func TestExampleDocumentsEveryKey(t *testing.T) {
	var root yaml.Node
	require.NoError(t, yaml.Unmarshal(config.Example(), &root))
	documented := map[string]bool{}
	walkNode(root.Content[0], "", documented)
	for _, path := range fields(reflect.TypeFor[config.Config](), "") {
		has, there := documented[path]
		assert.True(t, there, "%s is not in example.yaml", path)
		if path != "hl7.listeners" {
			assert.True(t, has, "%s has no comment in example.yaml", path)
		}
	}
}

func walkNode(n *yaml.Node, prefix string, out map[string]bool) {
	if n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			if item.Kind == yaml.MappingNode && item.HeadComment != "" && len(item.Content) > 0 {
				item.Content[0].HeadComment = item.HeadComment
			}
			walkNode(item, prefix, out)
		}
		return
	}
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		path := prefix + n.Content[i].Value
		out[path] = n.Content[i].HeadComment != ""
		walkNode(n.Content[i+1], path+".", out)
	}
}

func fields(t reflect.Type, prefix string) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		path := prefix + f.Tag.Get("yaml")
		out = append(out, path)
		inner := f.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			out = append(out, fields(inner, path+".")...)
		}
	}
	return out
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	path := site(t, func(s string) string {
		for _, r := range [][2]string{
			{"number: 1", "number: 0"}, {"provider: gmsm", "provider: openssl"}, {"addr: 127.0.0.1:2575", "addr: nowhere"},
			{"max_wait: 200ms", "max_wait: soon"}, {"log_level: info", "log_level: loud"}, {"endorsers_needed: 3", "endorsers_needed: 9"},
			{"data_dir: data", "data_dir: data\nunheard: of"}, {"zone: Asia/Shanghai", "zone: Mars/Olympus"}, {"gateway/ca.crt", "gateway/none.crt"},
		} {
			require.Contains(t, s, r[0])
			s = strings.Replace(s, r[0], r[1], 1)
		}
		return s
	})
	_, err := config.Load(path)
	var faults config.Faults
	require.ErrorAs(t, err, &faults)
	text := faults.Error()
	for _, want := range []string{
		"hospital.number", "crypto.provider", "hl7.listeners[0].addr", "soon", "observe.log_level", "chain.endorsers_needed",
		"unheard", "hospital.zone", "gateway.ca",
	} {
		assert.Contains(t, text, want)
	}
	assert.GreaterOrEqual(t, len(faults), 9)
}

func TestSecretsThatOthersCanReadAreAFault(t *testing.T) {
	path := site(t, nil)
	require.NoError(t, os.Chmod(filepath.Join(filepath.Dir(path), "fabric", "client.key"), 0o644))
	_, err := config.Load(path)
	require.ErrorContains(t, err, "chmod 600")
}

func TestAMissingFileNamesTheCure(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorContains(t, err, "emrbridge config example")
	var faults config.Faults
	require.False(t, errors.As(err, &faults))
}

func TestSizesAndSpans(t *testing.T) {
	for in, want := range map[string]config.Size{"7": 7, "4KiB": 4096, "1 MiB": 1 << 20, "2GiB": 2 << 30} {
		var s config.Size
		require.NoError(t, s.UnmarshalText([]byte(in)))
		assert.Equal(t, want, s)
		b, err := s.MarshalText()
		require.NoError(t, err)
		assert.Equal(t, strings.ReplaceAll(in, " ", ""), string(b))
	}
	for _, in := range []string{"", "-1", "4MB", "99999999999GiB"} {
		var s config.Size
		assert.Error(t, s.UnmarshalText([]byte(in)), in)
	}
	var d config.Duration
	assert.Error(t, d.UnmarshalText([]byte("5")))
}

func FuzzParse(f *testing.F) {
	f.Add(config.Example())
	f.Add([]byte("hospital: 3"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = config.Parse(b, "/nonexistent")
	})
}
