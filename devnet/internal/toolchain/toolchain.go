// Package toolchain finds or builds the programs of a development network: Fabric's, from the module
// pinned in devnet/fabric, and the contract.
//
// What was built stays in <repository>/.build, so that a second run needs neither time nor a Go toolchain.
package toolchain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	// EnvFabricBin names a folder with ready Fabric programs; it wins over building.
	EnvFabricBin = "EMRBRIDGE_FABRIC_BIN"
	// EnvBuildDir names the folder for what is built, instead of .build in the repository.
	EnvBuildDir = "EMRBRIDGE_BUILD_DIR"
	// EnvContract names a ready contract program (emrchaincode); it wins over building.
	EnvContract = "EMRBRIDGE_CONTRACT_BIN"

	fabricModule  = "github.com/hyperledger/fabric"
	fabricRelease = "v3.1.1"
	contractName  = "emrchaincode"
)

// programs of Fabric that a network, or someone examining one, needs.
var programs = []string{"peer", "orderer", "configtxgen", "osnadmin", "cryptogen"}

// Fabric says where Fabric's programs and sample configuration are.
type Fabric struct {
	Bin          string // folder of the programs
	SampleConfig string // folder of core.yaml and orderer.yaml
	Version      string // module version, or "external" for programs given by the user
}

// Path of one program.
func (f Fabric) Path(program string) string { return filepath.Join(f.Bin, program) }

// Options for finding and building. The zero value builds into the repository around the working folder.
type Options struct {
	FabricBin string       // ready Fabric programs; default $EMRBRIDGE_FABRIC_BIN
	Contract  string       // ready contract program; default $EMRBRIDGE_CONTRACT_BIN
	BuildDir  string       // default $EMRBRIDGE_BUILD_DIR, then <repository>/.build
	Progress  func(string) // receives one line per step; may be nil
}

func (o Options) say(format string, args ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, args...))
	}
}

// EnsureFabric returns Fabric's programs, building them first where needed (about two minutes on two
// cores, with a progress line every ten seconds). Several processes may call it at the same time: one
// builds, the others wait.
func EnsureFabric(ctx context.Context, o Options) (Fabric, error) {
	if bin := firstOf(o.FabricBin, os.Getenv(EnvFabricBin)); bin != "" {
		return givenFabric(ctx, bin)
	}
	build, repo, err := buildDir(o)
	if err != nil {
		return Fabric{}, err
	}
	version, err := pinnedVersion(repo)
	if err != nil {
		return Fabric{}, err
	}
	root := filepath.Join(build, "fabric", version)
	f := Fabric{Bin: filepath.Join(root, "bin"), SampleConfig: filepath.Join(root, "sampleconfig"), Version: version}
	if f.check() == nil {
		return f, nil
	}
	unlock, err := lockDir(ctx, root)
	if err != nil {
		return Fabric{}, err
	}
	defer unlock()
	if f.check() == nil { // built while this process waited
		return f, nil
	}
	if err := f.build(ctx, o, repo, root); err != nil {
		return Fabric{}, err
	}
	return f, f.check()
}

// check says what is missing.
func (f Fabric) check() error {
	for _, p := range programs {
		if err := executable(f.Path(p)); err != nil {
			return err
		}
	}
	for _, name := range []string{"core.yaml", "orderer.yaml"} {
		if _, err := os.Stat(filepath.Join(f.SampleConfig, name)); err != nil {
			return fmt.Errorf("fabric's sample configuration: %w", err)
		}
	}
	return nil
}

