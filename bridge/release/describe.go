package release

import (
	"bytes"
	"path"
	"strings"
)

// description tells of a file of the package by its name: media type, what it is, and the
// column names of a table.
func description(name string) (media, about string, head []byte) {
	base := strings.TrimSuffix(path.Base(name), path.Ext(name))
	if strings.HasSuffix(name, ".ndjson") {
		return "application/fhir+ndjson", "FHIR R4 " + base, nil
	}
	about, columns := described(base)
	return "text/csv; charset=utf-8", about, heads(columns)
}

// described finds a table by name.
func described(name string) (about string, columns []column) {
	if name == "subjects" {
		return "subjects · 研究对象", subjectColumns
	}
	for _, t := range tables {
		if t.name == name {
			return t.about, append([]column{subjectColumn}, t.columns...)
		}
	}
	return "", nil
}

// dictionary is the data dictionary of all tables that a package may hold, as CSV.
func dictionary() []byte {
	var b bytes.Buffer
	line := func(cells ...string) {
		b.Write(csvLine(cells...))
		b.WriteByte('\n')
	}
	line("table", "column", "meaning", "含义")
	names := []string{"subjects"}
	for _, t := range tables {
		names = append(names, t.name)
	}
	for _, n := range names {
		_, columns := described(n)
		for _, c := range columns {
			line(n, c.name, c.english, c.chinese)
		}
	}
	return b.Bytes()
}
