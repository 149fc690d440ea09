package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/engine"
	"github.com/emrbridge/emrbridge/desensitize/leak"
)

// deidScanFlags are the flags of `deid scan`.
type deidScanFlags struct {
	format, context  string
	originals        string
	ignore           []string
	dates            bool
	images, genomic  bool
	reportOnly, json bool
}

func newDeidScanCommand() *cobra.Command {
	var f deidScanFlags
	cmd := &cobra.Command{
		Use:   "scan IN…",
		Short: "Look for identifiers that are still there · 检查是否仍有身份信息",
		Long: `The leak gate alone: reads each input as a stranger would, takes off escapes, markup, base64 and other
layers, and lists what looks like an identifier by type and position, never by value. With --context or
--originals it also searches the identifiers that are known, in all ways of writing them.

Exit status: 0 nothing found, 1 something found (0 with --report-only), 2 the command could not run.

仅做泄露检查：逐层解码后列出疑似身份信息的类型与位置（不显示原值）；发现时退出码为 1。`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return deidScan(cmd, f, args) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.format, "format", "", "hl7v2, fhir, cda or text; without it each input tells · 格式")
	fl.StringVar(&f.context, "context", "", "JSON lines with what is known of each text, as for deid run · 已知信息")
	fl.StringVar(&f.originals, "originals", "", "folder with the originals, under the same names: their identifiers are searched · 原始文件目录")
	fl.StringSliceVar(&f.ignore, "ignore", nil, "types that are no findings, such as hospital,date · 忽略的类型")
	fl.BoolVar(&f.dates, "dates", false, "every date with a day is a finding · 将具体日期视为身份信息")
	fl.BoolVar(&f.images, "allow-images", false, "pictures are no findings · 允许图像")
	fl.BoolVar(&f.genomic, "allow-genomic", false, "genomic data are no findings · 允许基因数据")
	fl.BoolVar(&f.reportOnly, "report-only", false, "exit status 0 in any case · 仅报告")
	jsonFlag(cmd, &f.json)
	return cmd
}

// deidScanDetail is what `deid scan --json` says of one input.
type deidScanDetail struct {
	Format   desensitize.Format `json:"format"`
	Findings []leak.Finding     `json:"findings"`
	Types    map[leak.Type]int  `json:"types"`
}

func deidScan(cmd *cobra.Command, f deidScanFlags, args []string) error {
	format, err := deidFormat(f.format)
	if err != nil {
		return err
	}
	contexts, err := readContexts(f.context)
	if err != nil {
		return err
	}
	inputs := make([]deidInput, 0, len(args))
	if !slices.Equal(args, []string{"-"}) {
		if inputs, err = deidInputs(args); err != nil {
			return err
		}
	} else {
		inputs = append(inputs, deidInput{path: "-", out: "stdin"})
	}
	c := leak.Config{Dates: f.dates, Images: f.images, Genomic: f.genomic, Allow: engine.Allowed}
	for _, t := range f.ignore {
		c.Ignore = append(c.Ignore, leak.Type(t))
	}
	s := &scanner{gate: leak.New(c), format: format, contexts: contexts, flags: f, inputs: map[string]deidInput{}}
	var files []string
	for _, in := range inputs {
		s.inputs[in.path] = in
		files = append(files, in.path)
	}
	err = inspect(cmd, files, f.json, s.look)
	if f.reportOnly && cmd.Context().Err() == nil {
		return nil
	}
	return err
}

// scanner looks at files with one gate.
type scanner struct {
	gate     *leak.Gate
	format   desensitize.Format
	contexts deidContexts
	flags    deidScanFlags
	inputs   map[string]deidInput
}

func (s *scanner) look(ctx context.Context, file string, data []byte, emit func(verdict, string)) {
	in := s.inputs[file]
	format := sniffFormat(s.format, data[:min(len(data), 1024)])
	known := leak.Known{}
	if k := s.contexts.of(in).known(); k != nil {
		known = engine.GateKnown(k)
	}
	if s.flags.originals != "" {
		original, err := os.ReadFile(filepath.Join(s.flags.originals, in.out))
		if err != nil {
			emit(verdict{Error: err.Error()}, "")
			return
		}
		known.Add(leak.Harvest(leak.Format(sniffFormat(s.format, original[:min(len(original), 1024)])), original))
	}
	findings, err := s.gate.Check(ctx, leak.Format(format), bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), leak.Compile(known))
	if err != nil {
		emit(verdict{Error: err.Error()}, "")
		return
	}
	v := verdict{OK: len(findings) == 0, Detail: deidScanDetail{format, findings, leak.Count(findings)}}
	var note strings.Builder
	if !v.OK {
		v.Error = (&leak.Found{Findings: findings}).Error()
		for i, x := range findings {
			if i == maxShown {
				fmt.Fprintf(&note, "      … %d more\n", len(findings)-i)
				break
			}
			fmt.Fprintf(&note, "      %-12s %s, %d bytes from %d\n", x.Type, x.Path, x.Length, x.Offset)
		}
	}
	emit(v, strings.TrimSuffix(note.String(), "\n"))
}

// maxShown is how many findings of one input are printed for people.
const maxShown = 100
