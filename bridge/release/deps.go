package release

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/policy"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/research/dataset"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Errors of a release. None holds patient data.
var (
	// ErrNotApproved: this hospital has not approved the project, or its term is over.
	ErrNotApproved = errors.New("release: the project is not approved by this hospital, or its term is over")
	// ErrLeak: the leak gate found an identifier in what was de-identified. Deidentifiers wrap it.
	ErrLeak = errors.New("release: the leak gate found an identifier")
	// ErrUnfit: a record that cannot be read as FHIR. Deidentifiers wrap it.
	ErrUnfit = errors.New("release: the record has no form that can be released")
	// ErrRisk: even suppression and generalisation do not bring the risk under the threshold.
	ErrRisk = errors.New("release: the risk gate refuses")
	// ErrSequence: the number is not the next one, or a release is unfinished.
	ErrSequence = errors.New("release: number of the release")
	// ErrConsentChanged: somebody withdrew while the release was made; it begins anew.
	ErrConsentChanged = errors.New("release: a consent ended while the release was made")
)

// Project is a research project as the ledger has it, verified.
type Project struct {
	ID        string
	Institute string
	Recipient smcrypto.PublicKey // the institute's encryption key
	Proxy     string             // MSP id of the hospital that hands over
	Criteria  Criteria
	// Fields are the FHIR resource types that leave, or elements of them (Condition.code); none means all.
	Fields []string
	Model  string // public, agreement or enclave
	Policy evidence.Digest
	// MinGroup is the smallest group that may leave; 0: that of the model.
	MinGroup int
	NotAfter int64 // Unix milliseconds
	// Closed says why this hospital may not release to the project now, nil if it may.
	Closed error
	// NextRelease and NextNotice are the numbers that the ledger expects from this hospital.
	NextRelease, NextNotice uint32
}

// Criteria say which records belong to the cohort. Zero values mean no limit.
type Criteria struct {
	Diagnoses      []string // ICD-10 prefixes; a patient needs one of them in the period
	MinAge, MaxAge int      // full years at the time of the record
	Sex            string   // GB/T 2261.1
	From, To       int64    // time of the record, Unix milliseconds; To is excluded
	Kinds          []string // of records, or their beginning: ORU matches ORU^R01
}

// Entry is what the ledger is told of a release.
type Entry struct {
	Project      string
	Institute    string
	Sequence     uint32
	Root         evidence.Digest
	Delivery     evidence.Digest // SM3 of the signed delivery
	Rows         uint64
	Subjects     uint32
	PolicyDigest evidence.Digest
	K            uint32
	MaxRisk      uint32 // per mille
	AverageRisk  uint32 // per mille
}

// Notice is what the ledger is told of subjects that the institute is to delete.
type Notice struct {
	Project  string
	Sequence uint32 // of the hospital's notices for the project
	Subjects []string
}

// Receipt tells where a release stands on the ledger.
type Receipt struct {
	TxID   string
	Signed *evidence.Signed
}

// Ledger is what a release reads from the ledger and tells it. Implementations verify the
// signatures of what they return.
type Ledger interface {
	// Project returns a project, also one that is closed or not approved.
	Project(ctx context.Context, id string) (Project, error)
	// Consents are the consents of a patient under one tag.
	Consents(ctx context.Context, tag evidence.Tag) ([]policy.Consent, error)
	// Released returns what the ledger has of a release of this hospital, nil if nothing.
	Released(ctx context.Context, project string, sequence uint32) (*Entry, Receipt, error)
	// Record tells the ledger. The same entry again is no error.
	Record(ctx context.Context, e Entry) (Receipt, error)
	// Noticed reports whether the ledger has a notice of this hospital, with the same
	// subjects; another content under its number is an error.
	Noticed(ctx context.Context, n Notice) (bool, Receipt, error)
	// Notify tells the ledger. The same notice again is no error.
	Notify(ctx context.Context, n Notice) (Receipt, error)
}

