package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// verdict is what a command says of one input: one line, for people or as JSON.
type verdict struct {
	File  string `json:"file"`
	Item  int    `json:"item,omitempty"` // number of the message in the file, from 1
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
	// Detail is what the command found, by its own names.
	Detail any `json:"detail,omitempty"`
}

// look reads one file and emits a verdict for each input in it, at least one. Text for
// people goes into note, one or more lines without a final line break.
type look func(ctx context.Context, file string, data []byte, emit func(v verdict, note string))

// inspect runs look over files ("-" is standard input), prints what it says, and fails if
// not all was well. A file that cannot be read is a verdict too.
func inspect(cmd *cobra.Command, files []string, asJSON bool, see look) error {
	out, total, bad := cmd.OutOrStdout(), 0, 0
	for _, file := range files {
		emit := func(v verdict, note string) {
			v.File = file
			total++
			if !v.OK {
				bad++
			}
			if asJSON {
				_ = printJSON(out, v) // a closed pipe ends the command by its signal
				return
			}
			printVerdict(out, v, note)
		}
		data, err := readInput(cmd, file)
		if err != nil {
			emit(verdict{Error: err.Error()}, "")
			continue
		}
		see(cmd.Context(), file, data, emit)
		if err := cmd.Context().Err(); err != nil {
			return err
		}
	}
	if bad > 0 {
		return failed{fmt.Errorf("%d of %d inputs are not well · %d 个输入中有 %d 个不合格", bad, total, total, bad)}
	}
	return nil
}

func printVerdict(out io.Writer, v verdict, note string) {
	name := v.File
	if v.Item > 0 {
		name = fmt.Sprintf("%s #%d", v.File, v.Item)
	}
	switch {
	case v.OK:
		fmt.Fprintf(out, "ok    %s\n", name)
	default:
		fmt.Fprintf(out, "FAIL  %s: %s\n", name, v.Error)
	}
	if note != "" {
		fmt.Fprintln(out, note)
	}
}

// readInput reads a file, or standard input for "-", up to maxInput bytes.
func readInput(cmd *cobra.Command, file string) ([]byte, error) {
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxInput {
		return nil, errors.New("the file is larger than 1 GiB: split it")
	}
	return data, nil
}
