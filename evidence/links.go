package evidence

// A hospital that learns that two tags are one patient (a local number got its resident
// number, or two numbers were merged) links one tag to the other on the ledger. The link
// counts for the records of that hospital alone: what a hospital says about tags never
// moves another's records.

// Bounds of what a hospital may link together.
const (
	// MaxLinkedTags is how many tags of one hospital may stand for one patient.
	MaxLinkedTags = 256
	// MaxLinkDepth is how many links may follow one another.
	MaxLinkDepth = 16
)

// LinkTag says that this hospital's records under From belong to the patient of To. A tag
// has at most one link of a hospital; a later one takes its place.
type LinkTag struct {
	From Tag `cbor:"0,keyasint"`
	To   Tag `cbor:"1,keyasint"`
	// Order grows with each statement of the hospital about links. An earlier statement that
	// arrives after a later one about the same From is refused with BAD_STATE and changes nothing.
	Order uint64 `cbor:"2,keyasint"`
}

// Kind implements Body.
func (LinkTag) Kind() Kind { return KindLinkTag }

// Validate implements Body.
func (b LinkTag) Validate() error { return validLink(b.Kind(), b.From, b.To, b.Order) }

// UnlinkTag ends the link of From. To is what it was linked to, for the history.
type UnlinkTag struct {
	From  Tag    `cbor:"0,keyasint"`
	To    Tag    `cbor:"1,keyasint"`
	Order uint64 `cbor:"2,keyasint"` // as in LinkTag
}

// Kind implements Body.
func (UnlinkTag) Kind() Kind { return KindUnlinkTag }

// Validate implements Body.
func (b UnlinkTag) Validate() error { return validLink(b.Kind(), b.From, b.To, b.Order) }

func validLink(kind Kind, from, to Tag, order uint64) error {
	switch {
	case from.IsZero() || to.IsZero():
		return malformed(kind, "tag missing")
	case from == to:
		return malformed(kind, "a tag is not linked to itself")
	case order == 0:
		return malformed(kind, "no order")
	}
	return nil
}

// TagLink is a link that stands.
type TagLink struct {
	Hospital       string `json:"hospital"`
	HospitalNumber uint16 `json:"hospital_number"`
	From           Tag    `json:"from"`
	To             Tag    `json:"to"`
	Order          uint64 `json:"order"`
	Since          int64  `json:"since"` // time of the transaction, Unix milliseconds
	Signed         Signed `json:"signed"`
}

// TagStep is a link or its end, in the history of both tags.
type TagStep struct {
	ID             Nonce  `json:"id"` // nonce of the statement
	Kind           Kind   `json:"kind"`
	Hospital       string `json:"hospital"`
	HospitalNumber uint16 `json:"hospital_number"`
	From           Tag    `json:"from"`
	To             Tag    `json:"to"`
	Order          uint64 `json:"order"`
	At             int64  `json:"at"` // time of the transaction, Unix milliseconds
	Signed         Signed `json:"signed"`
}
