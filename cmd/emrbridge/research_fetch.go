package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/emrbridge/emrbridge/gateway/research"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/internal/table"
	"github.com/emrbridge/emrbridge/research/depot"
	"github.com/emrbridge/emrbridge/research/institute"
)

// fetchOptions are the flags of `research fetch`.
type fetchOptions struct {
	keys, out, from string
	list, asJSON    bool
}

// fetched is one line of `research fetch --json`.
type fetched struct {
	depot.Status
	Bytes  int64  `json:"bytes"`
	Folder string `json:"folder,omitempty"`
}

func newResearchFetchCommand() *cobra.Command {
	var o fetchOptions
	cmd := &cobra.Command{
		Use:   "fetch PROJECT",
		Short: "Institute: fetch the sealed parts from the proxy hospital · 机构：从代理医院获取封装数据",
		Long: `Fetches what hospitals have released for the project and the proxy hospital keeps, sealed, into
--out/HOSPITAL/PART. What is there already is not fetched again, and a part that broke off goes on.
The institute needs its own key folder (research init) and no right in any hospital.

获取各医院发布的封装数据；可断点续传；仅需机构自己的密钥目录。`,
		Example: "  emrbridge research fetch INST1.2026-001 --dir institute --out parts",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return researchFetch(cmd, o, args[0]) },
	}
	dirFlag(cmd, &o.keys)
	cmd.Flags().StringVar(&o.out, "out", "parts", "folder for the parts · 输出目录")
	cmd.Flags().StringVar(&o.from, "proxy", "", "https address of the proxy hospital's gateway; default that of the key folder · 代理医院网关地址")
	cmd.Flags().BoolVar(&o.list, "list", false, "only list what is there · 仅列出")
	jsonFlag(cmd, &o.asJSON)
	return cmd
}

func researchFetch(cmd *cobra.Command, o fetchOptions, project string) error {
	ctx := cmd.Context()
	c, err := partsClient(o.keys, o.from)
	if err != nil {
		return err
	}
	defer c.Close()
	list, err := c.List(ctx, project)
	if err != nil {
		return failed{err}
	}
	if err := fsatomic.MkdirPrivate(o.out); err != nil {
		return err
	}
	out := []fetched{}
	for _, s := range list {
		f := fetched{Status: s}
		for _, n := range s.Sizes {
			f.Bytes += n
		}
		if !o.list {
			progress := transferred(cmd.ErrOrStderr(), s.Hospital+" "+s.Part())
			if f.Folder, err = c.Fetch(ctx, s.Place, o.out, progress); err != nil {
				return failed{fmt.Errorf("%s %s: %w", s.Hospital, s.Part(), err)}
			}
		}
		out = append(out, f)
	}
	if err := printFetched(cmd.OutOrStdout(), out, o.asJSON); err != nil {
		return err
	}
	if len(out) == 0 {
		return failed{errors.New("the proxy hospital has nothing for this project yet · 暂无数据")}
	}
	return nil
}

// partsClient calls the proxy hospital as the institute of a key folder.
func partsClient(keys, from string) (*research.Client, error) {
	f, err := institute.Open(keys)
	if err != nil {
		return nil, err
	}
	pair, pool, err := f.TLS()
	if err != nil {
		return nil, err
	}
	if from == "" {
		from = f.Proxy
	}
	return research.NewInstituteClient(from, pair, pool)
}

// transferred shows how far a transfer is, on a terminal.
func transferred(w io.Writer, what string) func(have, of int64) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func(have, of int64) { fmt.Fprintf(w, "\r%s: %d of %d bytes ", what, have, of) }
}

func printFetched(w io.Writer, list []fetched, asJSON bool) error {
	if asJSON {
		return printJSON(w, list)
	}
	rows := make([][]any, len(list))
	for i, f := range list {
		rows[i] = []any{f.Hospital, f.Part(), f.Bytes, f.Folder}
	}
	return table.Write(w, []string{"hospital · 医院", "part · 数据包", "bytes", "folder · 目录"}, rows)
}