func givenFabric(ctx context.Context, bin string) (Fabric, error) {
	abs, err := filepath.Abs(bin)
	if err != nil {
		return Fabric{}, err
	}
	f := Fabric{Bin: abs, Version: "external"}
	for _, dir := range []string{filepath.Join(abs, "..", "sampleconfig"), filepath.Join(abs, "..", "config")} {
		f.SampleConfig = filepath.Clean(dir)
		if err = f.check(); err == nil {
			return f, nil
		}
	}
	if programErr := executable(f.Path(programs[0])); programErr == nil {
		if repo, repoErr := findRepo(); repoErr == nil {
			if dir, dirErr := moduleDir(ctx, repo); dirErr == nil {
				f.SampleConfig = filepath.Join(dir, "sampleconfig")
				err = f.check()
			}
		}
	}
	if err != nil {
		return Fabric{}, fmt.Errorf("fabric programs in %s: %w; put %s there and core.yaml and orderer.yaml in ../sampleconfig, or unset %s to have them built",
			bin, err, strings.Join(programs, ", "), EnvFabricBin)
	}
	return f, nil
}

func (f Fabric) build(ctx context.Context, o Options, repo, root string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("fabric %s must be built once and no Go toolchain is on PATH: install Go 1.26 or later (https://go.dev/dl), or set %s to a folder with %s",
			fabricRelease, EnvFabricBin, strings.Join(programs, ", "))
	}
	module := filepath.Join(repo, "devnet", "fabric")
	o.say("building Fabric %s (once; about two minutes on two cores)", fabricRelease)
	dir, err := moduleDir(ctx, repo)
	if err != nil {
		return err
	}
	// Built aside and renamed, so that an interrupted build leaves no half-written program.
	tmp, err := os.MkdirTemp(root, "bin.tmp-")
	if err != nil {
		return fmt.Errorf("build fabric: %w", err)
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // best effort
	ldflags := "-s -w -X " + fabricModule + "/common/metadata.Version=" + fabricRelease
	stop := ticker(o, "still building Fabric")
	_, err = goCommand(ctx, module, []string{"GOBIN=" + tmp}, "install", "-ldflags", ldflags, "tool")
	stop()
	if err != nil {
		return fmt.Errorf("build fabric %s: %w", fabricRelease, err)
	}
	if err := copySampleConfig(filepath.Join(dir, "sampleconfig"), f.SampleConfig); err != nil {
		return err
	}
	if err := os.RemoveAll(f.Bin); err != nil {
		return fmt.Errorf("build fabric: %w", err)
	}
	if err := os.Chmod(tmp, 0o750); err != nil { //nolint:gosec // a folder of programs: it must be searchable
		return fmt.Errorf("build fabric: %w", err)
	}
	return os.Rename(tmp, f.Bin)
}

// EnsureContract returns the path of the contract program. In a repository with a Go toolchain it is
// built anew each time (the build cache makes that a fraction of a second when nothing changed); elsewhere
// the last build, or one lying beside the running program, is used.
func EnsureContract(ctx context.Context, o Options) (string, error) {
	if path := firstOf(o.Contract, os.Getenv(EnvContract)); path != "" {
		abs, err := filepath.Abs(path)
		if err == nil {
			err = executable(abs)
		}
		if err != nil {
			return "", fmt.Errorf("contract program: %w; give the path of a built %s", err, contractName)
		}
		return abs, nil
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), contractName)
		if executable(beside) == nil {
			return beside, nil
		}
	}
	build, repo, err := buildDir(o)
	if err != nil {
		return "", err
	}
	target := filepath.Join(build, "bin", contractName)
	if _, err := exec.LookPath("go"); err != nil {
		if executable(target) == nil {
			return target, nil
		}
		return "", fmt.Errorf("the contract must be built and no Go toolchain is on PATH: install Go 1.26 or later (https://go.dev/dl), or set %s to a built %s", EnvContract, contractName)
	}
	return target, buildContract(ctx, repo, target)
}

func buildContract(ctx context.Context, repo, target string) error {
	unlock, err := lockDir(ctx, filepath.Dir(target))
	if err != nil {
		return err
	}
	defer unlock()
	tmp := target + ".tmp"
	if _, err := goCommand(ctx, repo, nil, "build", "-o", tmp, "./cmd/"+contractName); err != nil {
		return fmt.Errorf("build the contract: %w", err)
	}
	return os.Rename(tmp, target)
}

