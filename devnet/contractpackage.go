package devnet

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// contractPackage makes the package that every hospital installs, and its id. It holds no program and no
// address: only the type, which our builder recognises. So the id stays the same for all hospitals and for
// every later build of the contract program.
func contractPackage(label string) (pkg []byte, id string, err error) {
	code, err := tarGz(file{"connection.json", []byte("{}\n")})
	if err != nil {
		return nil, "", err
	}
	pkg, err = tarGz(file{"metadata.json", fmt.Appendf(nil, `{"type":"ccaas","label":%q}`, label)}, file{"code.tar.gz", code})
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(pkg)
	return pkg, label + ":" + hex.EncodeToString(sum[:]), nil
}

type file struct {
	name string
	data []byte
}

func tarGz(files ...file) ([]byte, error) {
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	for _, f := range files {
		if err := tw.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data))}); err != nil {
			return nil, fmt.Errorf("contract package: %w", err)
		}
		if _, err := tw.Write(f.data); err != nil {
			return nil, fmt.Errorf("contract package: %w", err)
		}
	}
	if err := tw.Close(); err != nil {
		return nil, fmt.Errorf("contract package: %w", err)
	}
	if err := gz.Close(); err != nil {
		return nil, fmt.Errorf("contract package: %w", err)
	}
	return buf.Bytes(), nil
}
