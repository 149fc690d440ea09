package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/record"
)

// newHL7MappingCommands returns the commands that show and try the mapping to records.
func newHL7MappingCommands() []*cobra.Command {
	return []*cobra.Command{newHL7DryRunCommand(), newHL7DiffCommand(), newHL7MappingCommand()}
}

// loadMapping reads a mapping; "" and "default" are the embedded one.
func loadMapping(file string) (*mapping.Document, error) {
	if file == "" || file == "default" {
		return mapping.Default(), nil
	}
	doc, err := mapping.Load(file)
	var faults mapping.Faults
	if errors.As(err, &faults) {
		return nil, fmt.Errorf("mapping %s has %d faults · 映射有 %d 处错误:\n%w", file, len(faults), len(faults), err)
	}
	return doc, err
}

// trial applies mappings to files of messages, the way serve would, and writes nothing.
type trial struct {
	files  fileOptions
	zone   string
	report mapping.Report
}

func (t *trial) register(cmd *cobra.Command) {
	t.files.register(cmd)
	cmd.Flags().StringVar(&t.zone, "zone", "Asia/Shanghai", "time zone of times without one · 缺省时区")
}

// mapper makes the mapper of a document; the report gets its unmapped codes.
func (t *trial) mapper(doc *mapping.Document, note func(mapping.Unmapped)) (*mapping.Mapper, error) {
	zone, err := time.LoadLocation(t.zone)
	if err != nil {
		return nil, fmt.Errorf("--zone %q is no time zone; write for example Asia/Shanghai · 未知时区", t.zone)
	}
	return mapping.NewMapper(doc, mapping.Options{Zone: zone, Unmapped: note}), nil
}

// charsetOf takes the mapping's charset where the command line names none.
func (t *trial) charsetOf(doc *mapping.Document) {
	if cs, ok := doc.Charset(); ok && t.files.charset == charsetAuto {
		t.files.charset = cs.String()
	}
}

// recordRules are a mapper, or a mapper for each sender.
type recordRules interface {
	Map(src mapping.Source) (*record.Record, error)
}

// apply maps one message and proves that the record could be sealed.
func apply(m recordRules, in *hl7Opened) (*record.Record, error) {
	r, err := m.Map(mapping.Source{Raw: in.raw, Charset: in.charset.String(), HospitalNumber: 1, HospitalMSP: "DRY-RUN", ReceivedAt: time.Now()})
	if err != nil {
		return nil, err
	}
	if _, err := r.Canonical(); err != nil {
		return nil, err
	}
	return r, nil
}

// mappedOut is what dry-run says of one message.
type mappedOut struct {
	hl7About
	Record   *recordOut         `json:"record,omitempty"`
	Unmapped []mapping.Unmapped `json:"unmapped,omitempty"`
}

// recordOut is the envelope of a record, for people and as JSON.
type recordOut struct {
	Kind            string            `json:"kind"`
	EventTime       string            `json:"event_time,omitempty"`
	ZoneAssumed     bool              `json:"zone_assumed,omitempty"`
	Author          string            `json:"author,omitempty"`
	Encounter       string            `json:"encounter,omitempty"`
	Patient         patientOut        `json:"patient"`
	Version         string            `json:"version,omitempty"`
	Replaces        string            `json:"replaces,omitempty"`
	Confidentiality string            `json:"confidentiality"`
	Mapping         string            `json:"mapping"`
	Metadata        map[string]string `json:"metadata,omitempty"`
}

type patientOut struct {
	Name        string          `json:"name,omitempty"`
	BirthDate   string          `json:"birth_date,omitempty"`
	Gender      string          `json:"gender,omitempty"`
	Identifiers []identifierOut `json:"identifiers,omitempty"`
}

type identifierOut struct {
	Type      string `json:"type"`
	Value     string `json:"value"`
	Authority string `json:"authority,omitempty"`
}

