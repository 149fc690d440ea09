// Package table writes tables to a terminal. Columns line up for Chinese text too, which
// takes two cells a character.
package table

import (
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

// Write writes rows under a header. Cells are formatted with fmt.Sprint; numbers are put
// to the right.
func Write(w io.Writer, header []string, rows [][]any) error {
	text := make([][]string, 0, len(rows)+1)
	text = append(text, header)
	right := make([]bool, len(header))
	for i := range right {
		right[i] = len(rows) > 0
	}
	for _, row := range rows {
		line := make([]string, len(header))
		for i := range line {
			if i >= len(row) {
				continue
			}
			line[i] = fmt.Sprint(row[i])
			right[i] = right[i] && numeric(row[i])
		}
		text = append(text, line)
	}
	width := make([]int, len(header))
	for _, line := range text {
		for i, cell := range line {
			width[i] = max(width[i], runewidth.StringWidth(cell))
		}
	}
	var out strings.Builder
	for n, line := range text {
		writeLine(&out, line, width, right)
		if n == 0 {
			for i, wd := range width {
				line[i] = strings.Repeat("─", wd)
			}
			writeLine(&out, line, width, right)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func writeLine(out *strings.Builder, line []string, width []int, right []bool) {
	var s strings.Builder
	for i, cell := range line {
		pad := strings.Repeat(" ", width[i]-runewidth.StringWidth(cell))
		if right[i] {
			s.WriteString(pad + cell)
		} else {
			s.WriteString(cell + pad)
		}
		s.WriteString("  ")
	}
	out.WriteString("  " + strings.TrimRight(s.String(), " ") + "\n")
}

func numeric(v any) bool {
	switch v.(type) {
	case int, int32, int64, uint, uint16, uint32, uint64, float32, float64:
		return true
	}
	return false
}