// buildDir returns the folder for what is built, and the repository.
func buildDir(o Options) (dir, repo string, err error) {
	if repo, err = findRepo(); err != nil {
		return "", "", err
	}
	dir = firstOf(o.BuildDir, os.Getenv(EnvBuildDir), filepath.Join(repo, ".build"))
	dir, err = filepath.Abs(dir)
	return dir, repo, err
}

// findRepo looks for devnet/fabric/go.mod above the working folder, above the running program, and where
// this file was compiled.
func findRepo() (string, error) {
	var starts []string
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if self, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(self))
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		starts = append(starts, filepath.Dir(file))
	}
	for _, dir := range starts {
		for {
			if _, err := os.Stat(filepath.Join(dir, "devnet", "fabric", "go.mod")); err == nil {
				return dir, nil
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	return "", fmt.Errorf("no emrbridge repository (devnet/fabric/go.mod) around the working folder: run from a clone, or set both %s and %s to ready programs", EnvFabricBin, EnvContract)
}

var requireLine = regexp.MustCompile(`(?m)^\s*(?:require\s+)?` + regexp.QuoteMeta(fabricModule) + `\s+(v\S+)`)

func pinnedVersion(repo string) (string, error) {
	b, err := os.ReadFile(filepath.Join(repo, "devnet", "fabric", "go.mod"))
	if err != nil {
		return "", fmt.Errorf("pinned fabric version: %w", err)
	}
	m := requireLine.FindSubmatch(b)
	if m == nil {
		return "", fmt.Errorf("devnet/fabric/go.mod does not require %s", fabricModule)
	}
	return string(m[1]), nil
}

// moduleDir returns Fabric's sources in the module cache, downloading them where needed.
func moduleDir(ctx context.Context, repo string) (string, error) {
	module := filepath.Join(repo, "devnet", "fabric")
	if _, err := goCommand(ctx, module, nil, "mod", "download", fabricModule); err != nil {
		return "", fmt.Errorf("download fabric's module: %w", err)
	}
	out, err := goCommand(ctx, module, nil, "list", "-m", "-f", "{{.Dir}}", fabricModule)
	if err != nil {
		return "", fmt.Errorf("find fabric's sources: %w", err)
	}
	return strings.TrimSpace(out), nil
}

func goCommand(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append([]string{"GOWORK=off", "GOFLAGS=-mod=readonly"}, env...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", fmt.Errorf("go %s in %s: %w\n%s", args[0], dir, err, tail(stderr.String(), 2000))
	}
	return stdout.String(), nil
}

func copySampleConfig(from, to string) error {
	if err := os.MkdirAll(to, 0o750); err != nil {
		return fmt.Errorf("copy sample configuration: %w", err)
	}
	for _, name := range []string{"core.yaml", "orderer.yaml", "configtx.yaml"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600) //nolint:gosec // in the build folder
		}
		if err != nil {
			return fmt.Errorf("copy sample configuration: %w", err)
		}
	}
	return nil
}

// lockDir makes dir and holds a lock on it between processes until the returned function is called.
func lockDir(ctx context.Context, dir string) (func(), error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("build folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("build folder: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = f.Close()
			return nil, fmt.Errorf("lock build folder: %w", err)
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("waiting for another build: %w", context.Cause(ctx))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func executable(path string) error {
	info, err := os.Stat(path) //nolint:gosec // the user names the program
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is missing", path)
	case err != nil:
		return err
	case info.IsDir() || info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s is not executable", path)
	}
	return nil
}

// ticker reports every ten seconds that a long step goes on.
func ticker(o Options, what string) (stop func()) {
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		start, tick := time.Now(), time.NewTicker(10*time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				o.say("%s (%d s)", what, int(time.Since(start).Seconds()))
			}
		}
	}()
	return func() { close(done); <-gone }
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func tail(s string, n int) string {
	if len(s) > n {
		s = "…" + s[len(s)-n:]
	}
	return strings.TrimSpace(s)
}
