package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/guard"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// MLLP measures messages that are acknowledged over loopback TCP, each only when it is on
// disk: listener, parser, duplicate check, encryption and the embedded bus with an fsync
// for each commit, without the stages behind. Every connection waits for its answer before
// it sends the next message, as a HIS does.
func MLLP(ctx context.Context, r *Results, o Options) (err error) {
	d, err := openDoor(ctx, filepath.Join(o.Dir, "mllp"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	const group = "HL7 v2 over MLLP, acknowledged after fsync"
	// One first and last, so that a disk that changes its mind shows.
	var single, at64 float64
	for _, conns := range []int{1, 16, 64} {
		fmt.Fprintf(o.Progress, "MLLP with %d connections\n", conns)
		took, err := d.closedLoop(ctx, conns, o.Span/2)
		if err != nil {
			return err
		}
		rate := float64(len(took)) / (o.Span / 2).Seconds()
		anchor := ""
		switch conns {
		case 1:
			single, anchor = rate, "one by one: every message waits for its own fsync"
		case 64:
			at64, anchor = rate, "target 6,000; Iguana 486"
		}
		name := fmt.Sprintf("MLLP: %d connections", conns)
		r.add(group, name, rate, "messages/s", anchor)
		r.add(group, name+", p99", quantile(took, 0.99), "ms", "")
	}
	r.add(group, "MLLP: 64 connections over 1", at64/single, "ratio", "target 25")
	const offered = 1000
	fmt.Fprintf(o.Progress, "MLLP at %d messages/s offered\n", offered)
	took, err := d.openLoop(ctx, 64, offered, o.Span/2)
	if err != nil {
		return err
	}
	r.add(group, "MLLP: 1,000/s offered, p50", quantile(took, 0.5), "ms", "from the moment at which it was due")
	r.add(group, "MLLP: 1,000/s offered, p99", quantile(took, 0.99), "ms", "target 50")
	return nil
}

// door is an endpoint with all that an acknowledgement waits for.
type door struct {
	bus    *bus.Bus
	guard  *guard.Guard
	server *mllp.Server
	addr   string
	mu     sync.Mutex
	next   int
}

func openDoor(ctx context.Context, dir string) (_ *door, err error) {
	d := &door{}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	p := smcrypto.Default()
	body, err := smcrypto.ParseKey(key[:smcrypto.KeySize])
	if err != nil {
		return nil, err
	}
	if d.bus, err = bus.Open(ctx, bus.Config{Dir: dir, Key: key, Cipher: bus.NewCipher(p, body)}); err != nil {
		return nil, err
	}
	if d.guard, err = guard.Open(ctx, guard.Config{Embedded: true, Key: key}); err != nil {
		return nil, err
	}
	in, err := intake.New(intake.Deps{HospitalNumber: 1, HospitalMSP: "H1MSP", Bus: d.bus, RouteKey: key, Provider: p, Ledger: ledger{d.guard}})
	if err != nil {
		return nil, err
	}
	receiver := &hl7.Receiver{Submit: func(ctx context.Context, s hl7.Submission) error {
		_, err := in.Submit(ctx, intake.Submission{Raw: s.Raw, Sender: s.Sender, ControlID: s.ControlID, Kind: s.Kind,
			MediaType: hl7.MediaType, Charset: s.Charset, Peer: s.Peer, RoutingHint: s.RoutingHint, ReceivedAt: s.ReceivedAt})
		return err
	}}
	if d.server, err = mllp.New(mllp.Config{Handler: mllp.ForReceiver(receiver)}); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d.addr = listener.Addr().String()
	go func() { _ = d.server.Serve(listener) }() // ends with close
	return d, nil
}

func (d *door) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var errs []error
	if d.server != nil {
		errs = append(errs, d.server.Shutdown(ctx))
	}
	if d.guard != nil {
		errs = append(errs, d.guard.Close())
	}
	if d.bus != nil {
		errs = append(errs, d.bus.Close(ctx))
	}
	return errors.Join(errs...)
}

// ledger speaks intake's language for the guard.
type ledger struct{ guard *guard.Guard }

var verdictOf = map[guard.Outcome]intake.Verdict{guard.New: intake.Unknown, guard.Duplicate: intake.Same, guard.Conflict: intake.Differs}

func (l ledger) Check(ctx context.Context, sender, id string, digest [32]byte) (intake.Verdict, error) {
	o, err := l.guard.Control(ctx, guard.Control{Sender: sender, ControlID: id, Digest: digest})
	return verdictOf[o], err
}

func (l ledger) Remember(ctx context.Context, sender, id string, digest [32]byte) (intake.Verdict, error) {
	o, err := l.guard.Remember(ctx, guard.Control{Sender: sender, ControlID: id, Digest: digest})
	if err != nil {
		return intake.Unknown, err
	}
	return verdictOf[o[0]], nil
}

// message returns a result of about 1.2 KB under a control id of its own, for one of 500
// patients.
func (d *door) message() []byte {
	d.mu.Lock()
	n := d.next
	d.next++
	d.mu.Unlock()
	text := fmt.Sprintf("MSH|^~\\&|LIS|BENCH|EMRBRIDGE|H1|20260301083000+0800||ORU^R01^ORU_R01|B%09d|P|2.5.1|||||||UNICODE UTF-8\r"+
		"PID|1||P%06d^^^BENCH^PI||测试^某||19800101|M\rPV1|1|I|内科^302^1||||1001^医^生\r"+
		"OBR|1|O%d|F%d|24317-0^血常规^LN|||20260301081500+0800\r", n, n%500, n, n)
	for i := 1; len(text) < 1200; i++ {
		text += fmt.Sprintf("OBX|%d|NM|6690-2^白细胞计数^LN||%d.%d|10*9/L^10*9/L^UCUM|3.5-9.5|N|||F|||20260301082000+0800\r", i, n%9+1, i)
	}
	return []byte(text)
}

// closedLoop lets every connection send as fast as it is answered, and returns how long
// each answer took, in milliseconds.
func (d *door) closedLoop(ctx context.Context, conns int, span time.Duration) ([]float64, error) {
	return d.load(ctx, conns, func(send func(due time.Time) error) error {
		for end := time.Now().Add(span); time.Now().Before(end); {
			if err := send(time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}

// openLoop sends at a rate whatever the answers do, and returns how long each took from
// when it was due, in milliseconds.
func (d *door) openLoop(ctx context.Context, conns, rate int, span time.Duration) ([]float64, error) {
	due := make(chan time.Time, int(span.Seconds()+1)*rate)
	go func() {
		defer close(due)
		begun := time.Now()
		for i := range int(span.Seconds() * float64(rate)) {
			at := begun.Add(time.Duration(i) * time.Second / time.Duration(rate))
			time.Sleep(time.Until(at))
			due <- at
		}
	}()
	return d.load(ctx, conns, func(send func(due time.Time) error) error {
		for at := range due {
			if err := send(at); err != nil {
				return err
			}
		}
		return nil
	})
}

// load runs a sender on each of a number of connections.
func (d *door) load(ctx context.Context, conns int, run func(send func(due time.Time) error) error) ([]float64, error) {
	var mu sync.Mutex
	var all []float64
	var errs []error
	var wg sync.WaitGroup
	for range conns {
		c, err := mllp.Dial(ctx, d.addr, mllp.ClientConfig{})
		if err != nil {
			return nil, err
		}
		defer c.Close()
		wg.Go(func() {
			var took []float64
			err := run(func(due time.Time) error {
				reply, err := c.Send(ctx, d.message())
				if err == nil && !reply.Code.Accepted() {
					err = fmt.Errorf("bench: answered %s: %s", reply.Code, reply.Text)
				}
				took = append(took, time.Since(due).Seconds()*1000)
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			all, errs = append(all, took...), append(errs, err)
		})
	}
	wg.Wait()
	return all, errors.Join(errs...)
}
