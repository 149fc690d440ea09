package devnet

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// pollInterval between questions to a node that is starting.
const pollInterval = 50 * time.Millisecond

// ErrNoLeader means that the orderers that answer do not agree on who leads.
var ErrNoLeader = errors.New("no leader is known")

// mutualTLS authenticates with a node's own certificate, which is what the operations and administration
// services of that node, and its contract process, ask for.
func mutualTLS(tlsDir string) (*tls.Config, error) {
	certPath, keyPath, caPath := tlsFiles(tlsDir)
	pair, err := tls.LoadX509KeyPair(certPath, keyPath)
	if err != nil {
		return nil, fmt.Errorf("node certificate: %w", err)
	}
	ca, err := os.ReadFile(caPath)
	if err != nil {
		return nil, fmt.Errorf("node certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("node certificate: %s holds none", caPath)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, RootCAs: roots}, nil
}

func mutualClient(tlsDir string) (*http.Client, error) {
	config, err := mutualTLS(tlsDir)
	if err != nil {
		return nil, err
	}
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: config}}, nil
}

// operations is the operations service of an orderer or peer.
type operations struct {
	tlsDir string
	addr   string
}

func (o ordererState) operations(root string) operations {
	return operations{filepath.Join(o.dir(root), "tls"), address(o.OperationsPort)}
}

func (h hospitalState) operations(root string) operations {
	return operations{filepath.Join(h.dir(root), "peer", "tls"), address(h.OperationsPort)}
}

func (o operations) get(ctx context.Context, path string) (*http.Response, error) {
	client, err := mutualClient(o.tlsDir)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+o.addr+path, nil)
	if err != nil {
		return nil, err
	}
	return client.Do(req)
}

func (o operations) healthy(ctx context.Context) error {
	resp, err := o.get(ctx, "/healthz")
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("health check: %s: %s", resp.Status, body)
	}
	return nil
}

// gauges reads the values of this channel's metrics by name.
func (o operations) gauges(ctx context.Context, names ...string) (map[string]float64, error) {
	resp, err := o.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics: %s", resp.Status)
	}
	return parseGauges(resp.Body, names)
}

func parseGauges(r io.Reader, names []string) (map[string]float64, error) {
	out := map[string]float64{}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Text()
		for _, name := range names {
			rest, ok := strings.CutPrefix(line, name+"{")
			if !ok || !strings.Contains(rest, `channel="`+channelID+`"`) {
				continue
			}
			v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			if err != nil {
				return nil, fmt.Errorf("metrics: %s: %w", name, err)
			}
			out[name] = v
		}
	}
	return out, sc.Err()
}

// Height is the number of blocks that a hospital's peer has committed.
func (n *Network) Height(ctx context.Context, hospital int) (uint64, error) {
	h, err := n.hospital(hospital)
	if err != nil {
		return 0, err
	}
	const metric = "ledger_blockchain_height"
	g, err := h.operations(n.dir).gauges(ctx, metric)
	if err != nil {
		return 0, fmt.Errorf("height of %s: %w", h.peerName(), err)
	}
	return uint64(g[metric]), nil
}

// LedgerBytes is the size of the block files of a hospital's peer, in bytes.
func (n *Network) LedgerBytes(hospital int) (int64, error) {
	h, err := n.hospital(hospital)
	if err != nil {
		return 0, err
	}
	dir := filepath.Join(h.dir(n.dir), "peer", "ledger", "ledgersData", "chains", "chains", n.state.Channel)
	var total int64
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasPrefix(e.Name(), "blockfile_") {
			return err
		}
		info, err := e.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("ledger size of %s: %w", h.peerName(), err)
	}
	return total, nil
}

// Leader is the orderer that leads consensus now, as a majority of all orderers sees it.
func (n *Network) Leader(ctx context.Context) (Orderer, error) {
	votes := map[int]int{}
	for _, o := range n.state.Orderers {
		g, err := o.operations(n.dir).gauges(ctx, leaderMetric)
		if err != nil {
			continue // down: the others decide
		}
		votes[int(g[leaderMetric])]++
	}
	for _, o := range n.Orderers() {
		if votes[o.ID] > len(n.state.Orderers)/2 {
			return o, nil
		}
	}
	return Orderer{}, fmt.Errorf("%w: %d of %d orderers answer", ErrNoLeader, len(votes), len(n.state.Orderers))
}

// awaitLeader waits until the orderers have agreed on a leader.
func (n *Network) awaitLeader(ctx context.Context) (Orderer, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		leader, err := n.Leader(ctx)
		if err == nil {
			return leader, nil
		}
		if waitErr := pause(ctx, pollInterval); waitErr != nil {
			return Orderer{}, err
		}
	}
}

func (n *Network) hospital(number int) (hospitalState, error) {
	for _, h := range n.state.Hospitals {
		if h.Number == number {
			return h, nil
		}
	}
	return hospitalState{}, fmt.Errorf("hospital %d: %w", number, fs.ErrNotExist)
}

// healthy asks one process, by name, whether it serves. A node's own health check answers before the node
// takes requests, so the port is tried too.
func (n *Network) healthy(ctx context.Context, name string) error {
	for _, o := range n.state.Orderers {
		if o.name() == name {
			return errors.Join(o.operations(n.dir).healthy(ctx), answersTLS(ctx, filepath.Join(o.dir(n.dir), "tls"), address(o.Port)))
		}
	}
	for _, h := range n.state.Hospitals {
		switch name {
		case h.peerName():
			return errors.Join(h.operations(n.dir).healthy(ctx), answersTLS(ctx, filepath.Join(h.dir(n.dir), "peer", "tls"), address(h.PeerPort)))
		case h.contractProcess():
			return answersTLS(ctx, filepath.Join(h.dir(n.dir), "peer", "tls"), address(h.ContractPort))
		}
	}
	return fmt.Errorf("process %s: %w", name, fs.ErrNotExist)
}

// answersTLS completes a TLS handshake as the node whose TLS folder is given, and hangs up.
func answersTLS(ctx context.Context, tlsDir, addr string) error {
	config, err := mutualTLS(tlsDir)
	if err != nil {
		return err
	}
	config.NextProtos = []string{"h2"} // what a gRPC server insists on
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 3 * time.Second}, Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// awaitHealthy polls a process until it serves; it fails at once if the process has ended.
func (n *Network) awaitHealthy(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := n.healthy(ctx, name)
		if err == nil {
			return nil
		}
		if exit := n.exited(ctx, name); exit != "" {
			return fmt.Errorf("%s ended at once (%s): %s; see %s", name, exit, lastLogLine(logPath(n.dir, name)), logPath(n.dir, name))
		}
		if waitErr := pause(ctx, pollInterval); waitErr != nil {
			return fmt.Errorf("%s is not healthy: %w; its last answer: %w; see %s", name, waitErr, err, logPath(n.dir, name))
		}
	}
}

// exited says how a process ended; empty while it runs.
func (n *Network) exited(ctx context.Context, name string) string {
	procs, _, err := n.super.Processes(ctx)
	if err != nil {
		return ""
	}
	for _, p := range procs {
		if p.Name == name {
			return p.Exit
		}
	}
	return ""
}

func lastLogLine(path string) string {
	lines, err := lastLines(path, 1)
	if err != nil || len(lines) == 0 {
		return "no log"
	}
	return lines[0]
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
