package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// passphrase reads the keystore's passphrase from where the configuration says: a file
// that only its owner can read, the environment, or, at a terminal, the keyboard.
func passphrase(c *config.Config) ([]byte, error) {
	if c.Keystore.PassphraseFile != "" {
		if err := fsatomic.CheckPrivate(c.Keystore.PassphraseFile); err != nil {
			return nil, err
		}
		b, err := os.ReadFile(c.Keystore.PassphraseFile)
		if err != nil {
			return nil, fmt.Errorf("passphrase: %w", err)
		}
		return bytes.TrimRight(b, "\r\n"), nil
	}
	if v, ok := os.LookupEnv(c.Keystore.PassphraseEnv); ok && v != "" {
		return []byte(v), nil
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		fmt.Fprint(os.Stderr, "passphrase of the keystore · 密钥库口令: ")
		b, err := term.ReadPassword(int(os.Stdin.Fd()))
		fmt.Fprintln(os.Stderr)
		return b, err
	}
	return nil, fmt.Errorf("no passphrase: set keystore.passphrase_file, or the variable %s", c.Keystore.PassphraseEnv)
}

// openKeystore opens the keystore of a configuration.
func openKeystore(ctx context.Context, c *config.Config) (*keystore.File, error) {
	pass, err := passphrase(c)
	if err != nil {
		return nil, err
	}
	defer smcrypto.Zero(pass)
	f, err := keystore.Open(ctx, c.Keystore.Dir, pass)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no keystore in %s; make one with: emrbridge keys create", c.Keystore.Dir)
	}
	return f, err
}

// openKeyReader opens the keystore of a configuration for reading, beside the running
// bridge.
func openKeyReader(ctx context.Context, c *config.Config) (*keystore.Reader, error) {
	pass, err := passphrase(c)
	if err != nil {
		return nil, err
	}
	defer smcrypto.Zero(pass)
	return keystore.OpenReader(ctx, c.Keystore.Dir, pass)
}

func newKeysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Keys of the hospital and of its patients · 密钥管理"}
	cmd.AddCommand(
		newKeysCreateCommand(), newKeysImportCommand(), newKeysStatusCommand(), newKeysPassphraseCommand(),
		newKeysBackupCommand(), newKeysRestoreCommand(), newKeysRotateCommand(), newKeysDestroyCommand(),
	)
	return cmd
}

// withKeystore runs fn with the keystore of --config. The bridge must not be running:
// one process at a time holds the keys.
func withKeystore(cmd *cobra.Command, path string, fn func(ctx context.Context, c *config.Config, ks *keystore.File) error) error {
	c, err := loadConfig(path)
	if err != nil {
		return err
	}
	ks, err := openKeystore(cmd.Context(), c)
	if err != nil {
		return err
	}
	return errors.Join(fn(cmd.Context(), c, ks), ks.Close())
}

