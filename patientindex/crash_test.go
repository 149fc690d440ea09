package patientindex_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/record"
)

const crashDir = "EMRBRIDGE_PATIENTS_CRASH_DIR"

// crashChild files an endless stream and prints the number of each record that is durable.
func crashChild() bool {
	dir := os.Getenv(crashDir)
	if dir == "" {
		return false
	}
	var start int
	fmt.Sscan(os.Getenv(crashDir+"_FROM"), &start)
	x, err := patientindex.Open(context.Background(), dir, patientindex.Options{HospitalMSP: "H1MSP", Keys: testKeys{"k"}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for n := start; ; n++ {
		if _, err := file(context.Background(), x, n); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

// file files record n of a fixed stream: numbers, joins, merges and their undoing.
func file(ctx context.Context, x *patientindex.Index, n int) (patientindex.Filing, error) {
	rng := rand.New(rand.NewPCG(7, uint64(n)))
	p := func() record.Identifier { return local(fmt.Sprint("P", rng.IntN(12))) }
	e := patientindex.Evidence{Record: recordNo(n), Event: "T", At: int64(n), Identifiers: ids(p())}
	m := patientindex.Merge{Event: "A40", Survivor: e.Identifiers, Prior: ids(p())}
	switch rng.IntN(8) {
	case 0:
		return x.Merge(ctx, e, m)
	case 1:
		return x.Unmerge(ctx, e, m)
	case 2, 3:
		e.Identifiers = append(e.Identifiers, resident(rng.IntN(8)))
	case 4:
		e.Identifiers = append(e.Identifiers, visit(fmt.Sprint("Z", rng.IntN(30))))
	case 5:
		e.Identifiers = ids(visit(fmt.Sprint("Z", rng.IntN(30))))
	}
	return x.Observe(ctx, e)
}

// TestKilledAtAnyMoment kills the writing process again and again and compares what is left
// with an index that nobody killed.
func TestKilledAtAnyMoment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "patients")
	last := 0
	for range 5 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir, fmt.Sprintf("%s_FROM=%d", crashDir, last+1))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		time.AfterFunc(time.Duration(100+rand.IntN(200))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var n int
			if _, err := fmt.Sscan(lines.Text(), &n); err == nil {
				last = max(last, n)
			}
		}
		_ = cmd.Wait()
	}
	require.Positive(t, last)
	survived, whole := open(t, dir), open(t, filepath.Join(t.TempDir(), "patients"))
	defer survived.Close()
	defer whole.Close()
	_, err := file(t.Context(), survived, last+1) // it may have been durable and not told
	require.NoError(t, err)
	for n := 1; n <= last+1; n++ {
		want, err := file(t.Context(), whole, n)
		require.NoError(t, err)
		got, err := survived.Filed(t.Context(), recordNo(n), want.Tag)
		require.NoError(t, err)
		require.Equal(t, want.Registration, got.Registration)
		require.Equal(t, want.Incidents, got.Incidents, "record %d", n)
		require.Len(t, got.Links, len(want.Links), "record %d", n)
	}
	require.Equal(t, shape(t, whole), shape(t, survived))
}

// shape is what two indexes of the same records have in common.
func shape(t *testing.T, x *patientindex.Index) (out []string) {
	t.Helper()
	changes, err := x.Changes(t.Context(), 0, patientindex.MaxChanges, false)
	require.NoError(t, err)
	for _, c := range changes {
		out = append(out, fmt.Sprint(c.Kind, c.Record, c.From, c.To, c.UndoneBy))
	}
	for i := range 12 {
		p, err := x.Resolve(t.Context(), ids(local(fmt.Sprint("P", i))))
		if err != nil {
			out = append(out, err.Error())
			continue
		}
		out = append(out, fmt.Sprint(p.Tag, tagsOf(p)))
	}
	return out
}

func TestRebuiltIndexSaysTheSame(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "patients")
	x := open(t, dir)
	const records = 150
	var last uint64
	for n := 1; n <= records; n++ {
		f, err := file(t.Context(), x, n)
		require.NoError(t, err)
		for _, l := range f.Links {
			last = max(last, l.Order)
		}
	}
	want := shape(t, x)
	o := patientindex.Options{HospitalMSP: "H1MSP", Keys: testKeys{"k"}, Now: func() time.Time { return time.UnixMilli(1) }}
	fill := func(ctx context.Context, x *patientindex.Index) error {
		for n := 1; n <= records; n++ {
			if _, err := file(ctx, x, n); err != nil {
				return err
			}
		}
		return nil
	}
	require.ErrorIs(t, patientindex.Rebuild(t.Context(), dir, o, fill), patientindex.ErrInUse)
	require.NoError(t, x.Close())
	failure := errors.New("the store is away")
	require.ErrorIs(t, patientindex.Rebuild(t.Context(), dir, o, func(context.Context, *patientindex.Index) error { return failure }), failure)
	require.NoError(t, patientindex.Rebuild(t.Context(), dir, o, fill))
	x = open(t, dir)
	defer x.Close()
	require.Equal(t, want, shape(t, x))
	changes, err := x.Changes(t.Context(), 0, 1, false)
	require.NoError(t, err)
	require.Greater(t, changes[0].Order, last, "the ledger knows the old order: the new one goes on after it")
}
