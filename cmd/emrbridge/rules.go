package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
	"github.com/emrbridge/emrbridge/config"
)

// openRules reads the mappings from HL7 v2 to the record and counts the codes that they
// have no entry for.
func (s *site) openRules(context.Context) error {
	unmapped := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "emrbridge_unmapped_codes_total",
		Help: "Codes in HL7 v2 messages without an entry in the mapping, by table."}, []string{"table"})
	if err := s.metrics.Register(unmapped); err != nil {
		return err
	}
	var err error
	s.rules, err = loadRules(s.config, func(u mapping.Unmapped) { unmapped.WithLabelValues(u.Table).Inc() })
	return err
}

// loadRules reads the mappings that the configuration names.
func loadRules(c *config.Config, unmapped func(mapping.Unmapped)) (*mapping.Set, error) {
	mapper := func(key, file string) (*mapping.Mapper, error) {
		doc, err := loadMapping(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		return mapping.NewMapper(doc, mapping.Options{Zone: c.Location(), Unmapped: unmapped}), nil
	}
	standard, err := mapper("hl7.mapping", c.HL7.Mapping)
	if err != nil {
		return nil, err
	}
	var choices []mapping.Choice
	for i, m := range c.HL7.Mappings {
		if m.File == "" {
			continue
		}
		own, err := mapper(fmt.Sprintf("hl7.mappings[%d]", i), m.File)
		if err != nil {
			return nil, err
		}
		choices = append(choices, mapping.Choice{Sender: m.Sender, Mapper: own})
	}
	return mapping.NewSet(standard, choices...)
}

// mappingFaults lists the faults of the mapping files that a configuration names, for
// `config check`. Files that cannot be read are among the configuration's own faults.
func mappingFaults(c *config.Config) config.Faults {
	if c == nil {
		return nil
	}
	var out config.Faults
	look := func(key, file string) {
		if file == "" {
			return
		}
		_, err := mapping.Load(file)
		var faults mapping.Faults
		if !errors.As(err, &faults) {
			return
		}
		for _, f := range faults {
			out = append(out, config.Fault{Key: key, Problem: f.String()})
		}
	}
	look("hl7.mapping", c.HL7.Mapping)
	for i, m := range c.HL7.Mappings {
		look(fmt.Sprintf("hl7.mappings[%d].file", i), m.File)
	}
	return out
}
