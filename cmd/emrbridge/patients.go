package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/bridge/correction"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/seal"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/table"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
)

// openPatients opens the patient index of the running bridge.
func (s *site) openPatients(ctx context.Context) (*patientindex.Index, error) {
	dir := s.config.Dir("patients")
	_, missing := os.Stat(filepath.Join(dir, patientindex.FileName))
	index, err := patientindex.Open(ctx, dir, patientindex.Options{HospitalMSP: s.config.Hospital.MSP, Keys: s.keys})
	if err != nil {
		return nil, err
	}
	s.patients = index
	s.later(index.Close)
	stats, err := s.store.Stats(ctx)
	if err == nil && missing != nil && stats.Items > 0 {
		s.log.Warn("the patient index is new and the store is not: stop the bridge and run: emrbridge patients rebuild", "records", stats.Items)
	}
	return index, nil
}

// corrector lets an operator's word in.
type corrector struct{ intake *intake.Intake }

// Correct implements local.Corrector.
func (c corrector) Correct(ctx context.Context, said correction.Correction) (record.ID, error) {
	sub, err := said.Submission(time.Now())
	if err != nil {
		return record.ID{}, err
	}
	r, err := c.intake.Submit(ctx, sub)
	return r.Record, err
}

func newPatientsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "patients",
		Short: "Which numbers belong to one patient: merges, incidents, undo · 患者主索引",
		Long: `The patient index knows which of the hospital's numbers are one patient. It holds keyed digests
and tags, never a number. It learns from the messages; what it did not believe is an incident.

患者主索引只保存带密钥的摘要与标识，不保存任何号码。`,
	}
	cmd.AddCommand(newPatientsShowCommand(), newPatientsMergesCommand(), newPatientsIncidentsCommand(),
		newPatientsUnmergeCommand(), newPatientsMergeCommand(), newPatientsCheckCommand(), newPatientsRebuildCommand())
	return cmd
}

// readerKeys lets a keystore that is open for reading name patients.
type readerKeys struct{ *keystore.Reader }

// RegistrationDigest implements patientindex.Keys. A reading index never asks for it.
func (readerKeys) RegistrationDigest(context.Context, string, string) ([32]byte, error) {
	return [32]byte{}, errors.New("the keystore is open for reading")
}

// withPatients opens the index for reading, beside the running bridge.
func withPatients(ctx context.Context, path string, fn func(*config.Config, *patientindex.Index) error) error {
	c, err := loadConfig(path)
	if err != nil {
		return err
	}
	keys, err := openKeyReader(ctx, c)
	if err != nil {
		return err
	}
	defer keys.Close()
	index, err := patientindex.Open(ctx, c.Dir("patients"), patientindex.Options{HospitalMSP: c.Hospital.MSP, Keys: readerKeys{keys}, ReadOnly: true})
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w (has the bridge ever run with this configuration?)", err)
	}
	if err != nil {
		return err
	}
	defer index.Close()
	return fn(c, index)
}

// personReport is the answer of `patients show --json`.
type personReport struct {
	Tag     evidence.Tag             `json:"tag"`
	Tags    []patientindex.PersonTag `json:"tags"`
	History []patientindex.Change    `json:"history"`
}

// whoFlags name a patient by tag or by one number.
type whoFlags struct {
	tag, number, file, kind, authority string
}

func (f *whoFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.tag, "tag", "", "patient token, as trace and store list show it · 患者标识")
	cmd.Flags().StringVar(&f.file, "id-file", "", `file with the number, "-" for standard input · 号码文件`)
	cmd.Flags().StringVar(&f.number, "id-number", "", "the number itself; others on this machine can see it · 号码（进程列表可见）")
	cmd.Flags().StringVar(&f.kind, "type", string(record.ResidentID), "type of the number: resident-id, local-patient, inpatient, outpatient, medical, health-card, … · 号码类型")
	cmd.Flags().StringVar(&f.authority, "authority", "", "who gave the number, as messages name it · 发号机构")
	cmd.MarkFlagsMutuallyExclusive("tag", "id-file", "id-number")
	cmd.MarkFlagsOneRequired("tag", "id-file", "id-number")
}

func (f *whoFlags) person(cmd *cobra.Command, index *patientindex.Index) (patientindex.Person, error) {
	if f.tag != "" {
		tag, err := evidence.ParseTag(f.tag)
		if err != nil {
			return patientindex.Person{}, err
		}
		return index.ByTag(cmd.Context(), tag)
	}
	p, err := (&patientFlags{number: f.number, file: f.file}).patient(cmd.InOrStdin())
	if err != nil {
		return patientindex.Person{}, err
	}
	return index.Resolve(cmd.Context(), []record.Identifier{{Authority: f.authority, Type: record.IdentifierType(f.kind), Value: p.ResidentID}})
}

func newPatientsShowCommand() *cobra.Command {
	var path string
	var asJSON bool
	var who whoFlags
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show one patient: tags, kinds of numbers, history · 查看患者",
		Example: `  emrbridge patients show --id-file patient.id
  emrbridge patients show --id-file number.txt --type local-patient --authority HIS
  emrbridge patients show --tag 7c0e…`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withPatients(cmd.Context(), path, func(c *config.Config, index *patientindex.Index) error {
				p, err := who.person(cmd, index)
				if errors.Is(err, patientindex.ErrUnknown) {
					return failed{errors.New("the index has not met this patient · 未找到")}
				}
				if err != nil {
					return err
				}
				history, err := index.History(cmd.Context(), p.Tag)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), personReport{Tag: p.Tag, Tags: p.Tags, History: history})
				}
				return printPerson(cmd, p, history, c.Location())
			})
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	who.add(cmd)
	return cmd
}

