package demo

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

// outcome counts what the hospital answered. acked holds the accepted messages.
type outcome struct {
	mu      sync.Mutex
	acked   [][]byte
	refused int
}

func (o *outcome) count() (acked, refused int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.acked), o.refused
}

// send sends messages over as many connections as there are lanes; a lane keeps its
// order, as one HIS interface does.
func send(ctx context.Context, addr string, lanes [][][]byte, o *outcome) error {
	errs := make([]error, len(lanes))
	var wg sync.WaitGroup
	for i, lane := range lanes {
		wg.Go(func() { errs[i] = sendLane(ctx, addr, lane, o) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func sendLane(ctx context.Context, addr string, messages [][]byte, o *outcome) error {
	client, err := mllp.Dial(ctx, addr, mllp.ClientConfig{AnswerTimeout: 30 * time.Second, Charset: hl7.CharsetPolicy{Default: hl7.UTF8}})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { _ = client.Close() }()
	for _, m := range messages {
		reply, err := client.Send(ctx, m)
		if err != nil {
			return fmt.Errorf("demo: send: %w", err)
		}
		o.mu.Lock()
		if reply.Code.Accepted() {
			o.acked = append(o.acked, m)
		} else {
			o.refused++
		}
		o.mu.Unlock()
	}
	return nil
}

// dayLanes deals the messages of an invented day to n lanes, a patient's to the same one.
func dayLanes(day *hospitalday.Day, n int) [][][]byte {
	lanes := make([][][]byte, n)
	for _, m := range day.Messages {
		i := m.PatientIndex % n
		lanes[i] = append(lanes[i], m.Raw)
	}
	return lanes
}

// fileLanes reads the messages of a file or of all files below a folder into one lane.
func fileLanes(path string) ([][][]byte, error) {
	var lane [][]byte
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(name) //nolint:gosec // the user named the folder for this
		if err != nil {
			return err
		}
		defer f.Close()
		stream, err := hl7.ReadMessages(f, 1<<30)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		lane = append(lane, stream.Messages()...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("demo: input: %w", err)
	}
	if len(lane) == 0 {
		return nil, fmt.Errorf("demo: %s holds no HL7 message; a message begins with MSH", path)
	}
	return [][][]byte{lane}, nil
}