func recordOutOf(r *record.Record) *recordOut {
	out := &recordOut{Kind: r.Kind, EventTime: r.EventTime.String(), ZoneAssumed: r.EventTime.ZoneAssumed, Author: r.Author,
		Encounter: r.Encounter, Version: r.Version, Replaces: r.Replaces, Confidentiality: string(r.Confidentiality),
		Mapping: r.MappingVersion, Metadata: r.Metadata,
		Patient: patientOut{Name: r.Patient.Name, BirthDate: r.Patient.BirthDate, Gender: r.Patient.Gender}}
	for _, id := range r.Patient.Identifiers {
		out.Patient.Identifiers = append(out.Patient.Identifiers, identifierOut{string(id.Type), id.Value, id.Authority})
	}
	return out
}

// table writes the record as lines of name and value.
func (r *recordOut) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "      %s\t%s\n", name, value)
		}
	}
	line("event time · 事件时间", r.EventTime)
	line("author · 责任人", r.Author)
	line("encounter · 就诊号", r.Encounter)
	line("patient · 患者", strings.Join(slices.DeleteFunc([]string{r.Patient.Name, r.Patient.Gender, r.Patient.BirthDate}, func(s string) bool { return s == "" }), " "))
	for _, id := range r.Patient.Identifiers {
		line("  "+id.Type, strings.TrimSpace(id.Value+"  "+id.Authority))
	}
	line("version · 版本", r.Version)
	line("replaces · 替换", r.Replaces)
	line("confidentiality · 密级", r.Confidentiality)
	for _, name := range slices.Sorted(maps.Keys(r.Metadata)) {
		line(name, r.Metadata[name])
	}
	fmt.Fprintf(w, "      mapping · 映射\t%s", r.Mapping)
	_ = w.Flush() // into memory
	return b.String()
}

func newHL7DryRunCommand() *cobra.Command {
	var t trial
	var file, configuration string
	cmd := &cobra.Command{
		Use:   "dry-run [--mapping FILE | --config FILE] INPUT…",
		Short: "Show the record that each message would become · 试运行映射，不写入任何数据",
		Long: `Reads every message of the files by a mapping and shows the envelope of the record that it would
become, then the codes that no table has an entry for. Nothing is written or sent. The output holds
what the messages hold: treat it like them. "-" reads standard input. With --config the mappings are
those of an installation, chosen by sender.

按映射规则显示每条消息将生成的记录信封，并列出未映射的代码；不写入任何数据。`,
		Example: "  emrbridge hl7 dry-run --mapping my-hospital.yaml day.hl7",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(cmd *cobra.Command, inputs []string) error { return t.dryRun(cmd, file, configuration, inputs) },
	}
	cmd.Flags().StringVar(&file, "mapping", "default", "mapping file, or default · 映射文件")
	cmd.Flags().StringVarP(&configuration, "config", "c", "", "take mappings and zone from a configuration · 采用配置文件中的映射")
	cmd.MarkFlagsMutuallyExclusive("mapping", "config")
	t.register(cmd)
	return cmd
}

// choose makes the rules of a mapping file, or of a configuration if one is named.
func (t *trial) choose(file, configuration string, note func(mapping.Unmapped)) (recordRules, error) {
	if configuration == "" {
		doc, err := loadMapping(file)
		if err != nil {
			return nil, err
		}
		t.charsetOf(doc)
		return t.mapper(doc, note)
	}
	c, err := config.Load(configuration)
	if c == nil { // its faults, such as missing key files, do not matter here
		return nil, err
	}
	return loadRules(c, note)
}

func (t *trial) dryRun(cmd *cobra.Command, file, configuration string, inputs []string) error {
	var unmapped []mapping.Unmapped // of the message at hand: they come one by one
	m, err := t.choose(file, configuration, func(u mapping.Unmapped) { unmapped = append(unmapped, u); t.report.Note(u) })
	if err != nil {
		return err
	}
	err = eachMessage(cmd, inputs, &t.files, false, func(in *hl7Opened) hl7Found {
		unmapped = nil
		r, err := apply(m, in)
		if err != nil {
			return hl7Found{err: err, detail: in.hl7About}
		}
		out := recordOutOf(r)
		return hl7Found{detail: mappedOut{hl7About: in.hl7About, Record: out, Unmapped: unmapped}, note: out.table()}
	})
	t.summary(cmd)
	return err
}

