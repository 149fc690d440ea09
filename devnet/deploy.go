package devnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/emrbridge/emrbridge/devnet/internal/toolchain"
)

const (
	contractVersion  = "1"
	contractSequence = "1"
)

func genesisFile(root string) string { return filepath.Join(root, "channel", "genesis.block") }
func packageFile(root string) string { return filepath.Join(root, "channel", "contract.tar.gz") }

// makeChannel writes the channel's configuration, its genesis block and the contract package.
func makeChannel(ctx context.Context, root string, s *state, fabric toolchain.Fabric) error {
	dir := filepath.Join(root, "channel")
	config, err := channelConfig(root, s)
	if err != nil {
		return err
	}
	pkg, id, err := contractPackage(s.Contract)
	if err != nil {
		return err
	}
	s.PackageID = id
	if err := writeFiles(dir, map[string][]byte{"configtx.yaml": config, "contract.tar.gz": pkg}); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, fabric.Path("configtxgen"),
		"-profile", profileName, "-channelID", s.Channel, "-outputBlock", genesisFile(root), "-configPath", dir)
	cmd.Env = append(baseEnv(), "FABRIC_LOGGING_SPEC=warn")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("configtxgen: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// joinOrderer hands the genesis block to an orderer's channel participation service.
func joinOrderer(ctx context.Context, root string, o ordererState) error {
	block, err := os.ReadFile(genesisFile(root))
	if err != nil {
		return fmt.Errorf("join %s: %w", o.name(), err)
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("config-block", "genesis.block")
	if err != nil {
		return err
	}
	_, err = part.Write(block)
	if err := errors.Join(err, form.Close()); err != nil {
		return err
	}
	client, err := mutualClient(filepath.Join(o.dir(root), "tls"))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+address(o.AdminPort)+"/participation/v1/channels", &body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("join %s: %w", o.name(), err)
	}
	defer resp.Body.Close() //nolint:errcheck // read below
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("join %s: %s: %s", o.name(), resp.Status, bytes.TrimSpace(text))
	}
	return nil
}

// fabricCLI runs Fabric's peer command as a hospital's administrator.
type fabricCLI struct {
	root   string
	state  *state
	fabric toolchain.Fabric
	leader Orderer // takes the transactions: another orderer would hold them back for RequestForwardTimeout
}

func (c fabricCLI) run(ctx context.Context, h hospitalState, args ...string) error {
	cmd := exec.CommandContext(ctx, c.fabric.Path("peer"), args...)
	cmd.Dir = h.dir(c.root)
	cmd.Env = append(baseEnv(), "FABRIC_LOGGING_SPEC=error",
		"FABRIC_CFG_PATH="+filepath.Join(h.dir(c.root), "peer"), "CORE_PEER_MSPCONFIGPATH="+filepath.Join(h.dir(c.root), "admin", "msp"))
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s: peer %s: %w: %s", h.MSPID, strings.Join(args[:min(3, len(args))], " "), err, bytes.TrimSpace(out))
	}
	return nil
}

func (c fabricCLI) joinAndInstall(ctx context.Context, h hospitalState) error {
	if err := c.run(ctx, h, "channel", "join", "-b", genesisFile(c.root)); err != nil {
		return err
	}
	return c.run(ctx, h, "lifecycle", "chaincode", "install", packageFile(c.root))
}

func (c fabricCLI) approve(ctx context.Context, h hospitalState) error {
	args := append([]string{"lifecycle", "chaincode", "approveformyorg", "--package-id", c.state.PackageID}, c.definition()...)
	return c.run(ctx, h, args...)
}

// commit makes the definition valid, endorsed by every hospital.
func (c fabricCLI) commit(ctx context.Context) error {
	first := c.state.Hospitals[0]
	args := append([]string{"lifecycle", "chaincode", "commit"}, c.definition()...)
	for _, h := range c.state.Hospitals {
		args = append(args, "--peerAddresses", address(h.PeerPort), "--tlsRootCertFiles", filepath.Join(h.dir(c.root), "peer", "tls", "ca.crt"))
	}
	return c.run(ctx, first, args...)
}

func (c fabricCLI) definition() []string {
	return []string{
		"--channelID", c.state.Channel, "--name", c.state.Contract, "--version", contractVersion, "--sequence", contractSequence,
		"--channel-config-policy", "/Channel/Application/Endorsement",
		"--orderer", c.leader.Endpoint, "--tls", "--cafile", c.leader.TLSCA,
	}
}

// eachHospital runs do for all hospitals at the same time.
func eachHospital(ctx context.Context, s *state, do func(context.Context, hospitalState) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, h := range s.Hospitals {
		g.Go(func() error { return do(ctx, h) })
	}
	return g.Wait()
}

// eachOrderer runs do for all orderers at the same time.
func eachOrderer(ctx context.Context, s *state, do func(context.Context, ordererState) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, o := range s.Orderers {
		g.Go(func() error { return do(ctx, o) })
	}
	return g.Wait()
}
