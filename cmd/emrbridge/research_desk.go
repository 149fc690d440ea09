package main

import (
	"context"
	"net/http"

	desk "github.com/emrbridge/emrbridge/bridge/project"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway/projects"
	"github.com/emrbridge/emrbridge/research/project"
)

// openProjects builds the committee's desk, and puts what institutes call of it beside the
// parts of datasets that are carried under the same address.
func (s *site) openProjects(r *retrieval, reader *project.Reader, subjects desk.Subjects, parts http.Handler) (http.Handler, error) {
	c := s.config
	var err error
	r.projects, err = desk.NewDesk(desk.Config{MSP: c.Hospital.MSP, Ledger: chainLedger{s.chain}, Projects: reader, Staff: s.keys,
		Subjects: subjects, Logger: s.log.With("part", "research")})
	if err != nil {
		return nil, err
	}
	institutes, err := projects.NewHandler(projects.Config{Ledger: s.chain, Verify: reader.VerifyInstitute, Carry: s.carryStatement,
		Limit: gatewayGuard{s.guard, c.Gateway.RateLimit}, Logger: s.log.With("part", "research")})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, path := range []string{projects.StatementsPath, projects.InstitutesPath, projects.MembersPath, projects.ProjectsPath, projects.ProjectsPath + "/"} {
		mux.Handle(path, institutes)
	}
	mux.Handle("/", parts)
	return mux, nil
}

// carryStatement brings an institute's statement to the ledger.
func (s *site) carryStatement(ctx context.Context, signed evidence.Signed) (projects.Receipt, error) {
	commit, err := s.chain.SubmitSigned(ctx, signed)
	if err != nil {
		return projects.Receipt{}, err
	}
	st, err := evidence.ParseStatement(signed.Statement)
	return projects.Receipt{TxID: commit.TxID, Block: commit.Block, Nonce: st.Nonce}, err
}
