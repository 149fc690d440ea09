package ferry

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// Limits bound one channel. Zero fields take their defaults.
type Limits struct {
	BundleBytes   int64         // of the messages of one bundle; default 4 MiB, at most 64 MiB
	BundleCount   int           // messages of one bundle; default 1,000
	OutboxBytes   int64         // bulk files that may wait for the gatekeeper; default 64 MiB
	BytesInSecond int64         // bulk written to the outbox; default 0: no limit
	SpoolBytes    int64         // not yet confirmed; Send is refused beyond it; default 8 GiB
	Settle        time.Duration // a file that does not add up is given this long to become whole; default 10 s
	GapAfter      time.Duration // a bundle that is missing is asked for after this; default 5 s
	ResendAfter   time.Duration // what is not confirmed is written again after this; default 60 s
	Heartbeat     time.Duration // between two control files when nothing happens; default 10 s
	DeadAfter     time.Duration // without any sign of the other side; default 60 s
	Repeat        int           // one-way: how often each bundle is written; default 3
	RepeatEvery   time.Duration // one-way: between two of them; default 30 s
	Keep          time.Duration // one-way: how long a bundle can be asked for again; default 7 days
}

const mostBundleBytes = 64 << 20

func (l Limits) withDefaults() Limits {
	bytes := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	span := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	bytes(&l.BundleBytes, 4<<20)
	bytes(&l.OutboxBytes, 64<<20)
	bytes(&l.SpoolBytes, 8<<30)
	span(&l.Settle, 10*time.Second)
	span(&l.GapAfter, 5*time.Second)
	span(&l.ResendAfter, time.Minute)
	span(&l.Heartbeat, 10*time.Second)
	span(&l.DeadAfter, time.Minute)
	span(&l.RepeatEvery, 30*time.Second)
	span(&l.Keep, 7*24*time.Hour)
	if l.BundleCount <= 0 {
		l.BundleCount = 1000
	}
	if l.Repeat <= 0 {
		l.Repeat = 3
	}
	l.BundleBytes = min(l.BundleBytes, mostBundleBytes)
	l.BundleCount = min(l.BundleCount, MaxMessages)
	return l
}

// fileBytes bounds a data file: the messages, what describes them, and what sealing adds.
func (l Limits) fileBytes() int64 { return 2*mostBundleBytes + 16<<20 }

// Inlet is where messages go on the receiving side. Implementations keep the mark of a lane
// in the same place as the messages.
type Inlet interface {
	// Delivered returns the last mark of a lane, or the zero Mark.
	Delivered(ctx context.Context, lane Lane) (Mark, error)
	// Deliver stores messages, which may be none, and the mark in one step: all or nothing,
	// also in a crash. On an error the caller does not know which, and asks Delivered.
	Deliver(ctx context.Context, lane Lane, mark Mark, messages []Message) error
}

// Scanner looks for malware in a message, such as clamd does. An error that is no *Infected
// means that it could not look: nothing is delivered then.
type Scanner interface {
	Scan(ctx context.Context, data []byte) error
}

// Infected is the answer of a Scanner that found something.
type Infected struct{ Signature string }

func (e *Infected) Error() string { return "ferry: malware: " + e.Signature }

// Config sets a Port up.
type Config struct {
	Out string // name of the channel that leaves here; with Outbox
	In  string // name of the channel that arrives here; with Inbox

	Outbox     string // folder from which the gatekeeper takes; empty: nothing leaves
	Inbox      string // folder to which it brings; empty: nothing arrives
	Spool      string // folder of this side alone, on a local disk
	Quarantine string // folder of this side alone

	Extension string // of every file, for the gatekeeper's allow-list; default "dat"
	Content   Content
	OneWay    bool // there is no way back: nothing is ever confirmed

	Provider  smcrypto.Provider
	Signing   *smcrypto.PrivateKey   // this side's key
	Opening   []*smcrypto.PrivateKey // keys by which this side may have been sealed to
	Peer      []smcrypto.PublicKey   // keys by which the other side may sign
	Recipient smcrypto.PublicKey     // the other side's encryption key, for Sealed

	Inlet   Inlet
	Scanner Scanner                      // nil: none
	Protect func([]byte) ([]byte, error) // encrypts what goes into the quarantine; nil keeps it as it came
	Observe func(Event)                  // told of what happens; must not block; nil: nobody
	Limits  Limits
	Disk    Disk             // nil: the operating system's
	Now     func() time.Time // nil: time.Now
}

var (
	channelName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
	extension   = regexp.MustCompile(`^[A-Za-z0-9]{1,8}$`)
)

func (c Config) check() error { //nolint:cyclop // one line for each rule
	var errs []error
	no := func(format string, args ...any) { errs = append(errs, fmt.Errorf("ferry: "+format, args...)) }
	if c.Outbox == "" && c.Inbox == "" {
		no("neither outbox nor inbox")
	}
	if c.Outbox != "" && !channelName.MatchString(c.Out) || c.Inbox != "" && !channelName.MatchString(c.In) {
		no("a channel is named by 1 to 32 of a-z, 0-9 and - inside")
	}
	if c.Out != "" && c.Out == c.In {
		no("both directions are named %s", c.Out)
	}
	if c.Spool == "" || c.Quarantine == "" {
		no("spool and quarantine need folders of their own")
	}
	if !extension.MatchString(c.Extension) {
		no("the extension %q is not 1 to 8 letters and digits", c.Extension)
	}
	if c.Provider == nil || c.Outbox != "" && c.Signing == nil {
		no("no provider, or no key to sign by")
	}
	if c.Inbox != "" && len(c.Peer) == 0 {
		no("no key of the other side")
	}
	if c.Inbox != "" && c.Inlet == nil {
		no("no inlet for what arrives")
	}
	if c.Outbox != "" && c.Content == Sealed && c.Recipient.IsZero() {
		no("sealed bundles need the encryption key of the other side")
	}
	if !c.OneWay && (c.Outbox == "" || c.Inbox == "") {
		no("a channel without a way back must be declared one-way")
	}
	return errors.Join(errs...)
}

// EventKind says what happened.
type EventKind string

// Events. Those marked ! want a person.
const (
	Placed      EventKind = "placed"      // a bundle was written to the outbox
	Resent      EventKind = "resent"      // … again
	Delivered   EventKind = "delivered"   // a bundle reached the inlet
	Confirmed   EventKind = "confirmed"   // the other side has it
	Duplicate   EventKind = "duplicate"   // it came once more
	Gap         EventKind = "gap"         // it is missing and was asked for
	Altered     EventKind = "altered"     // ! size or digest differ from the manifest
	Unsigned    EventKind = "unsigned"    // ! a manifest that no trusted key signed
	Foreign     EventKind = "foreign"     // ! a file that is none of this channel
	Fork        EventKind = "fork"        // ! signed, but it does not follow the bundle before it
	Unopened    EventKind = "unopened"    // ! sealed to a key that is not here, or not readable
	Malware     EventKind = "malware"     // ! the scanner refused a message
	Silent      EventKind = "silent"      // ! no sign of the other side
	Alive       EventKind = "alive"       // there is one again
	FolderGone  EventKind = "folder-gone" // ! inbox or outbox cannot be read or written
	FolderBack  EventKind = "folder-back"
	ClockSkewed EventKind = "clock-skewed" // ! the other side's clock differs by minutes
)

// Event is one thing that happened.
type Event struct {
	Kind  EventKind
	Lane  Lane
	Seq   uint64
	Bytes int64
	Err   error
}
