package retrievetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// World is a consortium with n hospitals that share an identity key.
type World struct {
	*chaincodetest.Consortium
	Hospitals []*Hospital
	// GatewayCA is the authority of the gateway certificates.
	GatewayCA *x509.CertPool

	caCert *x509.Certificate
	caKey  *ecdsa.PrivateKey
}

// Hospital is one member with all that it has.
type Hospital struct {
	*chaincodetest.Member
	Custody *keystore.File
	Store   *embedded.Store
	Ledger  *Ledger
	Trust   *retrieve.Trust
	Gateway tls.Certificate
	Listen  net.Listener // where its gateway is registered

	t       testing.TB
	world   *World
	renewed bool
}

// messages numbers the records of all worlds, because these share their keystores, and a
// key that one test destroys must not be missed by another.
var messages atomic.Int64

// New builds a world. Everything is closed when the test ends.
func New(t testing.TB, n int) *World {
	t.Helper()
	w := &World{Consortium: chaincodetest.NewUnregistered(t, n)}
	_, _, err := w.Submit(w.Members[0].MSP, evidence.TxBootstrap, [][]byte{w.Authority.Cert.DER()}, nil)
	require.NoError(t, err)
	w.newGatewayCA(t)
	for _, m := range w.Members {
		w.Hospitals = append(w.Hospitals, w.open(t, m))
	}
	return w
}

func (w *World) open(t testing.TB, m *chaincodetest.Member) *Hospital {
	ctx := context.Background()
	v := vaultOf(t, m.MSP, m.Number)
	adopt(t, w.Consortium, m, v)
	h := &Hospital{Member: m, t: t, world: w, Custody: v.custody, Ledger: &Ledger{Chain: w.Ledger, Self: m}}
	var err error
	h.Store, err = embedded.Open(ctx, t.TempDir()+"/store", embedded.Options{SkipReadCheck: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.Store.Close() })
	h.Trust, err = retrieve.NewTrust(h.Ledger, []*smcrypto.Certificate{w.Authority.Cert}, nil, nil)
	require.NoError(t, err)
	h.Gateway = w.GatewayPair(t, m.MSP)
	h.Listen, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.Listen.Close() })
	h.register()
	return h
}

// register puts the hospital's certificates and its own gateway on the ledger.
func (h *Hospital) register() {
	h.t.Helper()
	h.Register(sha256.Sum256(h.Gateway.Leaf.RawSubjectPublicKeyInfo), "https://"+h.Listen.Addr().String())
}

// Register puts the hospital's gateway key and endpoint on the ledger.
func (h *Hospital) Register(key evidence.Digest, endpoint string) {
	h.t.Helper()
	body := h.Registration()
	body.GatewayKey, body.Endpoint = key, endpoint
	_, _, err := h.Say(body)
	require.NoError(h.t, err)
}

func (w *World) newGatewayCA(t testing.TB) {
	var err error
	w.caKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &w.caKey.PublicKey, w.caKey)
	require.NoError(t, err)
	w.caCert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	w.GatewayCA = x509.NewCertPool()
	w.GatewayCA.AddCert(w.caCert)
}

// GatewayPair issues a gateway certificate for 127.0.0.1.
func (w *World) GatewayPair(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, w.caCert, &key.PublicKey, w.caKey)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Patient is a resident with a valid number; n makes them different.
func Patient(n int) keystore.Identity {
	base := fmt.Sprintf("11010119900307%03d", n)
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += int(base[i]-'0') * w
	}
	return keystore.Identity{ResidentID: base + string("10X98765432"[sum%11])}
}

// Tag is the patient's tag on the ledger.
func (h *Hospital) Tag(patient keystore.Identity) evidence.Tag {
	h.t.Helper()
	token, err := h.Custody.PatientToken(context.Background(), patient)
	require.NoError(h.t, err)
	tag, err := h.Custody.Tag(context.Background(), token)
	require.NoError(h.t, err)
	return evidence.Tag(tag)
}

// NewRecord makes a record of the hospital with a payload of its own.
func (h *Hospital) NewRecord(kind string, payload []byte) *record.Record {
	r := &record.Record{ModelVersion: record.ModelVersion, HospitalMSP: h.MSP, Sender: "HIS", ControlID: fmt.Sprintf("MSG%06d", messages.Add(1)),
		Kind: kind, EventTime: record.NewTime(time.Now(), record.Second, false), ReceivedAt: time.Now().UnixMilli(), MediaType: "x-application/hl7-v2+er7", Payload: payload}
	r.ID = record.NewID(record.Origin{HospitalNumber: h.Number, HospitalMSP: h.MSP, Sender: r.Sender, ControlID: r.ControlID, Payload: payload})
	return r
}

