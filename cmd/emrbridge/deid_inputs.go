package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/engine"
)

// deidInput is one file to read, and the name of its result below the output folder.
type deidInput struct {
	path string // as given; "-" is standard input
	out  string
	size int64
}

// deidInputs lists the files: those given, and those below folders that are given, hidden
// ones left out.
func deidInputs(args []string) ([]deidInput, error) {
	var out []deidInput
	from := map[string]string{}
	add := func(in deidInput) error {
		if first, taken := from[in.out]; taken {
			return fmt.Errorf("%s and %s would have the same name in the output folder: run them one after the other into two folders", first, in.path)
		}
		from[in.out] = in.path
		out = append(out, in)
		return nil
	}
	for _, arg := range args {
		if arg == "-" {
			if err := add(deidInput{path: "-", out: "stdin"}); err != nil {
				return nil, err
			}
			continue
		}
		info, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			if err := add(deidInput{arg, filepath.Base(arg), info.Size()}); err != nil {
				return nil, err
			}
			continue
		}
		if err := walkInputs(arg, add); err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there is no file in what was given")
	}
	return out, nil
}

func walkInputs(root string, add func(deidInput) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := path != root && strings.HasPrefix(d.Name(), ".")
		switch {
		case d.IsDir() && hidden:
			return fs.SkipDir
		case d.IsDir() || hidden || !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return add(deidInput{path, below, info.Size()})
	})
}

// deidFormat reads --format; "" leaves it to the bytes of each input.
func deidFormat(name string) (desensitize.Format, error) {
	switch f := desensitize.Format(name); f {
	case "", desensitize.HL7v2, desensitize.FHIR, desensitize.CDA, desensitize.FreeText:
		return f, nil
	}
	return "", fmt.Errorf("--format %q: it must be hl7v2, fhir, cda or text", name)
}

// deidPolicy reads a policy by its name or from a file.
func deidPolicy(name string) (*desensitize.Policy, error) {
	if _, shipped := desensitize.ShippedSource(name); shipped {
		return desensitize.ShippedPolicy(name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--policy %s: neither a file (%w) nor one of %s", name, err, strings.Join(desensitize.Shipped(), ", "))
	}
	defer f.Close()
	p, err := desensitize.ReadPolicy(f)
	if err != nil {
		return nil, fmt.Errorf("--policy %s: %w", name, err)
	}
	return p, nil
}

// sniffFormat is the format of the first bytes, unless one was asked for.
func sniffFormat(asked desensitize.Format, head []byte) desensitize.Format {
	if asked != "" {
		return asked
	}
	return engine.Detect(head)
}
