package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir/ledger"
	"github.com/emrbridge/emrbridge/adapters/fhir/render"
	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway/local"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Forms in which a record is written.
const (
	asSealed   = "sealed"
	asOriginal = "original"
	asFHIR     = "fhir"
)

// checkForm reports a form that a command does not write.
func checkForm(as string, forms ...string) error {
	for _, f := range forms {
		if as == f {
			return nil
		}
	}
	return fmt.Errorf("--as %q is not known; use %s", as, strings.Join(forms, " or "))
}

// extension names the file of a payload by its media type.
func extension(mediaType string) string {
	switch media, _, _ := strings.Cut(mediaType, ";"); {
	case strings.Contains(media, "json"):
		return ".json"
	case strings.Contains(media, "xml"):
		return ".xml"
	}
	return ".hl7"
}

// documents renders the genuine records of a retrieval as FHIR documents, one file for each
// in dir, or one line for each to out where dir is empty.
func documents(ctx context.Context, c *config.Config, out io.Writer, dir string, report *retrieveReport) error {
	chain, err := openChain(ctx, c, noSigner{})
	if err != nil {
		return err
	}
	defer chain.Close()
	if dir != "" {
		if err := fsatomic.MkdirPrivate(dir); err != nil {
			return err
		}
	}
	for i := range report.Deliveries {
		for j := range report.Deliveries[i].Records {
			r := &report.Deliveries[i].Records[j]
			if r.Proof == nil {
				continue
			}
			doc, err := documentOf(ctx, c, chain, r)
			if err != nil {
				return fmt.Errorf("record %s: %w", r.ID, err)
			}
			r.EMR, r.Payload = nil, nil
			if dir == "" {
				_, err = fmt.Fprintf(out, "%s\n", doc)
			} else {
				err = fsatomic.WriteFile(filepath.Join(dir, r.ID+".fhir.json"), doc, 0o600)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// documentOf renders one retrieved record.
func documentOf(ctx context.Context, c *config.Config, chain *chainclient.Client, r *local.Record) ([]byte, error) {
	rec, err := record.Parse(r.EMR)
	if err != nil {
		return nil, err
	}
	p := r.Proof
	proof := ledger.Anchor{EMR: p.EMR, Cipher: p.Cipher, Signature: p.Signature, Signed: p.Signed, SealedAt: p.SealedAt.In(c.Location())}
	where, err := anchorPlace(ctx, chain, p.Tag, evidence.RecordID(rec.ID), p.SealedAt)
	if err != nil {
		return nil, err
	}
	place(&proof, where, c.Location())
	return renderDocument(c, rec, memberName(ctx, chain, rec.HospitalMSP), proof)
}

func place(proof *ledger.Anchor, where recordstore.AnchorRef, zone *time.Location) {
	if where.TxID == "" {
		return
	}
	proof.Tx, proof.Block, proof.At = where.TxID, where.Block, time.UnixMilli(where.At).In(zone)
	if !where.Batch.IsZero() {
		proof.Batch = where.Batch.String()
	}
}

func renderDocument(c *config.Config, rec *record.Record, owner string, proof ledger.Anchor) ([]byte, error) {
	b, err := render.Document(render.Sealed{Record: rec, Owner: owner, Proof: proof}, render.Options{At: time.Now().In(c.Location()), Zone: c.Location()})
	if err != nil {
		return nil, err
	}
	return json.Marshal(b)
}

// memberName is the name under which a member is registered, "" if it cannot be read.
func memberName(ctx context.Context, chain *chainclient.Client, msp string) string {
	m, err := chain.Member(ctx, msp)
	if err != nil {
		return ""
	}
	return m.Info.Name
}

// searchBlocks bounds the blocks that are read forward from where a record was sealed.
const searchBlocks = 2000

// blocks is what a search of the ledger reads; chainclient.Client is one.
type blocks interface {
	Height(ctx context.Context) (uint64, error)
	BlockByNumber(ctx context.Context, number uint64) (chainclient.Block, error)
	WriteSet(ctx context.Context, number uint64) ([]chainclient.Tx, error)
}

// anchorPlace finds the transaction that anchored a record: by bisection over the blocks
// for the time of sealing, then forward. The zero AnchorRef means that it was not found
// within searchBlocks; the anchor itself was checked before.
func anchorPlace(ctx context.Context, chain blocks, tag evidence.Tag, id evidence.RecordID, sealedAt time.Time) (recordstore.AnchorRef, error) {
	height, err := chain.Height(ctx)
	if err != nil {
		return recordstore.AnchorRef{}, err
	}
	from, err := firstBlockAfter(ctx, chain, height, sealedAt.Add(-evidence.StatementWindow*time.Millisecond))
	if err != nil {
		return recordstore.AnchorRef{}, err
	}
	short, long := evidence.AnchorKey(tag, id, false), evidence.AnchorKey(tag, id, true)
	for n := from; n < min(height, from+searchBlocks); n++ {
		txs, err := chain.WriteSet(ctx, n)
		if err != nil {
			return recordstore.AnchorRef{}, err
		}
		for _, tx := range txs {
			for _, w := range tx.Writes {
				if tx.Valid && !w.Delete && (w.Key == short || w.Key == long) {
					return anchorRef(tx), nil
				}
			}
		}
	}
	return recordstore.AnchorRef{}, nil
}

func anchorRef(tx chainclient.Tx) recordstore.AnchorRef {
	ref := recordstore.AnchorRef{TxID: tx.ID, Block: tx.Block, At: tx.Time.UnixMilli()}
	if tx.Event != nil && tx.EventName == evidence.EventAnchored {
		ref.Batch = tx.Event.ID
	}
	return ref
}

// firstBlockAfter returns a block before which no transaction claims a time after t.
func firstBlockAfter(ctx context.Context, chain blocks, height uint64, t time.Time) (uint64, error) {
	lo, hi := uint64(0), height
	for lo < hi {
		mid := lo + (hi-lo)/2
		b, err := chain.BlockByNumber(ctx, mid)
		if err != nil {
			return 0, err
		}
		if before(b, t) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, nil
}

// before reports whether all transactions of a block claim times before t. The first
// block of a channel, which may claim none, counts as before.
func before(b chainclient.Block, t time.Time) bool {
	for _, tx := range b.Txs {
		if !tx.Time.Before(t) {
			return false
		}
	}
	return true
}

// opened is a record of the own store, opened and proved.
type opened struct {
	rec   *record.Record
	proof ledger.Anchor
}

// openOwn opens a record of this hospital's store with its keys: the ciphertext has the
// hash that the store anchored, and the hospital's registered key signed the content.
func openOwn(ctx context.Context, c *config.Config, chain *chainclient.Client, id record.ID) (opened, error) {
	store, err := embedded.Open(ctx, c.Store.Dir, embedded.Options{ReadOnly: true})
	if err != nil {
		return opened{}, err
	}
	defer store.Close()
	item, sealed, err := store.Open(ctx, id)
	if err != nil {
		return opened{}, fmt.Errorf("%s: %w", id, err)
	}
	defer sealed.Close()
	ks, err := openKeyReader(ctx, c)
	if err != nil {
		return opened{}, err
	}
	key, err := ks.RecordKey(ctx, keystore.Tag(item.Tag), item.Epoch, keystore.RecordID(id))
	if err = errors.Join(err, ks.Close()); err != nil {
		return opened{}, err
	}
	defer clear(key[:])
	signer, err := ownSigner(ctx, c, chain)
	if err != nil {
		return opened{}, err
	}
	return openSealed(c, item, sealed, key, signer)
}

// ownSigner reads this hospital's registration, verified up to the consortium's authority.
func ownSigner(ctx context.Context, c *config.Config, chain *chainclient.Client) (retrieve.Party, error) {
	text, err := os.ReadFile(c.Chain.Authority)
	if err != nil {
		return retrieve.Party{}, err
	}
	roots, err := smcrypto.ParseCertificates(text)
	if err != nil {
		return retrieve.Party{}, err
	}
	trust, err := retrieve.NewTrust(chainLedger{chain}, roots, smcrypto.Default(), time.Now)
	if err != nil {
		return retrieve.Party{}, err
	}
	return trust.Party(ctx, c.Hospital.MSP)
}

func openSealed(c *config.Config, item recordstore.Item, sealed io.Reader, key smcrypto.Key, signer retrieve.Party) (opened, error) {
	var former []smcrypto.PublicKey
	for _, f := range signer.Former {
		if item.SealedAt-evidence.StatementWindow <= f.Until {
			former = append(former, f.Key)
		}
	}
	var out opened
	var signed []byte
	var plain bytes.Buffer
	hash := [smcrypto.DigestSize]byte(item.CipherHash)
	got, err := smcrypto.OpenStream(smcrypto.Default(), key, sealed, &plain, smcrypto.Check{
		Signer: signer.Sign, Former: former, CipherDigest: &hash,
		Statement: func(_ smcrypto.Header, digest [smcrypto.DigestSize]byte, _ []byte) (_ []byte, err error) {
			if out.rec, err = record.Parse(plain.Bytes()); err != nil {
				return nil, err
			}
			r := out.rec
			signed, err = evidence.SealStatement{Record: evidence.RecordID(r.ID), Hospital: r.HospitalMSP, Kind: r.Kind,
				EventTime: r.EventTime.UnixMilli, Precision: uint8(r.EventTime.Precision), EMR: digest}.SigningBytes()
			return signed, err
		},
	})
	if err != nil {
		return opened{}, fmt.Errorf("the record does not open: %w", err)
	}
	out.proof = ledger.Anchor{EMR: got.EMRDigest, Cipher: got.CipherDigest, Signature: got.Signature, Signed: signed, SealedAt: got.Header.SealedAt.In(c.Location())}
	if item.Anchor != nil {
		place(&out.proof, *item.Anchor, c.Location())
	}
	return out, nil
}

// writeOwn writes a record of the own store, opened, as the original or a FHIR document.
func writeOwn(ctx context.Context, w io.Writer, path string, id record.ID, as string) error {
	c, err := loadConfig(path)
	if err != nil {
		return err
	}
	chain, err := openChain(ctx, c, noSigner{})
	if err != nil {
		return err
	}
	defer chain.Close()
	got, err := openOwn(ctx, c, chain, id)
	if err != nil {
		return err
	}
	content := got.rec.Payload
	if as == asFHIR {
		if content, err = renderDocument(c, got.rec, memberName(ctx, chain, got.rec.HospitalMSP), got.proof); err != nil {
			return err
		}
		content = append(content, '\n')
	}
	_, err = w.Write(content)
	return err
}
