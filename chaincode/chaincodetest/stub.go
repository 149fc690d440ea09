package chaincodetest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/queryresult"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// stub is the contract's view of one simulation. The embedded interface is nil: a call of
// a method that the contract does not use today panics, which a test notices.
type stub struct {
	shim.ChaincodeStubInterface
	ledger    *Ledger
	txID      string
	creator   []byte
	call      Call
	reads     map[string]*version // nil for a key that is not there
	writes    map[string][]byte   // nil for a deletion
	paged     bool
	eventName string
	event     []byte
}

func (s *stub) GetArgs() [][]byte {
	return append([][]byte{[]byte(s.call.Function)}, s.call.Args...)
}

func (s *stub) GetTxID() string                          { return s.txID }
func (s *stub) GetChannelID() string                     { return "emr" }
func (s *stub) GetCreator() ([]byte, error)              { return s.creator, nil }
func (s *stub) GetTransient() (map[string][]byte, error) { return s.call.Transient, nil }
func (s *stub) StartWriteBatch()                         {}
func (s *stub) FinishWriteBatch() error                  { return nil }
func (s *stub) GetTxTimestamp() (*timestamppb.Timestamp, error) {
	return timestamppb.New(s.call.At), nil
}

func (s *stub) SetEvent(name string, payload []byte) error {
	if name == "" {
		return errors.New("event name can not be empty string")
	}
	s.eventName, s.event = name, bytes.Clone(payload)
	return nil
}

func (s *stub) GetState(key string) ([]byte, error) {
	h, ok := s.ledger.state[key]
	if !ok {
		s.reads[key] = nil
		return nil, nil
	}
	s.reads[key] = &h.version
	return bytes.Clone(h.value), nil
}

func (s *stub) GetMultipleStates(keys ...string) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, key := range keys {
		values[i], _ = s.GetState(key)
	}
	return values, nil
}

func (s *stub) PutState(key string, value []byte) error {
	switch {
	case key == "":
		return errors.New("key must not be an empty string")
	case !utf8.ValidString(key):
		return fmt.Errorf("key %x is not UTF-8", key)
	case s.paged:
		return errors.New("transaction has already performed a paginated query, writes are not allowed")
	}
	s.writes[key] = bytes.Clone(value)
	if len(value) == 0 {
		s.writes[key] = nil
	}
	return nil
}

func (s *stub) DelState(key string) error { return s.PutState(key, nil) }

func (s *stub) GetStateByRangeWithPagination(start, end string, size int32, bookmark string) (shim.StateQueryIteratorInterface, *peer.QueryResponseMetadata, error) {
	if len(s.writes) > 0 {
		return nil, nil, errors.New("paginated queries are supported only in a read-only transaction")
	}
	s.paged = true
	if bookmark != "" {
		start = bookmark
	}
	keys := s.ledger.keys
	from, _ := slices.BinarySearch(keys, start)
	rows, next := &iterator{}, ""
	for _, key := range keys[from:] {
		if key >= end {
			break
		}
		if len(rows.rows) == int(size) {
			next = key
			break
		}
		h := s.ledger.state[key]
		s.reads[key] = &h.version
		rows.rows = append(rows.rows, &queryresult.KV{Key: key, Value: bytes.Clone(h.value)})
	}
	return rows, &peer.QueryResponseMetadata{FetchedRecordsCount: int32(len(rows.rows)), Bookmark: next}, nil
}

// set returns the read-write set in Fabric's order.
func (s *stub) set() *kvrwset.KVRWSet {
	set := &kvrwset.KVRWSet{}
	for key, v := range s.reads {
		r := &kvrwset.KVRead{Key: key}
		if v != nil {
			r.Version = &kvrwset.Version{BlockNum: v.block, TxNum: v.index}
		}
		set.Reads = append(set.Reads, r)
	}
	for key, value := range s.writes {
		set.Writes = append(set.Writes, &kvrwset.KVWrite{Key: key, Value: value, IsDelete: value == nil})
	}
	slices.SortFunc(set.Reads, func(a, b *kvrwset.KVRead) int { return compare(a.GetKey(), b.GetKey()) })
	slices.SortFunc(set.Writes, func(a, b *kvrwset.KVWrite) int { return compare(a.GetKey(), b.GetKey()) })
	return set
}

func compare(a, b string) int { return bytes.Compare([]byte(a), []byte(b)) }

type iterator struct {
	rows []*queryresult.KV
}

func (i *iterator) HasNext() bool { return len(i.rows) > 0 }
func (i *iterator) Close() error  { return nil }

func (i *iterator) Next() (*queryresult.KV, error) {
	if len(i.rows) == 0 {
		return nil, errors.New("no such key")
	}
	row := i.rows[0]
	i.rows = i.rows[1:]
	return row, nil
}

// creator returns the serialized identity of a client of an organisation.
func (l *Ledger) creator(mspID, unit string) ([]byte, error) {
	if unit == "" {
		unit = "client"
	}
	name := mspID + "/" + unit
	if id, ok := l.creators[name]; ok {
		return id, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("chaincodetest: client of %s: %w", mspID, err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, OrganizationalUnit: []string{unit}},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("chaincodetest: client of %s: %w", mspID, err)
	}
	id, err := proto.Marshal(&msp.SerializedIdentity{
		Mspid: mspID, IdBytes: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	})
	if err != nil {
		return nil, fmt.Errorf("chaincodetest: client of %s: %w", mspID, err)
	}
	l.creators[name] = id
	return id, nil
}
