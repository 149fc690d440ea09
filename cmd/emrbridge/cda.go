package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/cdaexample"
	"github.com/emrbridge/emrbridge/adapters/cda/hip"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/adapters/hl7"
)

func newCDACommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cda",
		Short: "Look at clinical documents (WS/T 500, C-CDA) and platform messages · CDA 文档",
	}
	cmd.AddCommand(newCDAValidateCommand(), newCDAParseCommand(), newCDAExampleCommand())
	return cmd
}

// cdaOptions are the flags of the commands that look at files of documents.
type cdaOptions struct {
	encoding     string
	force        bool
	anyNamespace bool
	strict       bool
	allow        []string
	asJSON       bool
}

func (o *cdaOptions) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.encoding, "encoding", "", "encoding of documents that declare none; default UTF-8 · 缺省字符集")
	f.BoolVar(&o.force, "force-encoding", false, "take --encoding whatever the documents declare · 忽略声明的字符集")
	f.BoolVar(&o.anyNamespace, "any-namespace", false, "take documents outside urn:hl7-org:v3 · 不检查命名空间")
	f.BoolVar(&o.strict, "strict", false, "the measure for documents that are written: no deviation at all · 严格校验")
	f.StringSliceVar(&o.allow, "allow", nil, "rules that may be broken · 允许的偏差")
	jsonFlag(cmd, &o.asJSON)
}

func (o *cdaOptions) check() error {
	if _, ok := hl7.CharsetByName(o.encoding); o.encoding != "" && !ok {
		return fmt.Errorf("encoding %q is not known; use for example UTF-8 or GB18030 · 未知字符集", o.encoding)
	}
	if o.force && o.encoding == "" {
		return errors.New("--force-encoding needs --encoding NAME · --force-encoding 须同时给出 --encoding")
	}
	return knownRules(o.allow)
}

// knownRules refuses names of rules that do not exist.
func knownRules(names []string) error {
	for _, name := range names {
		if !slices.Contains(cda.Rules(), name) {
			return fmt.Errorf("there is no rule %q; the rules are %s · 没有此规则", name, strings.Join(cda.Rules(), ", "))
		}
	}
	return nil
}

func (o *cdaOptions) partner() hip.Partner {
	return hip.Partner{Encoding: o.encoding, ForceEncoding: o.force, AnyNamespace: o.anyNamespace,
		Rules: cda.Partner{Allow: o.allow, Strict: o.strict}}
}

// cdaFound is what the commands say of a document or message.
type cdaFound struct {
	Kind     string        `json:"kind,omitempty"`
	Title    string        `json:"title,omitempty"`
	Charset  string        `json:"charset,omitempty"`
	Message  *hip.Info     `json:"message,omitempty"` // of a platform message
	Errors   int           `json:"errors"`
	Warnings int           `json:"warnings"`
	Issues   []cda.Issue   `json:"issues,omitempty"`
	Document *cda.Document `json:"document,omitempty"` // only from parse
}

// read looks at one file: a document, or a message of the platform with or without one.
func (o *cdaOptions) read(data []byte) (found cdaFound, err error) {
	p := o.partner()
	encoding := safexml.Encoding{Default: o.encoding, Force: o.force}
	d, err := cda.Parse(data, cda.ReadOptions{Encoding: encoding, AnyNamespace: o.anyNamespace})
	if errors.Is(err, cda.ErrNotCDA) {
		info, infoErr := hip.Inspect(data, encoding, safexml.Limits{})
		if infoErr != nil {
			return found, err
		}
		found.Message, found.Kind, found.Charset = &info, info.Root, info.Charset
		registered, ok, err := hip.Registered(data, encoding, p, safexml.Limits{})
		if err != nil || !ok {
			return found, err
		}
		d = registered
	} else if err != nil {
		return found, err
	}
	found.Document, found.Kind, found.Title, found.Charset = d, d.Kind(), d.Title, d.Charset()
	found.Issues = cda.Validate(d, p.Rules)
	for _, i := range found.Issues {
		if i.Severity == cda.Err {
			found.Errors++
		} else {
			found.Warnings++
		}
	}
	if found.Errors > 0 {
		err = &cda.Invalid{Issues: found.Issues}
	}
	return found, err
}