// summary prints the unmapped codes: below the lines for people, or beside the JSON.
func (t *trial) summary(cmd *cobra.Command) {
	counts := t.report.Counts()
	out := cmd.OutOrStdout()
	if t.files.asJSON {
		out = cmd.ErrOrStderr()
	}
	if len(counts) == 0 {
		fmt.Fprintln(out, "every code has an entry in its table · 所有代码均已映射")
		return
	}
	fmt.Fprintf(out, "%d codes without an entry in their table · 未映射的代码:\n", t.report.Total())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  TABLE · 代码表\tPATH · 位置\tCODE · 代码\tCOUNT · 次数")
	for _, c := range counts {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%d\n", c.Table, c.Path, c.Code, c.N)
	}
	_ = w.Flush() // a closed pipe ends the command by its signal
}

// diffOut is what diff says of one message.
type diffOut struct {
	hl7About
	Differences []mapping.Difference `json:"differences,omitempty"`
}

func newHL7DiffCommand() *cobra.Command {
	var t trial
	var a, b string
	cmd := &cobra.Command{
		Use:   "diff --mapping A [--against B] INPUT…",
		Short: "Show what two mappings make different of recorded messages · 比较两个映射的结果",
		Long: `Reads every message of the files by two mappings and lists the facts of the records in which they
differ, from B to A. Exit status 0 means that no record differs, 1 that some do. At the end come the
codes without an entry in a table of A. The output holds what the messages hold.

用两个映射分别读取消息，列出记录信封的差异（由 B 到 A）；无差异时退出码为 0。`,
		Example: "  emrbridge hl7 diff --mapping new.yaml --against old.yaml last-week.hl7",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(cmd *cobra.Command, inputs []string) error { return t.diff(cmd, a, b, inputs) },
	}
	cmd.Flags().StringVar(&a, "mapping", "default", "mapping file, or default · 映射文件")
	cmd.Flags().StringVar(&b, "against", "default", "mapping file to compare with, or default · 对照的映射文件")
	t.register(cmd)
	return cmd
}

func (t *trial) diff(cmd *cobra.Command, a, b string, inputs []string) error {
	docA, errA := loadMapping(a)
	docB, errB := loadMapping(b)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	t.charsetOf(docA)
	now, err := t.mapper(docA, t.report.Note)
	if err != nil {
		return err
	}
	before, err := t.mapper(docB, nil)
	if err != nil {
		return err
	}
	facts := map[string]int{}
	err = eachMessage(cmd, inputs, &t.files, false, func(in *hl7Opened) hl7Found {
		x, errX := apply(before, in)
		y, errY := apply(now, in)
		if err := errors.Join(errX, errY); err != nil {
			return hl7Found{err: err, detail: in.hl7About}
		}
		return differ(in, mapping.Compare(x, y), facts)
	})
	t.facts(cmd, facts)
	t.summary(cmd)
	return err
}

// differ makes the verdict of one message and counts the facts that differ.
func differ(in *hl7Opened, list []mapping.Difference, facts map[string]int) hl7Found {
	f := hl7Found{detail: diffOut{hl7About: in.hl7About, Differences: list}}
	if len(list) == 0 {
		return f
	}
	f.err = fmt.Errorf("%d facts differ · %d 项不同", len(list), len(list))
	lines := make([]string, len(list))
	for i, d := range list {
		facts[d.Fact]++
		lines[i] = fmt.Sprintf("      %s: %q → %q", d.Fact, d.A, d.B)
	}
	f.note = strings.Join(lines, "\n")
	return f
}

// facts prints how often each fact differs.
func (t *trial) facts(cmd *cobra.Command, facts map[string]int) {
	if len(facts) == 0 || t.files.asJSON {
		return
	}
	names := slices.Collect(maps.Keys(facts))
	slices.SortFunc(names, func(x, y string) int { return cmp.Or(cmp.Compare(facts[y], facts[x]), cmp.Compare(x, y)) })
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "facts that differ · 不同的事实:")
	for _, name := range names {
		fmt.Fprintf(w, "  %s\t%d\n", name, facts[name])
	}
	_ = w.Flush() // a closed pipe ends the command by its signal
}

