package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/internal/table"
	"github.com/emrbridge/emrbridge/research/dataset"
	"github.com/emrbridge/emrbridge/research/institute"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// openOptions are the flags of `research open`.
type openOptions struct {
	keys, out string
	limit     int64
	asJSON    bool
}

// openedPart is one part that was opened and verified.
type openedPart struct {
	Hospital string          `json:"hospital"`
	Kind     dataset.Kind    `json:"kind"`
	Sequence uint32          `json:"sequence"`
	Subjects int             `json:"subjects"`
	Rows     int64           `json:"rows"`
	K        int             `json:"k"`
	Root     evidence.Digest `json:"root"`
	TxID     string          `json:"tx,omitempty"`
	// Anchored says that the part holds the hospital's signed statement for the ledger and
	// that it names this root and this delivery.
	Anchored bool   `json:"anchored"`
	Folder   string `json:"folder"`
}

// openReport is the answer of `research open --json`.
type openReport struct {
	Parts []openedPart `json:"parts"`
	// Subjects are different ones over all releases, Shared those that more than one hospital has.
	Subjects int `json:"subjects"`
	Shared   int `json:"shared"`
	// Withdrawn are pseudonyms that notices ask to be deleted.
	Withdrawn int `json:"withdrawn"`
}

func newResearchOpenCommand() *cobra.Command {
	var o openOptions
	cmd := &cobra.Command{
		Use:   "open PARTS",
		Short: "Institute: decrypt and verify fetched parts · 机构：解密并核验数据",
		Long: `Opens every part below the folder PARTS (as research fetch left it) with the institute's key, and
verifies it: the hospital's certificate under the consortium's authority, its signatures, every
file against the manifest, and the Merkle root against the hospital's signed statement for the ledger.
Parts come to --out/HOSPITAL/PART; the same person has the same pseudonym in all of them.

用机构私钥解密 PARTS 下的全部数据包并逐一核验；同一患者在各医院数据中使用同一假名。

Exit status: 0 all opened, 1 at least one is not genuine.`,
		Example: "  emrbridge research open parts --dir institute --out data",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return researchOpen(cmd, o, args[0]) },
	}
	dirFlag(cmd, &o.keys)
	cmd.Flags().StringVar(&o.out, "out", "data", "folder for the opened parts · 输出目录")
	cmd.Flags().Int64Var(&o.limit, "max-bytes", 16<<30, "largest part that is unpacked · 解包上限")
	jsonFlag(cmd, &o.asJSON)
	return cmd
}

func researchOpen(cmd *cobra.Command, o openOptions, from string) error {
	opener, err := newPartOpener(o)
	if err != nil {
		return err
	}
	defer opener.key.Destroy()
	parts, err := filepath.Glob(filepath.Join(from, "*", "*", dataset.EnvelopeName))
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		return fmt.Errorf("%s holds no fetched parts (HOSPITAL/PART/%s)", from, dataset.EnvelopeName)
	}
	if err := fsatomic.MkdirPrivate(o.out); err != nil {
		return err
	}
	report := openReport{Parts: []openedPart{}}
	for _, p := range parts {
		one, err := opener.open(cmd.Context(), filepath.Dir(p))
		if err != nil {
			return failed{fmt.Errorf("%s: %w", filepath.Dir(p), err)}
		}
		report.Parts = append(report.Parts, one)
	}
	if err := report.join(); err != nil {
		return err
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), report)
	}
	rows := make([][]any, len(report.Parts))
	for i, p := range report.Parts {
		rows[i] = []any{p.Hospital, fmt.Sprintf("%s %d", p.Kind, p.Sequence), p.Subjects, p.Rows, p.K, p.Anchored, p.Folder}
	}
	if err := table.Write(cmd.OutOrStdout(), []string{"hospital · 医院", "part · 数据包", "subjects · 对象", "rows · 行", "k", "anchored · 已上链", "folder · 目录"}, rows); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d subjects, %d of them in more than one hospital; %d to delete · 共 %d 名对象，%d 名见于多家医院，%d 名须删除\n",
		report.Subjects, report.Shared, report.Withdrawn, report.Subjects, report.Shared, report.Withdrawn)
	return err
}

