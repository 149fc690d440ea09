package risk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

func TestCSVFindsEncodingAndSeparator(t *testing.T) {
	utf := "年龄;性别;诊断\n34;男;\"高血压;2级\"\n45;女;糖尿病\n"
	gb, err := simplifiedchinese.GB18030.NewEncoder().String(utf)
	require.NoError(t, err)
	wide, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(utf)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"utf-8": utf, "utf-16": wide, "bom": "\xEF\xBB\xBF" + utf, "gb18030": gb, "crlf": strings.ReplaceAll(utf, "\n", "\r\n"),
		"comma": "年龄,性别,诊断\n34,男,\"高血压;2级\"\n45,女,糖尿病\n", "tab": "年龄\t性别\t诊断\n34\t男\t高血压;2级\n45\t女\t糖尿病\n",
		"spaces": " 年龄 , 性别,诊断\n 34 ,男,高血压;2级\n45 ,女, 糖尿病\n",
	} {
		t.Run(name, func(t *testing.T) {
			table := readTable(t, text, Schema{Quasi: []string{"性别", "年龄"}, Sensitive: []string{"诊断"}})
			assert.Equal(t, 2, table.Rows())
			assert.Equal(t, []string{"34", "45"}, table.quasi[1].values)
			assert.Equal(t, []string{"高血压;2级", "糖尿病"}, table.sensitive[0].values)
		})
	}
}