func newCDAValidateCommand() *cobra.Command {
	var o cdaOptions
	cmd := &cobra.Command{
		Use:   "validate FILE…",
		Short: "Hold documents against WS/T 500 or CDA R2 · 校验文档",
		Long: `Reads each file ("-" is standard input): a clinical document, or a message of the hospital
information platform, whose registered document is then looked at. Documents of WS/T 500 (C0001 to
C0053) are held against their part of the standard, others against CDA Release 2. Neither DTD nor
entity nor XInclude is read. Warnings do not fail a document; --strict makes errors of them.`,
		Example: "  emrbridge cda validate C0039.xml\n  emrbridge cda validate --json --allow template *.xml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return inspect(cmd, args, o.asJSON, func(_ context.Context, _ string, data []byte, emit func(verdict, string)) {
				found, err := o.read(data)
				found.Document = nil
				emit(cdaVerdict(found, err), cdaNote(found))
			})
		},
	}
	o.register(cmd)
	return cmd
}

func newCDAParseCommand() *cobra.Command {
	var o cdaOptions
	cmd := &cobra.Command{
		Use:     "parse FILE…",
		Short:   "Show what is read from documents; prints patient data · 解析文档（含患者信息）",
		Example: "  emrbridge cda parse C0039.xml --json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return inspect(cmd, args, o.asJSON, func(_ context.Context, _ string, data []byte, emit func(verdict, string)) {
				found, err := o.read(data)
				var invalid *cda.Invalid
				if errors.As(err, &invalid) {
					err = nil // it could be read; validate judges
				}
				emit(cdaVerdict(found, err), cdaSummary(found))
			})
		},
	}
	o.register(cmd)
	return cmd
}

func cdaVerdict(found cdaFound, err error) verdict {
	v := verdict{OK: err == nil}
	if err != nil {
		v.Error = err.Error()
	}
	if found.Kind != "" {
		v.Detail = found
	}
	return v
}

// cdaNote lists the issues for people.
func cdaNote(found cdaFound) string {
	lines := make([]string, 0, len(found.Issues)+1)
	if found.Kind != "" {
		lines = append(lines, fmt.Sprintf("      %s %s · %s · %d errors, %d warnings", found.Kind, found.Title, found.Charset, found.Errors, found.Warnings))
	}
	for _, i := range found.Issues {
		lines = append(lines, "      "+i.String())
	}
	return strings.Join(lines, "\n")
}

func cdaSummary(found cdaFound) string {
	d := found.Document
	if d == nil {
		return cdaNote(found)
	}
	lines := []string{fmt.Sprintf("      %s %s, id %s, version %s, %s", d.Kind(), d.Title, d.ID, d.Version, d.Time),
		fmt.Sprintf("      patient %s, gender %s, birth %s", d.Patient.Name, d.Patient.Gender.Code, d.Patient.Birth)}
	for _, id := range slices.Concat(d.Patient.IDs, d.Patient.PersonIDs) {
		lines = append(lines, "      number "+id.String())
	}
	for _, s := range d.Sections {
		lines = append(lines, fmt.Sprintf("      section %s %s%s: %d entries", s.Code.Code, s.Code.Display, s.Title, len(s.Entries)))
	}
	return strings.Join(lines, "\n")
}

func newCDAExampleCommand() *cobra.Command {
	var seed uint64
	var list bool
	cmd := &cobra.Command{
		Use:     "example CODE",
		Short:   "Write an invented document of a type, C0001 to C0053 · 生成示例文档",
		Example: "  emrbridge cda example C0039 > C0039.xml\n  emrbridge cda example --list",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				for _, t := range cda.Types() {
					fmt.Fprintf(cmd.OutOrStdout(), "%s  %s  %s\n", t.Code, t.Template(), t.Title)
				}
				return nil
			}
			if len(args) != 1 {
				return errors.New("name a document type, C0001 to C0053, or give --list · 请给出文档类型")
			}
			t, ok := cda.TypeByCode(strings.ToUpper(args[0]))
			if !ok {
				return fmt.Errorf("%q is no document of WS/T 500; see --list · 没有此文档类型", args[0])
			}
			b, err := cda.Render(cdaexample.Document(t, seed), cda.Roots{})
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(b)
			return err
		},
	}
	cmd.Flags().Uint64Var(&seed, "seed", 1, "another seed gives another patient · 随机种子")
	cmd.Flags().BoolVar(&list, "list", false, "list the types with their template ids · 列出全部类型")
	return cmd
}
