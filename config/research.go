package config

import "time"

// Research says how this hospital takes part in releases to research institutes.
type Research struct {
	// Policies is a folder of de-identification policies beside those that come with the
	// program, files *.yaml; a project names its policy by digest.
	Policies string `yaml:"policies"`
	// HoldBack keeps records that the leak gate objects to out of a release instead of
	// refusing the release.
	HoldBack bool `yaml:"hold_back"`
	// Withdrawals is how often consents of released subjects are looked at again.
	Withdrawals Duration `yaml:"withdrawals"`
	// DepotBytes bounds one delivery that this hospital keeps for an institute.
	DepotBytes Size `yaml:"depot_bytes"`
}

func defaultResearch() Research {
	return Research{Withdrawals: Duration(6 * time.Hour), DepotBytes: 8 << 30}
}

func (r Research) check(k *checker) {
	k.span("research.withdrawals", r.Withdrawals, time.Minute, 7*24*time.Hour)
	k.between("research.depot_bytes", int64(r.DepotBytes), 1<<20, 64<<30)
}