func TestCSVRefuses(t *testing.T) {
	schema := Schema{Quasi: []string{"a"}}
	for name, c := range map[string]struct {
		text   string
		schema Schema
		limits Limits
		want   error
	}{
		"nothing":           {"", schema, Limits{}, ErrEmpty},
		"no such column":    {"b,c\n1,2\n", schema, Limits{}, ErrSchema},
		"column twice":      {"a,a\n1,2\n", schema, Limits{}, ErrSchema},
		"short row":         {"a,b\n1\n", schema, Limits{}, ErrFormat},
		"too many rows":     {"a\n1\n2\n3\n", schema, Limits{Rows: 2}, ErrLimit},
		"too many bytes":    {"a\n" + strings.Repeat("1\n", 5000), schema, Limits{Bytes: 4000}, ErrLimit},
		"a row without end": {"a,b\n\"" + strings.Repeat("x", 200_000), schema, Limits{Record: 1000}, ErrLimit},
		"quasi twice":       {"a\n1\n", Schema{Quasi: []string{"a", "a"}}, Limits{}, ErrSchema},
		"quasi none":        {"a\n1\n", Schema{}, Limits{}, ErrSchema},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadCSV(context.Background(), strings.NewReader(c.text), c.schema, c.limits)
			assert.ErrorIs(t, err, c.want)
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := ReadCSV(ctx, strings.NewReader("a\n1\n"), schema, Limits{})
	assert.ErrorIs(t, err, context.Canceled)
}

func TestRowsInMemory(t *testing.T) {
	header := []string{"id", "age", "sex", "diagnosis"}
	rows := [][]string{{"1", "30", "m", "x"}, {"2", "30", "m", "y"}, {"3", "31", "f", "x"}, {"4", "*", "*", "x"}}
	table, err := FromRows(header, rows, Schema{Quasi: []string{"age", "sex"}, Sensitive: []string{"diagnosis"}, Subject: "id"})
	require.NoError(t, err)
	a, err := Assess(table, Options{})
	require.NoError(t, err)
	assert.Equal(t, 1, a.K)
	assert.Equal(t, 2, a.Classes)
	assert.Equal(t, 1, a.Suppressed)
	assert.Equal(t, []int{2}, table.RowsBelow(2))
	assert.Equal(t, 2.0/3, a.Prosecutor.Average)
	_, err = FromRows(header, [][]string{{"1"}}, table.Schema())
	assert.ErrorIs(t, err, ErrFormat)
	_, err = FromRows(header[:1], nil, table.Schema())
	assert.ErrorIs(t, err, ErrSchema)
	assert.ErrorIs(t, table.Add([]string{"1"}, nil, ""), ErrSchema)
}

func TestTableIsRedacted(t *testing.T) {
	table := readTable(t, "name,age\n王小明,34\n", Schema{Quasi: []string{"name", "age"}})
	assert.NotContains(t, slog.AnyValue(table).Resolve().String(), "王小明")
	text := fmt.Sprint(slog.Any("table", table).Value.Resolve())
	assert.NotContains(t, text, "34")
}

func TestDirectIdentifiersAreSeen(t *testing.T) {
	table := readTable(t, "患者姓名,年龄,contact,note\n王小明,34,13800138000,a\n李四,36,,b\n", Schema{Quasi: []string{"年龄"}})
	a, err := Assess(table, Options{})
	require.NoError(t, err)
	assert.Equal(t, []Direct{{"患者姓名", "name", "name"}, {"contact", "phone", "values"}}, a.Direct)
	assert.Equal(t, 1, a.Grade(Thresholds{}))
	assert.True(t, residentID("11010519491231002X"))
	assert.False(t, residentID("110105194912310021"))
}

func TestAgainstAPopulation(t *testing.T) {
	s := Schema{Quasi: []string{"a"}}
	sample := readTable(t, "a\nx\nx\ny\n", s)
	population := readTable(t, "a\nx\nx\nx\nx\ny\ny\nz\n", s)
	a, err := Assess(sample, Options{Population: population, Threshold: 0.3})
	require.NoError(t, err)
	assert.Equal(t, 1.0, a.Prosecutor.Max)
	assert.Equal(t, 0.5, a.Journalist.Max)
	assert.InDelta(t, (2.0/4+1.0/2)/3, a.Marketer, 1e-12)
	assert.InDelta(t, 1.0/3, a.Journalist.Average, 1e-12, "the greater of 2/6 and the marketer's")
	assert.InDelta(t, 1.0/3, a.Journalist.AtRisk, 1e-12)
	_, err = Assess(sample, Options{Population: readTable(t, "a\nx\n", s)})
	assert.ErrorIs(t, err, ErrSchema)
}

func TestSensitiveFigures(t *testing.T) {
	// One class of 4: a a a b. One of 2: b c. Of the table: 3a 2b 1c.
	table := readTable(t, "q,s\n1,a\n1,a\n1,a\n1,b\n2,b\n2,c\n", Schema{Quasi: []string{"q"}, Sensitive: []string{"s"}})
	a, err := Assess(table, Options{C: 4})
	require.NoError(t, err)
	s := a.Sensitive[0]
	assert.Equal(t, 2, s.Distinct)
	assert.InDelta(t, 1.7547, s.Entropy, 1e-4) // 2^0.8113
	assert.Equal(t, 2, s.Recursive)            // 3 < 4·1
	assert.InDelta(t, 0.5, s.EqualT, 1e-12)
	assert.Nil(t, s.OrderedT)
	assert.Equal(t, 0, s.Homogeneous)
	a, err = Assess(table, Options{C: 3})
	require.NoError(t, err)
	assert.Equal(t, 1, a.Sensitive[0].Recursive, "3 < 3·1 does not hold")
}

// TestDistancesAgainstTheDefinition compares the distances with the sums that define them.
func TestDistancesAgainstTheDefinition(t *testing.T) {
	table := population(t, 500, 9)
	g := table.raw()
	for i := range g.of { // coarser classes, so that they hold several values
		g.of[i] %= 40
	}
	g.size, g.out = make([]int, 40), make([]bool, 40)
	icd, err := Builtin("icd10")
	require.NoError(t, err)
	for column, h := range []Hierarchy{icd, nil} {
		all := table.histogram(column, g)
		d, err := table.distribution(column, all, h)
		require.NoError(t, err)
		perClass(all, func(_ uint32, values []share) {
			q, n := make([]float64, len(d.p)), sum(values)
			for _, s := range values {
				q[s.value] = float64(s.n) / n
			}
			if h != nil {
				assert.InDelta(t, treeDistance(d, q), d.hierarchical(values), 1e-9)
				return
			}
			moved, difference := 0.0, 0.0
			for _, v := range numericOrder(table.sensitive[column].values) {
				difference += q[v] - d.p[v]
				moved += math.Abs(difference)
			}
			assert.InDelta(t, moved/float64(len(q)-1), d.ordered(values), 1e-9)
		})
	}
}

// treeDistance moves the surplus of every node up to the root, node by node.
func treeDistance(d *distribution, q []float64) float64 {
	level, moved, height := make([]float64, len(q)), 0.0, d.hierarchy.height()
	for v := range q {
		level[d.hierarchy.codes[0][v]] += q[v] - d.p[v]
	}
	for h := 1; h <= height; h++ {
		up, width := d.hierarchy.parents(h)
		over, under := make([]float64, width), make([]float64, width)
		for child, x := range level {
			over[up[child]] += max(0, x)
			under[up[child]] += max(0, -x)
		}
		level = make([]float64, width)
		for i := range level {
			moved += float64(h) / float64(height) * min(over[i], under[i])
			level[i] = over[i] - under[i]
		}
	}
	return moved
}

func TestCheckAndGrade(t *testing.T) {
	table := readTable(t, "q,s\n1,a\n1,b\n1,a\n2,b\n2,b\n", Schema{Quasi: []string{"q"}, Sensitive: []string{"s"}})
	a, err := Assess(table, Options{})
	require.NoError(t, err)
	got := texts(a.Check(Thresholds{K: 3, MaxRisk: 0.4, AverageRisk: 0.3, L: 2, EntropyL: 1.5, T: 0.3}))
	assert.Equal(t, []string{"k = 2 is under 3", "max_risk = 0.5 is over 0.4", "average_risk = 0.4 is over 0.3",
		"l (s) = 1 is under 2", "l_entropy (s) = 1 is under 1.5", "t (s) = 0.4 is over 0.3"}, got)
	assert.Equal(t, 2, a.Grade(Thresholds{K: 3}))
	assert.Equal(t, 3, a.Grade(Thresholds{K: 2}))
	for _, model := range Models() {
		th, err := ThresholdsFor(model)
		require.NoError(t, err)
		assert.NotEmpty(t, a.Check(th))
	}
	_, err = ThresholdsFor("open")
	assert.ErrorIs(t, err, ErrSchema)
	assert.ErrorIs(t, Thresholds{MaxRisk: 2}.Check(), ErrSchema)
	_, err = Assess(table, Options{Threshold: -1})
	assert.ErrorIs(t, err, ErrSchema)
}

// FuzzReadCSV: no panic, and what fails fails with one of the package's errors.
func FuzzReadCSV(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "a;b\n\"1;\n", "\xEF\xBB\xBFa\n1", "\xC4\xEA,a\n1,2\n", "a\n\x00\n*\n", "a,a\n1,1\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := ReadCSV(context.Background(), strings.NewReader(string(data)), Schema{Quasi: []string{"a"}},
			Limits{Bytes: 1 << 20, Rows: 1000, Record: 1 << 12})
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrLimit) && !errors.Is(err, ErrSchema) && !errors.Is(err, ErrEmpty) {
				t.Fatalf("untyped: %v", err)
			}
			return
		}
		if a, err := Assess(table, Options{}); err == nil {
			_ = WriteHTML(io.Discard, Report{Assessment: a, Schema: table.Schema()})
		}
	})
}
