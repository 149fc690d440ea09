package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// localProject is the project of `deid run` without --project.
const localProject = "default"

// deidKey reads the key that pseudonyms and date shifts are made with: 64 hexadecimal digits
// in a private file. Without a path it is the key of this installation, which is made when it
// is first needed.
func deidKey(path string) ([]byte, error) {
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil, fmt.Errorf("there is no folder for this installation's key (%w): give one with --key-file", err)
		}
		path = filepath.Join(dir, "emrbridge", "deid.key")
		if err := makeDeidKey(path); err != nil {
			return nil, fmt.Errorf("make this installation's key: %w; or give one with --key-file", err)
		}
	}
	if err := fsatomic.CheckPrivate(path); err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != desensitize.KeySize {
		return nil, fmt.Errorf("key file %s: it must hold %d hexadecimal digits; make one with: openssl rand -hex %d", path, 2*desensitize.KeySize, desensitize.KeySize)
	}
	return key, nil
}

// makeDeidKey writes a new key unless there is one. Of two that start at once, one wins.
func makeDeidKey(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Dir(path)), 0o700); err != nil {
		return err
	}
	if err := fsatomic.MkdirPrivate(filepath.Dir(path)); err != nil {
		return err
	}
	key := make([]byte, desensitize.KeySize)
	_, _ = rand.Read(key) // it never fails (crypto/rand)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// deidCipher serves the method encrypt: SM4-GCM under a key derived from the project's.
type deidCipher struct{ key smcrypto.Key }

func newDeidCipher(project string, key []byte) (deidCipher, error) {
	derived, err := smcrypto.HKDF(smcrypto.Default(), key, nil, "emrbridge-deid/encrypt/"+project, smcrypto.KeySize)
	if err != nil {
		return deidCipher{}, err
	}
	var c deidCipher
	copy(c.key[:], derived)
	return c, nil
}

// Encrypt implements desensitize.Cipher.
func (c deidCipher) Encrypt(plain []byte) (string, error) {
	blob, err := smcrypto.SealBlob(smcrypto.Default(), c.key, []byte("emrbridge-deid/value"), plain)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(blob), nil
}
