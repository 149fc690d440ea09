package config

import (
	"fmt"
	"path/filepath"
	"strings"
)

// SenderMapping binds the messages of some senders to a mapping of their own. Without
// File it is switched off.
type SenderMapping struct {
	// Sender is MSH-3|MSH-4; either part may be * or end in *.
	Sender string `yaml:"sender"`
	File   string `yaml:"file"`
}

func (h *HL7) completeMappings(dir string) {
	if h.Mapping != "" {
		h.Mapping = within(dir, filepath.Clean(h.Mapping))
	}
	for i := range h.Mappings {
		if f := &h.Mappings[i].File; *f != "" {
			*f = within(dir, filepath.Clean(*f))
		}
	}
}

func (h HL7) checkMappings(k *checker) {
	if h.Mapping != "" {
		k.file("hl7.mapping", h.Mapping, false)
	}
	for i, m := range h.Mappings {
		if m.File == "" {
			continue
		}
		at := fmt.Sprintf("hl7.mappings[%d].", i)
		k.file(at+"file", m.File, false)
		application, facility, ok := strings.Cut(m.Sender, "|")
		if !ok || application == "" || facility == "" {
			k.add(at+"sender", "%q is not APPLICATION|FACILITY; write for example LIS|*", m.Sender)
		}
	}
}