// partOpener opens parts with an institute's key.
type partOpener struct {
	p     smcrypto.Provider
	roots []*smcrypto.Certificate
	key   *smcrypto.PrivateKey
	id    string
	out   string
	limit int64
}

func newPartOpener(o openOptions) (*partOpener, error) {
	f, err := institute.Open(o.keys)
	if err != nil {
		return nil, err
	}
	roots, err := f.Authority()
	if err != nil {
		return nil, err
	}
	return &partOpener{p: smcrypto.Default(), roots: roots, key: f.EncryptionKey(), id: f.ID, out: o.out, limit: o.limit}, nil
}

// open opens one part. A part that was opened before is verified again where it is.
func (x *partOpener) open(_ context.Context, dir string) (openedPart, error) {
	text, err := os.ReadFile(filepath.Join(dir, dataset.EnvelopeName))
	if err != nil {
		return openedPart{}, err
	}
	e, d, err := dataset.ParseEnvelope(text)
	if err != nil {
		return openedPart{}, err
	}
	if d.Institute != x.id {
		return openedPart{}, fmt.Errorf("%w: it is for institute %s", dataset.ErrUntrusted, d.Institute)
	}
	hospital, err := e.Verify(x.p, d, x.roots)
	if err != nil {
		return openedPart{}, err
	}
	to := filepath.Join(x.out, d.Hospital, filepath.Base(dir))
	m, err := x.unpack(d, hospital, dir, to)
	if err != nil {
		return openedPart{}, err
	}
	anchored, err := anchoredAs(x.p, hospital, e, d)
	return openedPart{Hospital: d.Hospital, Kind: d.Kind, Sequence: d.Sequence, Subjects: m.Subjects, Rows: m.Rows, K: m.Risk.K, Root: d.Root, TxID: e.TxID,
		Anchored: anchored, Folder: to}, err
}

func (x *partOpener) unpack(d dataset.Delivery, hospital smcrypto.PublicKey, dir, to string) (dataset.Manifest, error) {
	if m, root, err := dataset.Verify(to); err == nil && root.Equal(d.Root) {
		return m, nil
	}
	// It is unpacked beside its place, and takes it once it is verified.
	tmp := to + ".opening"
	if err := errors.Join(os.RemoveAll(tmp), os.RemoveAll(to)); err != nil {
		return dataset.Manifest{}, err
	}
	m, err := dataset.Open(dataset.OpenConfig{
		Provider: x.p, Hospital: hospital, Key: x.key.Public().Fingerprint(), Now: time.Now(), Limit: x.limit,
		Decrypt: func(b []byte) ([]byte, error) { return x.p.Decrypt(x.key, b) },
		Volume:  func(i int) (io.ReadCloser, error) { return os.Open(filepath.Join(dir, dataset.VolumeName(i))) },
	}, d, tmp)
	if err != nil {
		return m, errors.Join(err, os.RemoveAll(tmp))
	}
	return m, os.Rename(tmp, to)
}

