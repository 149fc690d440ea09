package bench

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
)

// Of node-hl7-client, the parser that ours is measured beside.
const (
	nodeParser        = "node-hl7-client"
	nodeParserVersion = "4.0.0"
	nodeMissing       = "needs node and npm: apt-get install nodejs npm"
)

//go:embed hl7_node.js
var nodeScript []byte

// hl7Group is the group of the figures.
const hl7Group = "HL7 v2, one core"

// hl7Modes are what both parsers are asked to do, from the least to the most.
var hl7Modes = []string{"parse and encode", "parse, read every part and encode"}

// HL7 measures reading and writing HL7 v2 messages of a made-up day at a hospital, one core,
// in MB of UTF-8 text, and node-hl7-client on the same messages in the same rounds.
func HL7(ctx context.Context, r *Results, o Options) error {
	day := hospitalday.Generate(7, 60, time.Date(2026, 3, 2, 0, 0, 0, 0, hl7.ChinaStandardTime))
	raws, texts := make([][]byte, 0, len(day.Messages)), make([][]byte, 0, len(day.Messages))
	for _, m := range day.Messages {
		text, _, err := hl7.CharsetPolicy{}.Decode(m.Raw)
		if err != nil {
			return fmt.Errorf("bench: hl7: %w", err)
		}
		raws, texts = append(raws, m.Raw), append(texts, text)
	}
	fmt.Fprintf(o.Progress, "%d HL7 messages, %d KB, with our parser and %s\n", len(texts), size(texts)>>10, nodeParser)
	node, err := newNodeParser(ctx, o, texts)
	if err != nil && ctx.Err() != nil {
		return err
	}
	ours, theirs, err := hl7Rounds(ctx, o.Span/40, raws, texts, node)
	if err != nil {
		return fmt.Errorf("bench: hl7: %w", err)
	}
	for i, mode := range hl7Modes {
		r.add(hl7Group, mode, median(ours[i]), "MB/s", "target 100")
	}
	r.add(hl7Group, "the same with the charsets decoded and encoded", median(ours[2]), "MB/s", "GB 18030, GBK, UTF-8")
	if node == nil {
		r.add(hl7Group, nodeParser+": not measured", 0, "MB/s", nodeMissing)
		return nil
	}
	for i, mode := range hl7Modes {
		r.add(hl7Group, nodeParser+": "+mode, median(theirs[i]), "MB/s", "version "+nodeParserVersion)
		r.add(hl7Group, "ours against it: "+mode, median(ours[i])/median(theirs[i]), "times", "target 10")
	}
	return nil
}

// hl7Rounds measures every mode of both in turn, so that a busy machine slows all alike.
func hl7Rounds(ctx context.Context, span time.Duration, raws, texts [][]byte, node *nodeParserRun) (ours [3][]float64, theirs [2][]float64, err error) {
	const rounds = 7
	sinks := [3]func() error{
		func() error { return eachText(texts, false) },
		func() error { return eachText(texts, true) },
		func() error { return eachRaw(raws) },
	}
	total := float64(size(texts))
	for range rounds {
		for i, pass := range sinks {
			took, err := perOp(span, pass)
			if err != nil {
				return ours, theirs, err
			}
			ours[i] = append(ours[i], total/took/1e6)
		}
		if node == nil {
			continue
		}
		speeds, err := node.run(ctx, span)
		if err != nil {
			return ours, theirs, err
		}
		for i, bytesPerSecond := range speeds {
			theirs[i] = append(theirs[i], bytesPerSecond/1e6)
		}
	}
	return ours, theirs, nil
}

func size(b [][]byte) int {
	n := 0
	for _, x := range b {
		n += len(x)
	}
	return n
}

// eachText parses and encodes every message, and with walk reads each of its parts.
func eachText(texts [][]byte, walk bool) error {
	var buf []byte
	for _, text := range texts {
		m, err := hl7.Parse(text)
		if err != nil {
			return err
		}
		if walk && parts(m) == 0 {
			return errors.New("a message without parts")
		}
		if buf = m.AppendTo(buf[:0]); len(buf) != len(text) {
			return errors.New("a message changed")
		}
	}
	return nil
}

// parts reads every part of a message and its place.
func parts(m *hl7.Message) int {
	n := 0
	for w := m.Walk(); w.Next(); {
		n += len(w.Raw()) + w.Field() + w.Repetition() + w.Component() + w.Subcomponent()
	}
	return n
}

// eachRaw does the same from and to the bytes on the wire, in their charsets.
func eachRaw(raws [][]byte) error {
	for _, raw := range raws {
		text, cs, err := hl7.CharsetPolicy{}.Decode(raw)
		if err != nil {
			return err
		}
		m, err := hl7.Parse(text)
		if err != nil {
			return err
		}
		if parts(m) == 0 {
			return errors.New("a message without parts")
		}
		if back, err := cs.Encode(m.Encode()); err != nil || !bytes.Equal(back, raw) {
			return fmt.Errorf("a message changed: %w", err)
		}
	}
	return nil
}

// nodeParserRun measures node-hl7-client in a process of node.
type nodeParserRun struct{ node, script, messages string }

// newNodeParser installs the parser into the build folder with npm, as pinned. A machine
// without node, or without the package, is an error that leaves the comparison out.
func newNodeParser(ctx context.Context, o Options, texts [][]byte) (*nodeParserRun, error) {
	dir, err := nodeFolder(o)
	if err != nil {
		return nil, err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("bench: %s: %w", nodeMissing, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", nodeParser)); err != nil {
		install := exec.CommandContext(ctx, "npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts",
			nodeParser+"@"+nodeParserVersion)
		if out, err := install.CombinedOutput(); err != nil {
			fmt.Fprintf(o.Progress, "npm install: %v\n%s", err, out)
			return nil, fmt.Errorf("bench: %s: %w", nodeMissing, err)
		}
	}
	run := &nodeParserRun{node: node, script: filepath.Join(dir, "hl7_node.js"), messages: filepath.Join(dir, "messages.json")}
	list := make([]string, len(texts))
	for i, text := range texts {
		list[i] = string(text)
	}
	b, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("bench: hl7: %w", err)
	}
	if err := errors.Join(os.WriteFile(run.messages, b, 0o600), os.WriteFile(run.script, nodeScript, 0o600)); err != nil {
		return nil, fmt.Errorf("bench: hl7: %w", err)
	}
	return run, nil
}

// nodeFolder makes the folder for the package: in the build folder of the repository if
// there is one, in the working folder of the run otherwise.
func nodeFolder(o Options) (string, error) {
	base := os.Getenv("EMRBRIDGE_BUILD_DIR")
	if base == "" {
		base = o.Dir
	}
	dir, err := filepath.Abs(filepath.Join(base, "node-bench"))
	if err != nil {
		return "", fmt.Errorf("bench: hl7: %w", err)
	}
	return dir, os.MkdirAll(dir, 0o755) //nolint:gosec // the folder is chosen by whoever runs the bench
}

// run returns the speed of each mode in bytes per second.
func (n *nodeParserRun) run(ctx context.Context, span time.Duration) ([]float64, error) {
	cmd := exec.CommandContext(ctx, n.node, n.script, n.messages, strconv.Itoa(int(span.Milliseconds())))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nodeParser, err)
	}
	var speeds []float64
	if err := json.Unmarshal(out, &speeds); err != nil || len(speeds) != len(hl7Modes) {
		return nil, fmt.Errorf("%s: an answer that cannot be read: %w", nodeParser, err)
	}
	return speeds, nil
}
