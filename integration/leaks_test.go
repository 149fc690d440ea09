package integration_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

// pattern is a form in which a secret could be seen.
type pattern struct {
	of    string
	bytes []byte
}

// shortest is the length below which random bytes would be taken for a secret.
const shortest = 6

// secret lists the forms of a text: charsets, hexadecimal, base64 at every alignment.
func secret(name, text string) []pattern {
	forms := [][]byte{[]byte(text)}
	if gb, err := simplifiedchinese.GB18030.NewEncoder().String(text); err == nil && gb != text {
		forms = append(forms, []byte(gb))
	}
	if wide, err := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder().String(text); err == nil {
		forms = append(forms, []byte(wide))
	}
	return secretBytes(name, forms...)
}

// secretBytes lists the forms of bytes.
func secretBytes(name string, forms ...[]byte) (out []pattern) {
	for _, b := range forms {
		if len(b) < shortest {
			continue
		}
		out = append(out, pattern{name, b}, pattern{name + ", hexadecimal", []byte(hex.EncodeToString(b))},
			pattern{name + ", hexadecimal", []byte(strings.ToUpper(hex.EncodeToString(b)))})
		for shift := range 3 {
			text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), b...))
			// The first characters depend on what stands before, the last on what follows.
			text = strings.TrimRight(text, "=")
			if text = text[min(len(text), 4):max(4, len(text)-4)]; len(text) >= 8 {
				out = append(out, pattern{name + ", base64", []byte(text)})
			}
		}
	}
	return out
}

// search reads all files below a folder and says which secrets stand where.
func search(t testing.TB, dir string, secrets ...[]pattern) (found []string) {
	t.Helper()
	files, size := 0, 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // files come and go while the process runs
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // the same
		}
		files, size = files+1, size+len(b)
		found = append(found, searchBytes(path, b, secrets...)...)
		return nil
	})
	require.NoError(t, err)
	t.Logf("%d files with %d KiB searched below %s", files, size>>10, dir)
	require.NotZero(t, size)
	return found
}

func searchBytes(where string, b []byte, secrets ...[]pattern) (found []string) {
	for _, list := range secrets {
		for _, p := range list {
			if bytes.Contains(b, p.bytes) {
				found = append(found, where+": "+p.of)
			}
		}
	}
	return found
}

// TestSearchFinds: a search that finds nothing must not be one that cannot find.
func TestSearchFinds(t *testing.T) {
	const name = "欧阳测试娜"
	gb, err := simplifiedchinese.GB18030.NewEncoder().String(name)
	require.NoError(t, err)
	for form, text := range map[string]string{
		"UTF-8": name, "GB 18030": gb, "hexadecimal": hex.EncodeToString([]byte(name)),
		"base64": base64.StdEncoding.EncodeToString([]byte("{\"family\":\"" + name + "\"}")), "base64 of GB 18030": base64.StdEncoding.EncodeToString([]byte("ab" + gb + "c")),
	} {
		t.Run(form, func(t *testing.T) {
			require.NotEmpty(t, searchBytes("here", []byte("before "+text+" after"), secret("name", name)))
		})
	}
}
