package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/engine"
	"github.com/emrbridge/emrbridge/desensitize/leak"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// deidRunFlags are the flags of `deid run`.
type deidRunFlags struct {
	policy, format, project, context, out, keyFile, asOf string
	images, genomic, json                                bool
	jobs                                                 int
}

func newDeidRunCommand() *cobra.Command {
	var f deidRunFlags
	cmd := &cobra.Command{
		Use:   "run --policy NAME|FILE -o DIR IN…",
		Short: "De-identify records and texts, through the leak gate · 去标识化，经泄露检查后输出",
		Long: `Writes a de-identified copy of each input into DIR, under the same file name, and DIR/report.json with
what was done (counts by element, never a value). A file appears in DIR only if all of its records
passed the leak gate; it is written as a whole or not at all. A folder as input is taken with all in it.

--context gives for plain texts what a structured header would say, one JSON object per line:
  {"file": "note1.txt", "patient_name": "…", "id_number": "…", "birth_date": "…", "phone": "…", "address": "…",
   "admission_no": "…", "outpatient_no": "…", "relatives": [{"name": "…", "relation": "…", "phone": "…"}],
   "doctors": ["…"], "hospital": "…"}

Pseudonyms and date shifts are made with the key in --key-file (64 hexadecimal digits); without one, with a
key of this installation, made on first use. The same key and project give the same result.

将输入去标识化后写入 DIR（文件名不变），并生成 report.json（仅含计数，不含任何原值）。
只有全部记录通过泄露检查的文件才会输出。--context 提供纯文本对应的结构化信息（每行一个 JSON）。`,
		Example: `  emrbridge deid run --policy gbt39725-agreement --format text --context notes.jsonl -o out notes/*.txt
  emrbridge deid run --policy safe-harbor --format fhir --project trial-7 -o out patients.ndjson`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return deidRun(cmd, f, args) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.policy, "policy", "", "policy: "+strings.Join(desensitize.Shipped(), ", ")+", or a file · 策略")
	fl.StringVar(&f.format, "format", "", "hl7v2, fhir, cda or text; without it each input tells · 格式")
	fl.StringVar(&f.project, "project", localProject, "project: pseudonyms are the same within one, unlinkable between two · 项目")
	fl.StringVar(&f.context, "context", "", "JSON lines with what is known of each text · 文本对应的已知信息")
	fl.StringVarP(&f.out, "output", "o", "", "output folder · 输出目录")
	fl.StringVar(&f.keyFile, "key-file", "", "private file with the project's key · 项目密钥文件")
	fl.StringVar(&f.asOf, "as-of", "", "day at which ages are counted, YYYY-MM-DD; default today · 年龄计算日")
	fl.BoolVar(&f.images, "allow-images", false, "let pictures in attachments pass · 允许附件中的图像")
	fl.BoolVar(&f.genomic, "allow-genomic", false, "let genomic data in attachments pass · 允许附件中的基因数据")
	fl.IntVar(&f.jobs, "jobs", 0, "files at a time; 0: one for each processor · 并行文件数")
	jsonFlag(cmd, &f.json)
	_ = cmd.MarkFlagRequired("policy")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

// deidResult is what became of one file.
type deidResult struct {
	Output   string              `json:"output"`
	Format   desensitize.Format  `json:"format,omitempty"`
	OK       bool                `json:"ok"`
	Context  bool                `json:"context,omitempty"` // a line of --context was found
	Problem  string              `json:"problem,omitempty"`
	Findings []leak.Finding      `json:"findings,omitempty"`
	Report   *desensitize.Report `json:"report,omitempty"`
}

func deidRun(cmd *cobra.Command, f deidRunFlags, args []string) error {
	inputs, err := deidInputs(args)
	if err != nil {
		return err
	}
	r, err := newDeidRunner(cmd, f)
	if err != nil {
		return err
	}
	if err := r.checkOutputs(inputs); err != nil {
		return err
	}
	results, err := r.all(cmd.Context(), inputs)
	if err != nil {
		return err
	}
	if err := r.report(results); err != nil {
		return err
	}
	return r.summary(cmd, f.json, results)
}

// deidRunner de-identifies files one by one; safe for concurrent use.
type deidRunner struct {
	engine   *engine.Engine
	policy   *desensitize.Policy
	project  string
	asOf     time.Time
	format   desensitize.Format
	contexts deidContexts
	out      string
	jobs     int
	stdin    io.Reader
	emit     func(in deidInput, res deidResult)
	progress *deidProgress
}

func newDeidRunner(cmd *cobra.Command, f deidRunFlags) (*deidRunner, error) {
	r := &deidRunner{project: f.project, out: f.out, jobs: f.jobs, stdin: cmd.InOrStdin(), asOf: time.Now().UTC().Truncate(24 * time.Hour)}
	var err error
	if f.asOf != "" {
		if r.asOf, err = time.Parse(time.DateOnly, f.asOf); err != nil {
			return nil, errors.New("--as-of must be a day, YYYY-MM-DD")
		}
	}
	if r.format, err = deidFormat(f.format); err != nil {
		return nil, err
	}
	if r.policy, err = deidPolicy(f.policy); err != nil {
		return nil, err
	}
	if r.contexts, err = readContexts(f.context); err != nil {
		return nil, err
	}
	key, err := deidKey(f.keyFile)
	if err != nil {
		return nil, err
	}
	project, err := desensitize.NewProject(desensitize.ProjectConfig{ID: f.project, Key: key})
	if err != nil {
		return nil, err
	}
	cipher, err := newDeidCipher(f.project, key)
	if err != nil {
		return nil, err
	}
	r.engine, err = engine.New(engine.Config{Policy: r.policy, Project: project, Cipher: cipher, AsOf: r.asOf, Images: f.images, Genomic: f.genomic})
	if err != nil {
		return nil, err
	}
	if r.jobs <= 0 {
		r.jobs = runtime.GOMAXPROCS(0)
	}
	r.emit = deidEmit(cmd, f.json)
	return r, nil
}

// deidEmit prints one line for each file.
func deidEmit(cmd *cobra.Command, asJSON bool) func(deidInput, deidResult) {
	out := cmd.OutOrStdout()
	return func(in deidInput, res deidResult) {
		v := verdict{File: in.path, OK: res.OK, Error: res.Problem}
		note := ""
		if asJSON {
			v.Detail = res.brief()
			_ = printJSON(out, v) // a closed pipe ends the command by its signal
			return
		}
		for _, x := range res.Findings {
			note += fmt.Sprintf("      %s at %s, %d bytes from %d\n", x.Type, x.Path, x.Length, x.Offset)
		}
		printVerdict(out, v, strings.TrimSuffix(note, "\n"))
	}
}

// brief is the result with counts by type instead of every element.
func (res *deidResult) brief() any {
	d := struct {
		Output   string                   `json:"output,omitempty"`
		Format   desensitize.Format       `json:"format,omitempty"`
		Context  bool                     `json:"context,omitempty"`
		Records  int                      `json:"records,omitempty"`
		Removed  map[desensitize.Type]int `json:"removed,omitempty"`
		Findings []leak.Finding           `json:"findings,omitempty"`
	}{Format: res.Format, Context: res.Context, Findings: res.Findings}
	if res.OK {
		d.Output = res.Output
	}
	if res.Report != nil {
		d.Records, d.Removed = res.Report.Records, res.Report.Types()
	}
	return d
}

// checkOutputs refuses to write over an input, and makes the folder.
func (r *deidRunner) checkOutputs(inputs []deidInput) error {
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	for _, in := range inputs {
		if in.out == deidReportName {
			return fmt.Errorf("%s: the output folder has a %s of its own: rename the input", in.path, deidReportName)
		}
		a, errA := os.Stat(in.path)
		b, errB := os.Stat(filepath.Join(r.out, in.out))
		if errA == nil && errB == nil && os.SameFile(a, b) {
			return fmt.Errorf("%s would be overwritten: choose another output folder", in.path)
		}
	}
	return nil
}

// all works on several files at a time and reports them in their order.
func (r *deidRunner) all(ctx context.Context, inputs []deidInput) ([]deidResult, error) {
	r.progress = startDeidProgress(inputs)
	defer r.progress.stop()
	results, done := make([]deidResult, len(inputs)), make([]chan struct{}, len(inputs))
	for i := range done {
		done[i] = make(chan struct{})
	}
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(r.jobs, len(inputs)) {
		workers.Go(func() {
			for i := range next {
				results[i] = r.one(ctx, inputs[i])
				close(done[i])
			}
		})
	}
	go func() {
		defer close(next)
		for i := range inputs {
			next <- i
		}
	}()
	for i := range inputs {
		<-done[i]
		r.progress.step(inputs[i].size)
		r.emit(inputs[i], results[i])
	}
	workers.Wait()
	return results, ctx.Err()
}

// one de-identifies one file. A result of an earlier run is removed where this one fails, so
// that the folder holds nothing that did not pass.
func (r *deidRunner) one(ctx context.Context, in deidInput) deidResult {
	res := deidResult{Output: filepath.ToSlash(in.out)}
	if err := ctx.Err(); err != nil {
		res.Problem = err.Error()
		return res
	}
	known := r.contexts.of(in)
	res.Context = known != nil
	target := filepath.Join(r.out, in.out)
	report, f, err := r.write(ctx, in, target, engine.Input{Known: known.known()})
	res.Format = f
	if err != nil {
		res.Findings, res.Problem = engine.Describe(err)
		_ = os.Remove(target) // if there was one
		return res
	}
	res.OK, res.Report = true, report
	return res
}

// write runs the engine into a temporary file, which takes the name of the result when it is
// whole and on disk.
func (r *deidRunner) write(ctx context.Context, in deidInput, target string, input engine.Input) (*desensitize.Report, desensitize.Format, error) {
	source := r.stdin
	if in.path != "-" {
		f, err := os.Open(in.path)
		if err != nil {
			return nil, "", err
		}
		defer f.Close()
		source = f
	}
	reader := bufio.NewReaderSize(source, 64<<10)
	head, err := reader.Peek(1024)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	format := sniffFormat(r.format, head)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return nil, format, err
	}
	temp, err := os.CreateTemp(filepath.Dir(target), ".deid-*.part")
	if err != nil {
		return nil, format, err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // it is gone if it was renamed
	out := bufio.NewWriterSize(temp, 64<<10)
	report, err := r.engine.Run(ctx, format, reader, out, input)
	if err == nil {
		err = errors.Join(out.Flush(), temp.Chmod(0o644), temp.Sync())
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return nil, format, err
	}
	if err := os.Rename(temp.Name(), target); err != nil {
		return nil, format, err
	}
	return report, format, fsatomic.SyncDir(filepath.Dir(target))
}

const deidReportName = "report.json"

// report writes report.json: the policy, what was done to each file, and the sum.
func (r *deidRunner) report(results []deidResult) error {
	total := &desensitize.Report{}
	for _, res := range results {
		total.Merge(res.Report)
	}
	type policy struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Digest  string `json:"digest"`
	}
	data, err := json.MarshalIndent(struct {
		Policy  policy              `json:"policy"`
		Project string              `json:"project"`
		AsOf    string              `json:"as_of"`
		Files   []deidResult        `json:"files"`
		Total   *desensitize.Report `json:"total"`
	}{policy{r.policy.Name, r.policy.Version, r.policy.DigestText()}, r.project, r.asOf.Format(time.DateOnly), results, total}, "", "  ")
	if err != nil {
		return err
	}
	return fsatomic.WriteFile(filepath.Join(r.out, deidReportName), append(data, '\n'), 0o644)
}