// anchoredAs compares the hospital's statement for the ledger with what came. A part without
// one is not anchored; one that says something else is not genuine.
func anchoredAs(p smcrypto.Provider, hospital smcrypto.PublicKey, e dataset.Envelope, d dataset.Delivery) (bool, error) {
	if e.Statement == nil {
		return false, nil
	}
	if err := p.Verify(hospital, evidence.SigningBytes(e.Statement.Statement), e.Statement.Signature); err != nil {
		return false, fmt.Errorf("%w: the statement for the ledger: %w", dataset.ErrUntrusted, err)
	}
	st, err := evidence.ParseStatement(e.Statement.Statement)
	if err != nil {
		return false, err
	}
	if d.Kind == dataset.Notice {
		var said evidence.WithdrawSubjects
		err = st.DecodeBody(&said)
		if err == nil && (said.Project != d.Project || said.Sequence != d.Sequence) {
			err = dataset.ErrAltered
		}
		return err == nil, err
	}
	var said evidence.RecordRelease
	err = st.DecodeBody(&said)
	if err == nil && (st.Actor != d.Hospital || said.Project != d.Project || said.Sequence != d.Sequence || said.Root != d.Root || said.Package != e.Digest(p)) {
		err = fmt.Errorf("%w: the statement for the ledger names another release", dataset.ErrAltered)
	}
	return err == nil, err
}

// join counts subjects over all parts by their pseudonym.
func (r *openReport) join() error {
	in := map[string]map[string]bool{}
	gone := map[string]bool{}
	for _, p := range r.Parts {
		name, header := "tables/subjects.csv", 1
		if p.Kind == dataset.Notice {
			name, header = "withdrawn.txt", 0
		}
		list, err := firstColumn(filepath.Join(p.Folder, filepath.FromSlash(name)), header)
		if err != nil {
			return err
		}
		for _, s := range list {
			if p.Kind == dataset.Notice {
				gone[s] = true
				continue
			}
			if in[s] == nil {
				in[s] = map[string]bool{}
			}
			in[s][p.Hospital] = true
		}
	}
	r.Subjects, r.Withdrawn = len(in), len(gone)
	for _, hospitals := range in {
		if len(hospitals) > 1 {
			r.Shared++
		}
	}
	return nil
}

// firstColumn reads the first cell of each line behind some header lines. A file that is not
// there has none.
func firstColumn(path string, header int) (out []string, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := csv.NewReader(f)
	in.ReuseRecord = true
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return out[min(header, len(out)):], nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s is no table", path)
		}
		out = append(out, row[0])
	}
}

func newResearchProveCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "prove FOLDER FILE LINE",
		Short: "Institute: prove one row without showing others · 机构：单行证明",
		Long: `Writes the proof that one line of a file of an opened part belongs to the release whose root is on
the ledger. The proof holds this row and no other. Check it with research check-proof.

为已打开数据包中的一行生成 Merkle 证明，不泄露其他行。`,
		Example: "  emrbridge research prove data/H1MSP/release-000001 tables/conditions.csv 7 > row.proof.json",
		Args:    cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			var line int64
			if _, err := fmt.Sscan(args[2], &line); err != nil {
				return fmt.Errorf("LINE %q is no number", args[2])
			}
			p, err := dataset.Prove(args[0], args[1], line)
			if err != nil {
				return failed{err}
			}
			return printJSON(cmd.OutOrStdout(), p)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func newResearchCheckProofCommand() *cobra.Command {
	var root string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "check-proof FILE",
		Short:   "Check the proof of a row against a root from the ledger · 核验单行证明",
		Example: `  emrbridge research check-proof row.proof.json --root 3f5a…`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readInput(cmd, args[0])
			if err != nil {
				return err
			}
			var p dataset.Proof
			if err := json.NewDecoder(bytes.NewReader(data)).Decode(&p); err != nil {
				return errors.New("the file holds no proof")
			}
			var want evidence.Digest
			if err := want.UnmarshalText([]byte(root)); err != nil {
				return fmt.Errorf("--root: %w", err)
			}
			row, err := p.Check(want)
			if err != nil {
				return failed{err}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"genuine": true, "file": p.File, "line": p.Line, "row": string(row)})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "genuine · 属实: %s line %d\n%s\n", p.File, p.Line, row)
			return err
		},
	}
	cmd.Flags().StringVar(&root, "root", "", "root of the release, 64 hexadecimal digits, as the ledger shows it · 账本上的根")
	_ = cmd.MarkFlagRequired("root")
	jsonFlag(cmd, &asJSON)
	return cmd
}