// Seal seals a record under the patient's key as the hospital.
func (h *Hospital) Seal(tag evidence.Tag, r *record.Record) smcrypto.Sealed {
	h.t.Helper()
	return h.SealAs(tag, r, h.SignKey, nil)
}

// SealAs is Seal with another signing key, and with a spoiled header if change is given.
func (h *Hospital) SealAs(tag evidence.Tag, r *record.Record, signer *smcrypto.PrivateKey, change func(*smcrypto.Header)) smcrypto.Sealed {
	h.t.Helper()
	ctx := context.Background()
	emr, err := r.Canonical()
	require.NoError(h.t, err)
	epoch, _, err := h.Custody.EnsurePatient(ctx, keystore.Tag(tag))
	require.NoError(h.t, err)
	key, err := h.Custody.RecordKey(ctx, keystore.Tag(tag), epoch, keystore.RecordID(r.ID))
	require.NoError(h.t, err)
	header := smcrypto.Header{RecordID: r.ID, HospitalNumber: h.Number, MSPID: h.MSP, Tag: tag, Epoch: epoch, SealedAt: time.Now()}
	if change != nil {
		change(&header)
	}
	sealed, err := smcrypto.Seal(smcrypto.Default(), key, header, emr, func(digest [32]byte) ([]byte, error) {
		msg, err := evidence.SealStatement{Record: evidence.RecordID(r.ID), Hospital: r.HospitalMSP, Kind: r.Kind,
			EventTime: r.EventTime.UnixMilli, Precision: uint8(r.EventTime.Precision), EMR: digest}.SigningBytes()
		require.NoError(h.t, err)
		return smcrypto.Default().Sign(signer, msg)
	})
	require.NoError(h.t, err)
	return sealed
}

// Put stores a sealed record.
func (h *Hospital) Put(tag evidence.Tag, kind string, s smcrypto.Sealed) recordstore.Item {
	h.t.Helper()
	item, _, err := h.Store.Put(context.Background(), recordstore.Draft{ID: record.ID(s.Header.RecordID), Tag: tag, Kind: kind,
		Epoch: s.Header.Epoch, SealedAt: s.Header.SealedAt.UnixMilli(), CipherHash: s.CipherDigest}, s.Bytes)
	require.NoError(h.t, err)
	return item
}

// File seals, stores and anchors a record of a patient.
func (h *Hospital) File(patient keystore.Identity, kind string, payload []byte) recordstore.Item {
	h.t.Helper()
	tag := h.Tag(patient)
	item := h.Put(tag, kind, h.Seal(tag, h.NewRecord(kind, payload)))
	_, err := h.Anchor(item.Entry())
	require.NoError(h.t, err)
	return item
}

// Consent records a consent for treatment and returns its id.
func (h *Hospital) Consent(patient keystore.Identity, grantee string, change func(*evidence.GrantConsent)) evidence.Nonce {
	h.t.Helper()
	body := evidence.GrantConsent{Tag: h.Tag(patient), Grantees: []string{grantee}, Owners: []string{evidence.Anyone},
		Purposes: []evidence.Purpose{evidence.Treatment}, NotAfter: time.Now().Add(time.Hour).UnixMilli()}
	if change != nil {
		change(&body)
	}
	_, id, err := h.Say(body)
	require.NoError(h.t, err)
	return id
}

// Owner is the hospital's side that delivers.
func (h *Hospital) Owner(change func(*retrieve.OwnerConfig)) *retrieve.Owner {
	h.t.Helper()
	c := retrieve.OwnerConfig{MSP: h.MSP, Number: h.Number, Ledger: h.Ledger, Trust: h.Trust, Custody: h.custody(), Store: h.Store, LedgerWait: 200 * time.Millisecond}
	if change != nil {
		change(&c)
	}
	o, err := retrieve.NewOwner(c)
	require.NoError(h.t, err)
	return o
}

// Requester is the hospital's side that asks.
func (h *Hospital) Requester(peer retrieve.Peer, change func(*retrieve.RequesterConfig)) *retrieve.Requester {
	h.t.Helper()
	c := retrieve.RequesterConfig{MSP: h.MSP, Number: h.Number, Ledger: h.Ledger, Trust: h.Trust, Custody: h.custody(), Peer: peer, LedgerWait: 200 * time.Millisecond}
	if change != nil {
		change(&c)
	}
	r, err := retrieve.NewRequester(c)
	require.NoError(h.t, err)
	h.t.Cleanup(r.Close)
	return r
}
