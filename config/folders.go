package config

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// Folder is a folder whose files hold HL7 v2 messages. Without Dir it is switched off.
type Folder struct {
	Name         string   `yaml:"name"`
	Dir          string   `yaml:"dir"`
	Charset      string   `yaml:"charset"`
	ForceCharset bool     `yaml:"force_charset"`
	Suffixes     []string `yaml:"suffixes"`
	Poll         Duration `yaml:"poll"`
	StablePolls  int      `yaml:"stable_polls"`
	MaxFile      Size     `yaml:"max_file"`
}

// defaults fills what a folder leaves out.
func (f *Folder) defaults() {
	if f.Charset == "" {
		f.Charset = "UTF-8"
	}
	if len(f.Suffixes) == 0 {
		f.Suffixes = []string{".hl7", ".er7", ".txt", ".dat"}
	}
	if f.Poll == 0 {
		f.Poll = Duration(2 * time.Second)
	}
	if f.StablePolls == 0 {
		f.StablePolls = 2
	}
	if f.MaxFile == 0 {
		f.MaxFile = 64 << 20
	}
}

func checkFolders(k *checker, folders []Folder) {
	seen := map[string]bool{}
	for i, f := range folders {
		if f.Dir == "" {
			continue
		}
		at := fmt.Sprintf("hl7.folders[%d].", i)
		if k.need(at+"name", f.Name, "a short name for the trail and for metrics") && (seen[f.Name] || !shortName(f.Name)) {
			k.add(at+"name", "%q is used twice, or is not made of letters, digits, - and _", f.Name)
		}
		seen[f.Name] = true
		if info, err := os.Stat(f.Dir); err != nil {
			k.add(at+"dir", "cannot be read: %v; make the folder", err)
		} else if !info.IsDir() {
			k.add(at+"dir", "%s is no folder", f.Dir)
		}
		k.oneOf(at+"charset", f.Charset, charsets...)
		for _, s := range f.Suffixes {
			if len(s) < 2 || s[0] != '.' || strings.ContainsAny(s, `/\`) {
				k.add(at+"suffixes", "%q is no suffix; write for example .hl7", s)
			}
		}
		k.span(at+"poll", f.Poll, 100*time.Millisecond, time.Hour)
		k.between(at+"stable_polls", int64(f.StablePolls), -1, 100)
		k.between(at+"max_file", int64(f.MaxFile), 1<<10, 1<<30)
	}
}

// shortName reports a name that can stand in a path and in a metric.
func shortName(name string) bool {
	return len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// Stages that an application acknowledgement may wait for.
const (
	AckReceived = "received"
	AckSealed   = "sealed"
	AckAnchored = "anchored"
)

// checkAcks checks how a listener acknowledges.
func (l Listener) checkAcks(k *checker, at string) {
	k.oneOf(at+"application_ack", l.ApplicationAck, AckReceived, AckSealed, AckAnchored)
	if l.ReturnAddress == "" {
		if l.ReturnCA != "" {
			k.add(at+"return_address", "is missing while return_ca is set; give mllps://HOST:PORT")
		}
		return
	}
	if l.ApplicationAck == AckReceived {
		k.add(at+"return_address", "is of no use while application_ack is received; choose sealed or anchored")
	}
	if !shortName(l.Name) {
		k.add(at+"name", "%q names a folder of acknowledgements: use letters, digits, - and _", l.Name)
	}
	u, err := url.Parse(l.ReturnAddress)
	if err != nil || u.Scheme != "mllp" && u.Scheme != "mllps" {
		k.add(at+"return_address", "%q is no mllp:// or mllps:// address", l.ReturnAddress)
		return
	}
	if _, _, err := net.SplitHostPort(u.Host); err != nil {
		k.add(at+"return_address", "%q has no HOST:PORT", l.ReturnAddress)
	}
	if l.ReturnCA != "" {
		k.file(at+"return_ca", l.ReturnCA, false)
	}
}
