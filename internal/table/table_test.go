package table_test

import (
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/internal/table"
)

func TestColumnsLineUpForChineseText(t *testing.T) {
	var out strings.Builder
	require.NoError(t, table.Write(&out, []string{"医院", "records", "state"}, [][]any{
		{"第一人民医院", 12, "ok"}, {"H2", 3456, "第二"}, {"short"},
	}))
	assert.Equal(t, ""+
		"  医院          records  state\n"+
		"  ────────────  ───────  ─────\n"+
		"  第一人民医院       12  ok\n"+
		"  H2               3456  第二\n"+
		"  short\n", out.String())
	lines := strings.Split(out.String(), "\n")
	before := func(line, cell string) int {
		at := strings.Index(line, cell)
		require.GreaterOrEqual(t, at, 0)
		return runewidth.StringWidth(line[:at])
	}
	assert.Equal(t, before(lines[2], "ok"), before(lines[3], "第二"))
}

func TestAHeaderAlone(t *testing.T) {
	var out strings.Builder
	require.NoError(t, table.Write(&out, []string{"a", "b"}, nil))
	assert.Equal(t, "  a  b\n  ─  ─\n", out.String())
}