func newHL7MappingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mapping",
		Short: "Check, show and name mappings to records · 映射文件的检查与查看",
		Long: `A mapping says how messages become records: where the facts stand, how codes are translated, which
numbers are of which type. See docs/guide/mapping.md. 映射说明消息如何成为记录，参见 docs/guide/mapping.zh-CN.md。`,
	}
	cmd.AddCommand(newMappingCheckCommand(), newMappingExampleCommand(), newMappingDigestCommand())
	return cmd
}

// checkedOut is what mapping check says of one file.
type checkedOut struct {
	Name    string         `json:"name,omitempty"`
	Version string         `json:"version,omitempty"`
	ID      string         `json:"id,omitempty"` // as records carry it
	Digest  string         `json:"digest,omitempty"`
	Kinds   int            `json:"kinds,omitempty"`
	Faults  mapping.Faults `json:"faults,omitempty"`
}

func newMappingCheckCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "check FILE…",
		Short:   "List all faults of mapping files, with their lines · 一次列出全部错误及行号",
		Example: "  emrbridge hl7 mapping check my-hospital.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			return inspect(cmd, files, asJSON, func(_ context.Context, file string, data []byte, emit func(verdict, string)) {
				emit(checkMapping(file, data))
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func checkMapping(file string, data []byte) (verdict, string) {
	read := func() (*mapping.Document, error) { return mapping.Load(file) }
	if file == "-" {
		read = func() (*mapping.Document, error) { return mapping.Parse(data) }
	}
	doc, err := read()
	var faults mapping.Faults
	if errors.As(err, &faults) {
		lines := make([]string, len(faults))
		for i, f := range faults {
			lines[i] = "      " + f.String()
		}
		return verdict{Error: fmt.Sprintf("%d faults · %d 处错误", len(faults), len(faults)), Detail: checkedOut{Faults: faults}}, strings.Join(lines, "\n")
	}
	if err != nil {
		return verdict{Error: err.Error()}, ""
	}
	out := checkedOut{Name: doc.Name(), Version: doc.Version(), ID: doc.ID(), Digest: doc.Digest(), Kinds: len(doc.Kinds())}
	return verdict{OK: true, Detail: out}, "      " + doc.ID()
}

func newMappingExampleCommand() *cobra.Command {
	var whole bool
	cmd := &cobra.Command{
		Use:     "example",
		Short:   "Print a mapping to begin with, or the embedded one · 输出映射示例或内置映射",
		Example: "  emrbridge hl7 mapping example > my-hospital.yaml\n  emrbridge hl7 mapping example --default",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text := mapping.ExampleText()
			if whole {
				text = mapping.DefaultText()
			}
			_, err := cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&whole, "default", false, "print the embedded mapping · 输出内置映射")
	return cmd
}

func newMappingDigestCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "digest [FILE…]",
		Short: "Print the name that records carry, and the digest of the rules · 输出映射名称与摘要",
		Long: `Prints for each file, or for the embedded mapping, the name, version and beginning of the digest that
records carry as their mapping version, and the whole SHA-256 of the effective rules. Comments and the
order of keys do not change it.`,
		RunE: func(cmd *cobra.Command, files []string) error {
			if len(files) == 0 {
				files = []string{"default"}
			}
			for _, file := range files {
				doc, err := loadMapping(file)
				if err != nil {
					return err
				}
				if err := printDigest(cmd.OutOrStdout(), doc, asJSON); err != nil {
					return err
				}
			}
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printDigest(w io.Writer, doc *mapping.Document, asJSON bool) error {
	if asJSON {
		return printJSON(w, checkedOut{Name: doc.Name(), Version: doc.Version(), ID: doc.ID(), Digest: doc.Digest(), Kinds: len(doc.Kinds())})
	}
	_, err := fmt.Fprintf(w, "%s  %s\n", doc.Digest(), doc.ID())
	return err
}