// Vault is what a release needs of key custody.
type Vault interface {
	Hospital(ctx context.Context) (keystore.Hospital, error)
	Sign(ctx context.Context, msg []byte) ([]byte, error)
	RecordKey(ctx context.Context, tag keystore.Tag, epoch uint32, id keystore.RecordID) (smcrypto.Key, error)
	DataKey(ctx context.Context, use keystore.DataUse, version uint32) (uint32, smcrypto.Key, error)
	// ProjectKey derives the key of a project, the same at all hospitals.
	ProjectKey(ctx context.Context, project string) ([32]byte, error)
}

// Store is the hospital's record store.
type Store interface {
	List(ctx context.Context, after uint64, limit int) ([]recordstore.Item, error)
	Stats(ctx context.Context) (recordstore.Stats, error)
	Open(ctx context.Context, id record.ID) (recordstore.Item, io.ReadCloser, error)
}

// Patients tells under which tags a person's records may lie. The first one stands for the
// person.
type Patients interface {
	Tags(ctx context.Context, tag evidence.Tag) ([]evidence.Tag, error)
}

// Subject is how a record's patient is to be called within a project.
type Subject struct {
	// Key is the same for the same person in all hospitals, and another one in another
	// project. Dates are shifted and surrogates chosen by it.
	Key [32]byte
}

// Facts are what the cohort criteria and the risk gate need to know of a record.
type Facts struct {
	Diagnoses []string // ICD-10 codes
	Region    string   // 行政区划 of the home: six digits, or names from large to small with "/"
}

// Deidentifier reads records and de-identifies them, for one project.
type Deidentifier interface {
	// Policy names the policy and its digest.
	Policy() (name string, digest evidence.Digest)
	Facts(ctx context.Context, r *record.Record) (Facts, error)
	// Prepare is called once, after the cohort is known and before the first Deidentify. rare
	// tells of diagnoses that fewer of the cohort have than a group must have members.
	Prepare(rare func(code string) bool) error
	// Deidentify returns the FHIR resources of a record. Errors wrap ErrLeak or ErrUnfit.
	Deidentify(ctx context.Context, r *record.Record, s Subject) ([]json.RawMessage, error)
}

// Carrier brings a sealed release to the proxy hospital. Volumes that arrived are not sent
// again.
type Carrier interface {
	Carry(ctx context.Context, proxy string, envelope []byte, d dataset.Delivery, open func(volume int) (io.ReadSeekCloser, error)) error
}

// Config is what a Releaser works with. All but the last five are required.
type Config struct {
	MSP      string
	Number   uint16
	Dir      string // private, of this package alone
	Ledger   Ledger
	Vault    Vault
	Store    Store
	Patients Patients
	Carrier  Carrier
	// Deidentifier returns the one for a project under the key of the project.
	// An unknown policy digest is an error.
	Deidentifier func(p Project, key [32]byte) (Deidentifier, error)

	// HoldBack keeps records that the leak gate objects to out of the release instead of
	// refusing the release.
	HoldBack bool
	// Former are signing keys that the hospital renewed; records sealed under them stay readable.
	Former   func(ctx context.Context) ([]smcrypto.PublicKey, error)
	Provider smcrypto.Provider // nil: the default one
	Now      func() time.Time  // nil: time.Now
	// Crash, in tests, is called after each durable step with its name.
	Crash func(step string)
}

func (c *Config) complete() error {
	if c.MSP == "" || c.Number == 0 || c.Dir == "" || c.Ledger == nil || c.Vault == nil || c.Store == nil ||
		c.Patients == nil || c.Carrier == nil || c.Deidentifier == nil {
		return errors.New("release: hospital, folder, ledger, vault, store, patients, carrier or de-identifier is missing")
	}
	if c.Provider == nil {
		c.Provider = smcrypto.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Crash == nil {
		c.Crash = func(string) {}
	}
	return nil
}
