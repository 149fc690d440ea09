package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/deidtest"
	"github.com/emrbridge/emrbridge/desensitize/engine"
	"github.com/emrbridge/emrbridge/desensitize/leak"
	"github.com/emrbridge/emrbridge/desensitize/text"
	"github.com/emrbridge/emrbridge/internal/table"
)

// deidBenchFlags are the flags of `deid bench`.
type deidBenchFlags struct {
	policy    string
	notes     string
	languages []string
	count     int
	seed      uint64
	span      time.Duration
	json      bool
}

func (f deidBenchFlags) set() deidtest.Set { return deidSets[f.notes] }

var deidSets = map[string]deidtest.Set{"open": deidtest.Open, "held": deidtest.Held, "fresh": deidtest.Fresh}

func newDeidBenchCommand() *cobra.Command {
	var f deidBenchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure accuracy and speed on synthetic notes · 在合成病历上测准确率与速度",
		Long: `Makes synthetic notes with known identifiers, and measures how many of them are removed, what is removed
besides, how fast each format goes through the whole engine with its leak gate on one core, and how many
records the gate stops. Synthetic accuracy: other notes will give other figures.

在合成病历上测量各类身份信息的召回率与精确率、各格式的处理速度（含泄露检查）。`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return deidBench(cmd, f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.policy, "policy", "gbt39725-agreement", "policy · 策略")
	fl.StringSliceVar(&f.languages, "language", deidtest.Languages, "languages of the notes · 语言")
	fl.StringVar(&f.notes, "set", "held", "notes: open (recognisers were made with them), held or fresh (other kinds and wording) · 病历集")
	fl.IntVar(&f.count, "count", 500, "notes of each language · 每种语言的病历数")
	fl.Uint64Var(&f.seed, "seed", 1, "seed of the notes · 随机种子")
	fl.DurationVar(&f.span, "span", time.Second, "how long each speed is measured · 每项时长")
	jsonFlag(cmd, &f.json)
	return cmd
}

// deidSpeed is how a format goes through the engine.
type deidSpeed struct {
	Language string             `json:"language"`
	Format   desensitize.Format `json:"format"`
	MBps     float64            `json:"mb_per_s"`      // engine and gate, one core
	GateMBps float64            `json:"gate_mb_per_s"` // the gate alone, on the result
	Records  int                `json:"records"`
	Refused  int                `json:"refused"` // by the gate
}

// deidFigures is what `deid bench --json` prints.
type deidFigures struct {
	Accuracy map[string]*deidtest.Score `json:"accuracy"`
	Speed    []deidSpeed                `json:"speed"`
}

func deidBench(cmd *cobra.Command, f deidBenchFlags) error {
	for _, l := range f.languages {
		if !slices.Contains(deidtest.Languages, l) {
			return fmt.Errorf("--language %q: it must be one of %v", l, deidtest.Languages)
		}
	}
	if f.set() == "" {
		return fmt.Errorf("--set %q: it must be open, held or fresh", f.notes)
	}
	policy, err := deidPolicy(f.policy)
	if err != nil {
		return err
	}
	key := bytes.Repeat([]byte{1}, desensitize.KeySize) // of synthetic data alone
	project, err := desensitize.NewProject(desensitize.ProjectConfig{ID: "bench", Key: key})
	if err != nil {
		return err
	}
	cipher, err := newDeidCipher("bench", key)
	if err != nil {
		return err
	}
	e, err := engine.New(engine.Config{Policy: policy, Project: project, Cipher: cipher, AsOf: time.Now()})
	if err != nil {
		return err
	}
	figures := deidFigures{Accuracy: map[string]*deidtest.Score{}}
	find := deidtest.Text(text.New(text.Options{}))
	for _, l := range f.languages {
		figures.Accuracy[l], _ = deidtest.Measure(f.set(), l, f.seed, f.count, find)
		for _, format := range e.Formats() {
			speed, err := deidMeasure(cmd.Context(), e, l, format, f)
			if err != nil {
				return err
			}
			figures.Speed = append(figures.Speed, speed)
		}
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), figures)
	}
	return figures.print(cmd, f.languages)
}

// deidMeasure runs records of a format through the engine until the span is over.
func deidMeasure(ctx context.Context, e *engine.Engine, language string, format desensitize.Format, f deidBenchFlags) (deidSpeed, error) {
	s := deidSpeed{Language: language, Format: format}
	var records, results [][]byte
	var inputs []engine.Input
	for n := range deidtest.NotesFrom(f.set(), language, f.seed, min(f.count, 200)) {
		in, record := engine.Input{}, []byte(n.Text)
		if format != desensitize.FreeText {
			record = n.Record(string(format))
		} else if n.Header {
			in.Known = benchKnown(n.Known)
		}
		records, inputs = append(records, record), append(inputs, in)
	}
	start, size := time.Now(), 0
	for round := 0; round == 0 || time.Since(start) < f.span; round++ {
		for i, r := range records {
			out, _, err := e.Record(ctx, format, r, inputs[i])
			if ctxErr := ctx.Err(); ctxErr != nil {
				return s, ctxErr
			}
			size += len(r)
			if round > 0 {
				continue
			}
			s.Records++
			if err != nil {
				s.Refused++
			} else {
				results = append(results, out)
			}
		}
	}
	s.MBps = float64(size) / 1e6 / time.Since(start).Seconds()
	var err error
	s.GateMBps, err = gateSpeed(ctx, format, results, f.span)
	return s, err
}

// gateSpeed is how fast the gate alone goes over results.
func gateSpeed(ctx context.Context, format desensitize.Format, results [][]byte, span time.Duration) (float64, error) {
	gate, size, start := leak.New(leak.Config{Allow: engine.Allowed}), 0, time.Now()
	for round := 0; round == 0 || time.Since(start) < span; round++ {
		for _, r := range results {
			if _, err := gate.Check(ctx, leak.Format(format), r, nil); err != nil {
				return 0, err
			}
			size += len(r)
		}
	}
	return float64(size) / 1e6 / time.Since(start).Seconds(), nil
}

func benchKnown(k deidtest.Known) *desensitize.Known {
	return &desensitize.Known{Names: k.Names, Relatives: k.Relatives, Staff: k.Staff, IDNumbers: k.IDNumbers, Phones: k.Phones,
		Addresses: k.Addresses, Hospitals: k.Hospitals, Employers: k.Employers, RecordNumbers: k.RecordNumbers, Dates: k.Dates}
}

func (d deidFigures) print(cmd *cobra.Command, languages []string) error {
	out := cmd.OutOrStdout()
	for _, l := range languages {
		fmt.Fprintf(out, "synthetic accuracy, %s · 合成数据准确率\n", l)
		if err := d.Accuracy[l].WriteTable(out); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	rows := make([][]any, 0, len(d.Speed))
	for _, s := range d.Speed {
		rows = append(rows, []any{s.Language, s.Format, fmt.Sprintf("%.1f", s.MBps), fmt.Sprintf("%.1f", s.GateMBps), s.Records, s.Refused})
	}
	return table.Write(out, []string{"language", "format", "MB/s", "gate alone, MB/s", "records", "refused"}, rows)
}
