package config

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Ferry are the channels across a gatekeeper that passes only files.
type Ferry struct {
	Channels []FerryChannel `yaml:"channels"`
}

// FerryChannel is this side's end of a channel. Without Keys it is switched off.
type FerryChannel struct {
	Name       string   `yaml:"name"`
	Out        string   `yaml:"out"`
	In         string   `yaml:"in"`
	Outbox     string   `yaml:"outbox"`
	Inbox      string   `yaml:"inbox"`
	Extension  string   `yaml:"extension"`
	Content    string   `yaml:"content"`
	OneWay     bool     `yaml:"one_way"`
	Keys       string   `yaml:"keys"`
	FormerKeys []string `yaml:"former_keys"`
	Peers      []string `yaml:"peers"`
	Spool      string   `yaml:"spool"`
	Send       string   `yaml:"send"`
	SendUrgent string   `yaml:"send_urgent"`
	Receive    string   `yaml:"receive"`

	BundleBytes   Size     `yaml:"bundle_bytes"`
	OutboxBytes   Size     `yaml:"outbox_bytes"`
	BytesInSecond Size     `yaml:"bytes_in_second"`
	SpoolBytes    Size     `yaml:"spool_bytes"`
	Settle        Duration `yaml:"settle"`
	Heartbeat     Duration `yaml:"heartbeat"`
	DeadAfter     Duration `yaml:"dead_after"`
	Repeat        int      `yaml:"repeat"`
}

// On says whether the channel is switched on.
func (f FerryChannel) On() bool { return f.Keys != "" }

func (f *FerryChannel) complete(absolute func(string) string, dataDir string) {
	size := func(v *Size, d Size) {
		if *v == 0 {
			*v = d
		}
	}
	span := func(v *Duration, d time.Duration) {
		if *v == 0 {
			*v = Duration(d)
		}
	}
	text := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	text(&f.Extension, "dat")
	text(&f.Content, "sealed")
	text(&f.Spool, filepath.Join(dataDir, "ferry", f.Name))
	size(&f.BundleBytes, 4<<20)
	size(&f.OutboxBytes, 64<<20)
	size(&f.SpoolBytes, 8<<30)
	span(&f.Settle, 10*time.Second)
	span(&f.Heartbeat, 10*time.Second)
	span(&f.DeadAfter, time.Minute)
	if f.Repeat == 0 {
		f.Repeat = 3
	}
	paths := []*string{&f.Outbox, &f.Inbox, &f.Keys, &f.Spool, &f.Send, &f.SendUrgent, &f.Receive}
	for i := range f.FormerKeys {
		paths = append(paths, &f.FormerKeys[i])
	}
	for i := range f.Peers {
		paths = append(paths, &f.Peers[i])
	}
	for _, p := range paths {
		if *p != "" {
			*p = absolute(*p)
		}
	}
}

func (f Ferry) check(k *checker) {
	seen := map[string]bool{}
	for i, c := range f.Channels {
		if !c.On() {
			continue
		}
		at := fmt.Sprintf("ferry.channels[%d].", i)
		if k.need(at+"name", c.Name, "a short name for commands") && (seen[c.Name] || !shortName(c.Name)) {
			k.add(at+"name", "%q is used twice, or is not made of letters, digits, - and _", c.Name)
		}
		seen[c.Name] = true
		c.check(k, at)
	}
}

func (f FerryChannel) check(k *checker, at string) {
	if f.Outbox == "" && f.Inbox == "" {
		k.add(at+"outbox", "neither outbox nor inbox is given: name the folder that the gatekeeper takes from, or brings to, or both")
	}
	if !f.OneWay && (f.Outbox == "" || f.Inbox == "") {
		k.add(at+"one_way", "only one direction is given; if there is no way back, say one_way: true")
	}
	f.checkFolders(k, at)
	if f.Outbox != "" {
		k.need(at+"out", f.Out, "the name of the channel that leaves here, the same on both sides")
	}
	if f.Inbox != "" {
		k.need(at+"in", f.In, "the name of the channel that arrives here, the same on both sides")
	}
	k.oneOf(at+"content", f.Content, "sealed", "signed", "plain")
	if len(f.Peers) == 0 {
		k.add(at+"peers", "no public key of the other side; bring its public.txt here")
	}
	for i, p := range f.Peers {
		k.file(fmt.Sprintf("%speers[%d]", at, i), p, false)
	}
	k.between(at+"bundle_bytes", int64(f.BundleBytes), 64<<10, 64<<20)
	k.between(at+"outbox_bytes", int64(f.OutboxBytes), 1<<20, 1<<40)
	k.between(at+"repeat", int64(f.Repeat), 1, 100)
	k.span(at+"settle", f.Settle, 100*time.Millisecond, time.Hour)
	k.span(at+"heartbeat", f.Heartbeat, 100*time.Millisecond, time.Hour)
	k.span(at+"dead_after", f.DeadAfter, time.Second, 24*time.Hour)
}

func (f FerryChannel) checkFolders(k *checker, at string) {
	folders := map[string]string{"keys": f.Keys, "outbox": f.Outbox, "inbox": f.Inbox, "send": f.Send, "send_urgent": f.SendUrgent, "receive": f.Receive}
	if f.Outbox == "" && f.Send+f.SendUrgent != "" {
		k.add(at+"send", "nothing leaves here without an outbox")
	}
	if f.Inbox != "" {
		k.need(at+"receive", f.Receive, "the folder into which files that arrive are written")
	}
	for key, dir := range folders {
		if dir == "" {
			continue
		}
		if info, err := os.Stat(dir); err != nil {
			k.add(at+key, "cannot be read: %v; make the folder", err)
		} else if !info.IsDir() {
			k.add(at+key, "%s is no folder", dir)
		}
	}
}

// LoadFerry reads a configuration of which only the channels count: on a machine that does
// nothing but ferry, the rest may be left out.
func LoadFerry(path string) (*Config, error) {
	c, err := Load(path)
	if c == nil {
		return nil, err
	}
	k := &checker{}
	c.Ferry.check(k)
	if len(k.faults) > 0 {
		return nil, k.faults
	}
	return c, nil
}