func newKeysCreateCommand() *cobra.Command {
	var path, requests string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create the keystore, the hospital's SM2 key pairs and certificate requests · 创建密钥库与证书申请",
		Long: `Creates the keystore with fresh SM2 key pairs for signing and for encryption, and writes one
certificate request for each. The consortium's authority answers with two certificates, which
"emrbridge keys import" takes in.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(path)
			if err != nil {
				return err
			}
			pass, err := passphrase(c)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			ks, err := keystore.Create(ctx, c.Keystore.Dir, pass, keystore.CreateOptions{Number: c.Hospital.Number, MSPID: c.Hospital.MSP})
			if err != nil {
				return err
			}
			return errors.Join(createPairs(ctx, cmd, c, ks, requests), ks.Close())
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&requests, "requests", ".", "folder for sign.csr and encrypt.csr · 证书申请目录")
	return cmd
}

func createPairs(ctx context.Context, cmd *cobra.Command, c *config.Config, ks *keystore.File, dir string) error {
	if err := ks.GenerateHospitalKeys(ctx); err != nil {
		return err
	}
	sign, encrypt, err := ks.SigningRequests(ctx, smcrypto.Subject{Organization: c.Hospital.MSP, CommonName: c.Hospital.Name})
	if err != nil {
		return err
	}
	for name, b := range map[string][]byte{"sign.csr": sign, "encrypt.csr": encrypt} {
		if err := fsatomic.WriteFile(dir+"/"+name, b, 0o644); err != nil {
			return err
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "keystore created in %s; give %s/sign.csr and %s/encrypt.csr to the consortium's authority\n", c.Keystore.Dir, dir, dir)
	return nil
}

func newKeysImportCommand() *cobra.Command {
	var path, sign, encrypt, identity, from string
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Take in the certificates, or the consortium identity key from another member · 导入证书或联盟标识密钥",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKeystore(cmd, path, func(ctx context.Context, _ *config.Config, ks *keystore.File) error {
				if sign != "" || encrypt != "" {
					if err := importCertificates(ctx, ks, sign, encrypt); err != nil {
						return err
					}
				}
				if identity != "" {
					if err := importIdentity(ctx, ks, identity, from); err != nil {
						return err
					}
				}
				fmt.Fprintln(cmd.OutOrStdout(), "imported · 已导入")
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&sign, "sign", "", "signing certificate · 签名证书")
	cmd.Flags().StringVar(&encrypt, "encrypt", "", "encryption certificate · 加密证书")
	cmd.Flags().StringVar(&identity, "identity", "", "identity key wrapped for this hospital by another member · 封装的联盟标识密钥")
	cmd.Flags().StringVar(&from, "from", "", "signing certificate of that member · 对方签名证书")
	return cmd
}

func importCertificates(ctx context.Context, ks *keystore.File, sign, encrypt string) error {
	var certs [2][]byte
	for i, path := range []string{sign, encrypt} {
		if path == "" {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		certs[i] = b
	}
	return ks.ImportCertificates(ctx, certs[0], certs[1])
}

func importIdentity(ctx context.Context, ks *keystore.File, wrapped, from string) error {
	b, err := os.ReadFile(wrapped)
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("--from names the signing certificate of the member that wrapped the key: %w", err)
	}
	certs, err := smcrypto.ParseCertificates(pem)
	if err != nil {
		return err
	}
	return ks.ImportIdentityKey(ctx, b, certs[0].PublicKey())
}

// keysReport is the answer of `keys status --json`.
type keysReport struct {
	Hospital      string `json:"hospital"`
	Number        uint16 `json:"number"`
	SigningKey    string `json:"signing_key"` // fingerprint of the public key
	EncryptionKey string `json:"encryption_key"`
	Certified     bool   `json:"certified"`
	NotAfter      string `json:"not_after,omitempty"`
	IdentityCheck string `json:"identity_check"` // equal at all members with the same identity key
}

func newKeysStatusCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the keystore holds, no secrets · 查看密钥库状态",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKeystore(cmd, path, func(ctx context.Context, _ *config.Config, ks *keystore.File) error {
				h, err := ks.Hospital(ctx)
				if err != nil {
					return err
				}
				check, err := ks.IdentityCheck(ctx)
				if err != nil {
					return err
				}
				r := keysReport{
					Hospital: h.MSPID, Number: h.Number, SigningKey: fmt.Sprintf("%x", h.SigningKey.Fingerprint()),
					EncryptionKey: fmt.Sprintf("%x", h.EncryptionKey.Fingerprint()), IdentityCheck: fmt.Sprintf("%x", check),
					Certified: h.SigningCert != nil && h.EncryptionCert != nil,
				}
				if r.Certified {
					r.NotAfter = h.SigningCert.NotAfter().Format("2006-01-02T15:04:05Z07:00")
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), r)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "hospital %s (%d)\nsigning key    %s\nencryption key %s\ncertified %v %s\nidentity check %s\n",
					r.Hospital, r.Number, r.SigningKey, r.EncryptionKey, r.Certified, r.NotAfter, r.IdentityCheck)
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func newKeysPassphraseCommand() *cobra.Command {
	var path, next string
	cmd := &cobra.Command{
		Use:   "passphrase",
		Short: "Change the passphrase · 更换口令",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(path)
			if err != nil {
				return err
			}
			old, err := passphrase(c)
			if err != nil {
				return err
			}
			if err := fsatomic.CheckPrivate(next); err != nil {
				return err
			}
			b, err := os.ReadFile(next)
			if err != nil {
				return err
			}
			return withKeystore(cmd, path, func(ctx context.Context, _ *config.Config, ks *keystore.File) error {
				return ks.ChangePassphrase(ctx, old, bytes.TrimRight(b, "\r\n"), keystore.DefaultKDF())
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&next, "new-file", "", "file with the new passphrase, mode 0600 · 新口令文件")
	_ = cmd.MarkFlagRequired("new-file")
	return cmd
}

func newKeysBackupCommand() *cobra.Command {
	var path, out string
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Write one sealed file with all keys · 备份密钥库",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKeystore(cmd, path, func(ctx context.Context, _ *config.Config, ks *keystore.File) error {
				var b bytes.Buffer
				if err := ks.Backup(ctx, &b); err != nil {
					return err
				}
				if err := fsatomic.WriteFile(out, b.Bytes(), 0o600); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes, opened by the present passphrase · 由当前口令开启\n", out, b.Len())
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&out, "out", "keys.backup", "file to write · 备份文件")
	return cmd
}

func newKeysRestoreCommand() *cobra.Command {
	var path, in string
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Make the keystore from a backup · 从备份恢复",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(path)
			if err != nil {
				return err
			}
			pass, err := passphrase(c)
			if err != nil {
				return err
			}
			f, err := os.Open(in)
			if err != nil {
				return err
			}
			defer f.Close()
			ks, err := keystore.Restore(cmd.Context(), c.Keystore.Dir, f, pass)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "restored · 已恢复")
			return ks.Close()
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&in, "in", "keys.backup", "backup file · 备份文件")
	return cmd
}

func newKeysRotateCommand() *cobra.Command {
	var path, tag string
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Start a new key epoch for a patient; older records stay readable · 轮换患者密钥",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := evidence.ParseTag(strings.TrimSpace(tag))
			if err != nil {
				return err
			}
			return withKeystore(cmd, path, func(ctx context.Context, _ *config.Config, ks *keystore.File) error {
				epoch, err := ks.RotatePatient(ctx, keystore.Tag(t))
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "epoch %d\n", epoch)
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&tag, "tag", "", "patient token, as trace shows it · 患者标识")
	_ = cmd.MarkFlagRequired("tag")
	return cmd
}
