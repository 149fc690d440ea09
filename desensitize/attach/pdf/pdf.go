package pdf

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Why a document is refused. Errors of Text wrap one of these.
var (
	// ErrSyntax: the bytes are not a PDF document, or it is damaged.
	ErrSyntax = errors.New("not a readable PDF document")
	// ErrTooLarge: a limit was reached.
	ErrTooLarge = errors.New("the PDF document exceeds a limit")
	// ErrEncrypted: the document is encrypted.
	ErrEncrypted = errors.New("the PDF document is encrypted: store it without a password")
	// ErrUnsupported: a part needs a filter that this reader does not have.
	ErrUnsupported = errors.New("the PDF document uses a filter that is not supported")
	// ErrUnmapped: glyphs stand for characters that the document does not name.
	ErrUnmapped = errors.New("the PDF document does not say which characters its glyphs are")
	// ErrNoText: the pages show no text; they are pictures, such as a scan.
	ErrNoText = errors.New("the PDF document holds no text, only pictures")
)

// Limits bound the work for one document. Zero fields take the value named.
type Limits struct {
	MaxBytes    int // size of the file; 64 MiB
	MaxInflated int // sum of all decoded streams; 256 MiB
	MaxObjects  int // indirect objects; 500,000
	MaxPages    int // pages; 20,000
	MaxText     int // bytes of text that come out; 32 MiB
	MaxOps      int // operators in all content streams; 20,000,000
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&l.MaxBytes, 64 << 20}, {&l.MaxInflated, 256 << 20}, {&l.MaxObjects, 500_000},
		{&l.MaxPages, 20_000}, {&l.MaxText, 32 << 20}, {&l.MaxOps, 20_000_000},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return l
}

// Is reports that data looks like a PDF document: the mark stands within the first 1024
// bytes (ISO 32000-1, annex H.3.4.1).
func Is(data []byte) bool {
	return bytes.Contains(data[:min(len(data), 1024)], []byte("%PDF-"))
}

// Text returns the text of all pages in their order, pages separated by a form feed, lines
// by a line feed, then form fields and annotations. It is safe for concurrent use.
func Text(data []byte, l Limits) (string, error) {
	l = l.withDefaults()
	switch {
	case len(data) > l.MaxBytes:
		return "", ErrTooLarge
	case !Is(data):
		return "", ErrSyntax
	}
	f := &file{data: data, limits: l, objects: map[int]any{}, fonts: map[int]*font{}}
	if err := f.load(); err != nil {
		return "", err
	}
	pages, err := f.pages()
	if err != nil {
		return "", err
	}
	w := &page{file: f}
	for i, p := range pages {
		if i > 0 {
			w.out = append(w.out, '\f', '\n')
		}
		if err := w.show(p); err != nil {
			return "", fmt.Errorf("page %d: %w", i+1, err)
		}
	}
	w.fields()
	return w.result()
}

// result refuses text of which a noticeable part could not be read.
func (w *page) result() (string, error) {
	shown := len(bytes.TrimSpace(w.out))
	switch {
	case w.unmapped > 0:
		return "", fmt.Errorf("%d glyphs: %w", w.unmapped, ErrUnmapped)
	case shown == 0:
		return "", ErrNoText
	}
	return string(w.out), nil
}

// pages returns the page dictionaries in the order of the page tree; where the tree is
// broken, all dictionaries that say they are pages, in the order of their numbers.
func (f *file) pages() ([]dict, error) {
	var out []dict
	seen := map[int]bool{}
	if root, ok := f.resolve(f.trailer["Root"]).(dict); ok {
		if err := f.walkPages(root["Pages"], nil, seen, 0, &out); err != nil {
			return nil, err
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	numbers := make([]int, 0, len(f.objects))
	for n := range f.objects {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		if d, ok := f.objects[n].(dict); ok && d["Type"] == name("Page") {
			out = append(out, d)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no pages: %w", ErrSyntax)
	}
	if len(out) > f.limits.MaxPages {
		return nil, ErrTooLarge
	}
	return out, nil
}

// walkPages descends the page tree and hands resources down (§7.7.3.4).
func (f *file) walkPages(node any, resources any, seen map[int]bool, depth int, out *[]dict) error {
	if r, ok := node.(ref); ok {
		if seen[int(r)] {
			return nil
		}
		seen[int(r)] = true
	}
	d, ok := f.resolve(node).(dict)
	if !ok {
		return nil
	}
	if depth > maxDepth || len(*out) >= f.limits.MaxPages {
		return ErrTooLarge
	}
	if own, ok := d["Resources"]; ok {
		resources = own
	}
	kids, ok := f.resolve(d["Kids"]).(array)
	if !ok {
		leaf := dict{}
		for k, v := range d {
			leaf[k] = v
		}
		leaf["Resources"] = resources
		*out = append(*out, leaf)
		return nil
	}
	for _, kid := range kids {
		if err := f.walkPages(kid, resources, seen, depth+1, out); err != nil {
			return err
		}
	}
	return nil
}
