package dropfolder

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A journal of any contents is either of this file, up to a whole line, or begun anew.
func FuzzJournal(f *testing.F) {
	f.Add([]byte("digest\n{\"item\":1,\"ok\":true}\n{\"item\":2}\n"))
	f.Add([]byte("digest\n{\"item\":2}\n"))
	f.Add([]byte("digest\n{\"item\":1}"))
	f.Add([]byte("other\n{\"item\":1}\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		j := &journal{done: map[int]ItemResult{}}
		good := j.load(text, "digest")
		if good > len(text) || good > 0 && text[good-1] != '\n' {
			t.Fatalf("%d of %d bytes are taken for good", good, len(text))
		}
		if good == 0 && len(j.done) > 0 {
			t.Fatal("outcomes of another file")
		}
		for i := range len(j.done) {
			if _, ok := j.known(i + 1); !ok {
				t.Fatal("outcomes with a gap")
			}
		}
	})
}

// A journal that a crash cut off goes on behind its last whole line.
func TestJournalGoesOnBehindACut(t *testing.T) {
	dir := t.TempDir()
	j, err := openJournal(dir, "x", "digest")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := j.add(ItemResult{Item: i + 1, OK: true}); err != nil {
			t.Fatal(err)
		}
	}
	j.close()
	text, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(j.path, text[:len(text)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	j, err = openJournal(dir, "x", "digest")
	if err != nil {
		t.Fatal(err)
	}
	if len(j.done) != 2 {
		t.Fatalf("%d outcomes", len(j.done))
	}
	if err := j.add(ItemResult{Item: 3, OK: true}); err != nil {
		t.Fatal(err)
	}
	j.close()
	again, err := os.ReadFile(filepath.Clean(j.path))
	if err != nil || !bytes.Equal(again, text) {
		t.Fatalf("%q, %v", again, err)
	}
}
