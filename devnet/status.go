package devnet

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// Status of a network at one moment.
type Status struct {
	Dir         string          `json:"dir"`
	Running     bool            `json:"running"`
	Supervisor  int             `json:"supervisor_pid,omitempty"`
	Channel     string          `json:"channel"`
	Contract    string          `json:"contract"`
	Endorsement string          `json:"endorsement"`
	Leader      string          `json:"leader,omitempty"` // process name; empty when unknown
	Processes   []ProcessStatus `json:"processes"`
}

// ProcessStatus is one line of the process table.
type ProcessStatus struct {
	Name    string    `json:"name"`
	Role    string    `json:"role"` // orderer, peer or contract
	MSPID   string    `json:"msp_id"`
	PID     int       `json:"pid,omitempty"`
	Port    int       `json:"port"`
	Alive   bool      `json:"alive"`
	Healthy bool      `json:"healthy"`
	Height  uint64    `json:"height,omitempty"` // blocks on the channel; orderers and peers
	Started time.Time `json:"started,omitzero"`
	Detail  string    `json:"detail,omitempty"` // why it is not healthy, or how it ended
}

// OK says whether every process is healthy.
func (s Status) OK() bool {
	for _, p := range s.Processes {
		if !p.Healthy {
			return false
		}
	}
	return s.Running
}

// Status asks every process; one that does not answer within three seconds counts as unhealthy.
func (n *Network) Status(ctx context.Context) (Status, error) {
	st := Status{
		Dir: n.dir, Running: n.Running(), Channel: n.state.Channel, Contract: n.state.Contract,
		Endorsement: n.state.Settings.Endorsement, Processes: n.state.processTable(),
	}
	if !st.Running {
		return st, nil
	}
	procs, pid, err := n.super.Processes(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("status: %w", err)
	}
	st.Supervisor = pid
	for _, p := range procs {
		for i := range st.Processes {
			if row := &st.Processes[i]; row.Name == p.Name {
				row.PID, row.Alive, row.Started, row.Detail = p.PID, p.Running, p.Started, p.Exit
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var g errgroup.Group
	for i := range st.Processes {
		g.Go(func() error { n.examine(ctx, &st.Processes[i]); return nil })
	}
	_ = g.Wait()
	if leader, err := n.Leader(ctx); err == nil {
		st.Leader = leader.Process
	}
	return st, nil
}

// examine fills in health and height of a living process.
func (n *Network) examine(ctx context.Context, row *ProcessStatus) {
	if !row.Alive {
		row.PID = 0
		return
	}
	if err := n.healthy(ctx, row.Name); err != nil {
		row.Detail = err.Error()
		return
	}
	row.Healthy = true
	if h, err := n.processHeight(ctx, row.Name); err == nil {
		row.Height = h
	}
}

// processHeight is the number of blocks an orderer or peer has; 0 for a contract process.
func (n *Network) processHeight(ctx context.Context, name string) (uint64, error) {
	for _, h := range n.state.Hospitals {
		if h.peerName() == name {
			return n.Height(ctx, h.Number)
		}
	}
	for _, o := range n.state.Orderers {
		if o.name() == name {
			const metric = "consensus_BFT_committed_block_number" // counts from 0
			g, err := o.operations(n.dir).gauges(ctx, metric)
			return uint64(g[metric]) + 1, err
		}
	}
	return 0, nil
}

// processTable lists what should run.
func (s *state) processTable() []ProcessStatus {
	var out []ProcessStatus
	for _, o := range s.Orderers {
		out = append(out, ProcessStatus{Name: o.name(), Role: roleOrderer, MSPID: o.MSPID, Port: o.Port})
	}
	for _, h := range s.Hospitals {
		out = append(out, ProcessStatus{Name: h.peerName(), Role: rolePeer, MSPID: h.MSPID, Port: h.PeerPort})
	}
	for _, h := range s.Hospitals {
		out = append(out, ProcessStatus{Name: h.contractProcess(), Role: roleContract, MSPID: h.MSPID, Port: h.ContractPort})
	}
	return out
}
