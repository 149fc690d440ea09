package forward_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/emrbridge/emrbridge/adapters/hl7/forward"
)

// Whatever stands in the list of what was sent, a queue opens, and what it does not know
// can be put.
func FuzzSentList(f *testing.F) {
	f.Add([]byte("1772323200000 AA r-1\n"))
	f.Add([]byte("1772323200000 AA r-1"))
	f.Add([]byte("x y z\n\n9 - ../../etc\n"))
	f.Fuzz(func(t *testing.T, list []byte) {
		dir := filepath.Join(t.TempDir(), "q")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "sent"), list, 0o600); err != nil {
			t.Fatal(err)
		}
		q, err := forward.OpenDir(forward.DirConfig{Dir: dir, Cipher: mask{}})
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		if !q.Sent("fresh") {
			if err := q.Put(t.Context(), forward.Message{ID: "fresh", Raw: []byte("x")}, false); err != nil {
				t.Fatal(err)
			}
		}
	})
}