func printPerson(cmd *cobra.Command, p patientindex.Person, history []patientindex.Change, zone *time.Location) error {
	var rows [][]any
	for _, t := range p.Tags {
		to := ""
		if t.LinkedTo != nil {
			to = t.LinkedTo.String()
		}
		kinds := ""
		for i, k := range t.Identifiers {
			if i > 0 {
				kinds += ", "
			}
			kinds += string(k.Kind)
			if k.InDoubt {
				kinds += " (in doubt · 存疑)"
			}
		}
		rows = append(rows, []any{t.Tag, to, kinds})
	}
	out := cmd.OutOrStdout()
	if err := table.Write(out, []string{"patient token · 患者标识", "linked to · 关联到", "numbers · 号码类型"}, rows); err != nil {
		return err
	}
	if len(history) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	return table.Write(out, changesHeader, changeRows(history, zone))
}

var changesHeader = []string{"no", "what", "event", "time · 时间", "from", "to", "record", "undone by · 撤销"}

func changeRows(list []patientindex.Change, zone *time.Location) [][]any {
	rows := make([][]any, len(list))
	for i, c := range list {
		undone := ""
		if !c.UndoneBy.IsZero() {
			undone = c.UndoneBy.String()
		}
		from, to := c.From.String(), c.To.String()
		if c.From.IsZero() {
			from, to = "one person already · 已为同一人", ""
		}
		rows[i] = []any{c.Seq, c.Kind, c.Event, stamp(c.At, zone), from, to, c.Record, undone}
	}
	return rows
}

// clockLayout is how tables show a time: always with its zone.
const clockLayout = "2006-01-02 15:04:05 -07:00"

// stamp shows Unix milliseconds, nothing for 0.
func stamp(ms int64, zone *time.Location) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).In(zone).Format(clockLayout)
}

func newPatientsMergesCommand() *cobra.Command {
	var path string
	var asJSON, all bool
	var after int64
	var limit int
	cmd := &cobra.Command{
		Use:   "merges",
		Short: "List the joins and merges that stand · 列出合并记录",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withPatients(cmd.Context(), path, func(c *config.Config, index *patientindex.Index) error {
				list, err := index.Changes(cmd.Context(), after, limit, !all)
				if err != nil {
					return err
				}
				if !asJSON {
					return table.Write(cmd.OutOrStdout(), changesHeader, changeRows(list, c.Location()))
				}
				for _, change := range list {
					if err := printJSON(cmd.OutOrStdout(), change); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&all, "all", false, "those that were undone too · 包括已撤销")
	cmd.Flags().Int64Var(&after, "after", 0, "begin after this number · 起始序号")
	cmd.Flags().IntVar(&limit, "limit", 100, "at most so many, up to 1000 · 条数上限")
	return cmd
}

func newPatientsIncidentsCommand() *cobra.Command {
	var path string
	var asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "incidents",
		Short: "List contradicting numbers and refused merges, the latest first · 列出冲突与被拒合并",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withPatients(cmd.Context(), path, func(c *config.Config, index *patientindex.Index) error {
				list, err := index.Incidents(cmd.Context(), limit)
				if err != nil {
					return err
				}
				rows := make([][]any, len(list))
				for i, in := range list {
					if asJSON {
						if err := printJSON(cmd.OutOrStdout(), in); err != nil {
							return err
						}
					}
					rows[i] = []any{stamp(in.At, c.Location()), in.Event, in.Record, in.Tag, fmt.Sprint(in.Codes)}
				}
				if asJSON {
					return nil
				}
				return table.Write(cmd.OutOrStdout(), []string{"time · 时间", "event", "record", "patient token", "codes"}, rows)
			})
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().IntVar(&limit, "limit", 100, "at most so many, up to 1000 · 条数上限")
	return cmd
}

// rebuild makes the patient index anew from the store. The bridge must not run.
func rebuild(ctx context.Context, c *config.Config, ks *keystore.File) (seal.Rebuilt, error) {
	var done seal.Rebuilt
	store, err := embedded.Open(ctx, c.Store.Dir, embedded.Options{ReadOnly: true})
	if err != nil {
		return done, err
	}
	defer store.Close()
	o := patientindex.Options{HospitalMSP: c.Hospital.MSP, Keys: ks}
	err = patientindex.Rebuild(ctx, c.Dir("patients"), o, func(ctx context.Context, index *patientindex.Index) (err error) {
		done, err = seal.Rebuilder{Custody: ks, Store: store, Patients: index}.Run(ctx)
		return err
	})
	return done, err
}

func newPatientsRebuildCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make the index anew from the sealed records; the bridge must be stopped · 由密文病历重建索引",
		Long: `Opens every record of the store in the order in which it was stored and repeats what it says about
numbers and merges, operators' corrections included. The old index stays until the new one is whole.
Records whose keys were destroyed say nothing any more; how many there are is shown.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKeystore(cmd, path, func(ctx context.Context, c *config.Config, ks *keystore.File) error {
				done, err := rebuild(ctx, c, ks)
				if err != nil {
					return err
				}
				if asJSON {
					err = printJSON(cmd.OutOrStdout(), map[string]any{"records": done.Records, "erased": done.Erased, "unreadable": append([]record.ID{}, done.Unreadable...)})
				} else {
					fmt.Fprintf(cmd.OutOrStdout(), "%d records read, %d erased, %d unreadable · 已重建\n", done.Records, done.Erased, len(done.Unreadable))
				}
				if err == nil && len(done.Unreadable) > 0 {
					return failed{fmt.Errorf("%d records do not open: look at them with emrbridge verify", len(done.Unreadable))}
				}
				return err
			})
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	return cmd
}