// summary ends the command: exit status 0 only if every file passed.
func (r *deidRunner) summary(cmd *cobra.Command, asJSON bool, results []deidResult) error {
	failures, records := 0, 0
	for _, res := range results {
		if !res.OK {
			failures++
		} else {
			records += res.Report.Records
		}
	}
	if failures > 0 {
		return failed{fmt.Errorf("%d of %d files were not released; see %s · %d 个文件中有 %d 个未输出",
			failures, len(results), filepath.Join(r.out, deidReportName), len(results), failures)}
	}
	if !asJSON {
		fmt.Fprintf(cmd.OutOrStdout(), "%d records in %d files → %s · 已去标识化 %d 个文件，共 %d 条记录\n", records, len(results), r.out, len(results), records)
	}
	return nil
}

// deidProgress shows on a terminal how far a long run is.
type deidProgress struct {
	total, files int64
	done, count  int64
	last         time.Time
	on           bool
}

func startDeidProgress(inputs []deidInput) *deidProgress {
	p := &deidProgress{files: int64(len(inputs)), last: time.Now(), on: term.IsTerminal(int(os.Stderr.Fd()))}
	for _, in := range inputs {
		p.total += in.size
	}
	return p
}

// step is called from one goroutine.
func (p *deidProgress) step(size int64) {
	p.done += size
	p.count++
	if !p.on || time.Since(p.last) < time.Second {
		return
	}
	p.last = time.Now()
	fmt.Fprintf(os.Stderr, "\r%d/%d files, %.1f of %.1f MB ", p.count, p.files, float64(p.done)/1e6, float64(p.total)/1e6)
}

func (p *deidProgress) stop() {
	if p.on {
		fmt.Fprint(os.Stderr, "\r\033[K")
	}
}
