package devnet

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/emrbridge/emrbridge/devnet/internal/pki"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// nodeOUs makes Fabric tell peers, clients, administrators and orderers apart by the certificate's OU.
const nodeOUs = `NodeOUs:
  Enable: true
  ClientOUIdentifier: {Certificate: cacerts/ca.pem, OrganizationalUnitIdentifier: client}
  PeerOUIdentifier: {Certificate: cacerts/ca.pem, OrganizationalUnitIdentifier: peer}
  AdminOUIdentifier: {Certificate: cacerts/ca.pem, OrganizationalUnitIdentifier: admin}
  OrdererOUIdentifier: {Certificate: cacerts/ca.pem, OrganizationalUnitIdentifier: orderer}
`

// makeIdentities writes every key and certificate of a new network under root.
func makeIdentities(root string, s *state) error {
	consortium := filepath.Join(root, "consortium")
	if err := fsatomic.MkdirPrivate(consortium); err != nil {
		return err
	}
	sm2CA, err := pki.NewSM2CA("emr consortium", "emr consortium SM2 CA")
	if err != nil {
		return err
	}
	gatewayCA, err := pki.NewCA("emr consortium", "emr consortium gateway TLS CA")
	if err != nil {
		return err
	}
	identityKey := make([]byte, 32)
	if _, err := rand.Read(identityKey); err != nil {
		return fmt.Errorf("identity key: %w", err)
	}
	if err := errors.Join(
		sm2CA.WriteIn(consortium, "sm2-ca"), gatewayCA.WriteIn(consortium, "tls-ca"),
		fsatomic.WriteFile(filepath.Join(consortium, "identity.key"), []byte(hex.EncodeToString(identityKey)+"\n"), 0o600),
	); err != nil {
		return err
	}
	var g errgroup.Group
	for _, o := range s.Orderers {
		g.Go(func() error { return ordererIdentities(root, o) })
	}
	for _, h := range s.Hospitals {
		g.Go(func() error {
			return errors.Join(hospitalFabric(root, h), hospitalSM2(root, h, sm2CA), hospitalGateway(root, h, gatewayCA))
		})
	}
	return g.Wait()
}

// organisation is the pair of authorities of one member.
type organisation struct {
	mspID, domain string
	ca, tlsCA     *pki.CA
}

func newOrganisation(mspID, domain string) (org organisation, err error) {
	org = organisation{mspID: mspID, domain: domain}
	if org.ca, err = pki.NewCA(mspID, "ca."+domain); err != nil {
		return org, err
	}
	org.tlsCA, err = pki.NewCA(mspID, "tlsca."+domain)
	return org, err
}

func ordererIdentities(root string, o ordererState) error {
	org, err := newOrganisation(o.MSPID, o.domain())
	if err != nil {
		return err
	}
	dir := o.dir(root)
	return errors.Join(
		org.writeMSP(filepath.Join(dir, "org-msp"), "", ""),
		org.writeMSP(filepath.Join(dir, "msp"), "orderer."+o.domain(), "orderer"),
		org.writeMSP(filepath.Join(dir, "admin", "msp"), "admin@"+o.domain(), "admin"),
		org.writeTLS(filepath.Join(dir, "tls"), "orderer."+o.domain()),
	)
}

func hospitalFabric(root string, h hospitalState) error {
	org, err := newOrganisation(h.MSPID, h.domain())
	if err != nil {
		return err
	}
	dir := h.dir(root)
	return errors.Join(
		org.writeMSP(filepath.Join(dir, "msp"), "", ""),
		org.writeMSP(filepath.Join(dir, "peer", "msp"), "peer."+h.domain(), "peer"),
		org.writeMSP(filepath.Join(dir, "admin", "msp"), "admin@"+h.domain(), "admin"),
		org.writeMSP(filepath.Join(dir, "client", "msp"), "emrbridge@"+h.domain(), "client"),
		org.writeTLS(filepath.Join(dir, "peer", "tls"), "peer."+h.domain()),
		org.writeTLS(filepath.Join(dir, "contract"), "contract."+h.domain()),
	)
}

// writeMSP writes an MSP folder; with an empty name only the organisation's part, without an identity.
func (org organisation) writeMSP(dir, name, role string) error {
	files := map[string][]byte{
		"cacerts/ca.pem": org.ca.CertPEM, "tlscacerts/ca.pem": org.tlsCA.CertPEM, "config.yaml": []byte(nodeOUs),
	}
	if name != "" {
		id, err := org.ca.Issue(pki.Leaf{CommonName: name, Org: org.mspID, Unit: role})
		if err != nil {
			return err
		}
		files["signcerts/cert.pem"], files["keystore/key.pem"] = id.CertPEM, id.KeyPEM
	}
	return writeFiles(dir, files)
}

// writeTLS writes a certificate usable on both ends of a connection, with the authority to trust.
func (org organisation) writeTLS(dir, name string) error {
	pair, err := org.tlsCA.Issue(pki.Leaf{
		CommonName: name, Org: org.mspID, Hosts: []string{loopback, "localhost", name, org.domain}, Server: true, Client: true,
	})
	if err != nil {
		return err
	}
	return writeFiles(dir, map[string][]byte{"tls.crt": pair.CertPEM, "tls.key": pair.KeyPEM, "ca.crt": org.tlsCA.CertPEM})
}

func hospitalSM2(root string, h hospitalState, ca *pki.SM2CA) error {
	sign, err := ca.IssueSigning(h.MSPID, h.Name)
	if err != nil {
		return err
	}
	enc, err := ca.IssueEncryption(h.MSPID, h.Name)
	if err != nil {
		return err
	}
	return writeFiles(filepath.Join(h.dir(root), "sm2"), map[string][]byte{
		"sign.crt": sign.CertPEM, "sign.key": sign.KeyPEM, "enc.crt": enc.CertPEM, "enc.key": enc.KeyPEM,
	})
}

func hospitalGateway(root string, h hospitalState, ca *pki.CA) error {
	pair, err := ca.Issue(pki.Leaf{
		CommonName: "gateway." + h.domain(), Org: h.MSPID, Hosts: []string{loopback, "localhost", h.domain()}, Server: true, Client: true,
	})
	if err != nil {
		return err
	}
	return writeFiles(filepath.Join(h.dir(root), "gateway-tls"), map[string][]byte{
		"tls.crt": pair.CertPEM, "tls.key": pair.KeyPEM, "ca.crt": ca.CertPEM,
	})
}

// writeFiles writes files under dir, each readable by the owner only. A crash in between is mended by the
// ready mark of network.json, which is written last: these files need no sync of their own.
func writeFiles(dir string, files map[string][]byte) error {
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("write identities: %w", err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return fmt.Errorf("write identities: %w", err)
		}
	}
	return nil
}
