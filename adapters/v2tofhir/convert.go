package v2tofhir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// DefaultMaxResources bounds the resources of one Bundle where Options gives no other
// bound.
const DefaultMaxResources = 20000

// ErrTooMany reports a message that would give more resources than Options allows.
var ErrTooMany = errors.New("v2tofhir: too many resources")

// Options say how a message is to be converted. The zero value serves.
type Options struct {
	// RecordID is what ids are derived from: the text form of the record's id. Where it is
	// empty the SHA-256 of the message's text serves.
	RecordID string
	// Zone is used for times without a zone; hl7.ChinaStandardTime if nil. The Bundle's
	// OperationOutcome says so wherever it was used.
	Zone *time.Location
	// Received stands for MSH-7 and EVN-2 where the message has neither.
	Received time.Time
	// Systems gives the identifier or code system, a URI, for a namespace (HD.1) or coding
	// system name (CWE.3) that the message does not give one for.
	Systems map[string]string
	// MaxResources bounds the resources of the result and the segments that are kept whole;
	// DefaultMaxResources if 0.
	MaxResources int
}

// Result is a converted message.
type Result struct {
	// Bundle is of type message: MessageHeader first.
	Bundle *tree.Bundle
	// Unmapped are the paths of what no map covers, in message order; the values stand in
	// the Bundle's Basic resource.
	Unmapped []string
}

// Convert turns a message into a Bundle. The only errors are ErrTooMany and what the
// parser of the message reports.
func Convert(msg *hl7.Message, o Options) (*Result, error) {
	if o.MaxResources <= 0 {
		o.MaxResources = DefaultMaxResources
	}
	if o.Zone == nil {
		o.Zone = hl7.ChinaStandardTime
	}
	if o.RecordID == "" {
		sum := sha256.Sum256(msg.Encode())
		o.RecordID = hex.EncodeToString(sum[:])
	}
	c := newConverter(msg, o)
	for _, s := range msg.Segments() {
		c.segment(s)
		if len(c.bundle.Resources)+len(c.unknown) > o.MaxResources {
			return nil, fmt.Errorf("%w: more than %d; raise the limit or split the message", ErrTooMany, o.MaxResources)
		}
	}
	c.finish()
	return &Result{Bundle: c.bundle, Unmapped: c.unmapped}, nil
}

// converter holds the context in which a segment is read: the resources that the segments
// before it began.
type converter struct {
	o      Options
	event  string // trigger event, as A01
	family string // message code, as ADT
	t      *tracker
	msg    *hl7.Message
	// specimens says that the message has SPM segments, which say more than OBR-15.
	specimens bool
	bundle    *tree.Bundle
	shared    map[string]*tree.Resource // by type and content: the same doctor is one Practitioner
	count     map[string]int            // segments of each name so far
	placed    map[string]int            // resources of a type from one place

	header    *tree.Resource
	operator  *tree.Resource
	patient   *tree.Resource
	patients  []*tree.Resource
	encounter *tree.Resource
	account   *tree.Resource
	order     *order
	document  *document
	booking   *booking
	noted     *noted
	unknown   []hl7.Segment // segments that no handler takes
	unknownAt []string
	unmapped  []string
	zoneless  int    // times read in the assumed zone
	recorded  string // instant of EVN-2 or MSH-7
	occurred  string
	activity  *tree.Object
	reason    *tree.Object
	facility  *tree.Resource // MSH-4
}

func newConverter(msg *hl7.Message, o Options) *converter {
	h := msg.Header()
	_, specimens := msg.Find("SPM", 1)
	return &converter{
		o: o, msg: msg, event: h.TriggerEvent, family: h.MessageCode, t: &tracker{}, specimens: specimens,
		bundle: tree.NewBundle(tree.NameID(o.RecordID, "Bundle"), "message"),
		shared: map[string]*tree.Resource{}, count: map[string]int{}, placed: map[string]int{},
	}
}

// handlers maps segment names to what reads them.
var handlers = map[string]func(*converter, seg){
	"MSH": (*converter).msh, "MSA": (*converter).msa, "SFT": (*converter).sft, "EVN": (*converter).evn,
	"PID": (*converter).pid, "PD1": (*converter).pd1, "NK1": (*converter).nk1, "MRG": (*converter).mrg,
	"PV1": (*converter).pv1, "PV2": (*converter).pv2, "ROL": (*converter).rol, "PRT": (*converter).prt,
	"DG1": (*converter).dg1, "PRB": (*converter).prb, "PR1": (*converter).pr1, "AL1": (*converter).al1, "IAM": (*converter).iam,
	"IN1": (*converter).in1, "GT1": (*converter).gt1, "FT1": (*converter).ft1,
	"ORC": (*converter).orc, "OBR": (*converter).obr, "TQ1": (*converter).tq1, "SPM": (*converter).spm, "OBX": (*converter).obx,
	"NTE": (*converter).nte, "TXA": (*converter).txa,
	"RXO": (*converter).rxo, "RXE": (*converter).rxe, "RXR": (*converter).rxr, "RXC": (*converter).rxc,
	"RXD": (*converter).rxd, "RXA": (*converter).rxa,
	"SCH": (*converter).sch, "RGS": (*converter).rgs, "AIS": (*converter).ais, "AIG": (*converter).aig, "AIL": (*converter).ail, "AIP": (*converter).aip,
}

func (c *converter) segment(raw hl7.Segment) {
	name := raw.Name()
	c.count[name]++
	s := seg{Segment: raw, path: name + "[" + strconv.Itoa(c.count[name]) + "]", t: c.t}
	if handle, ok := handlers[name]; ok {
		handle(c, s)
		return
	}
	c.unknown = append(c.unknown, raw)
	c.unknownAt = append(c.unknownAt, s.path)
}

// add puts a new resource into the Bundle. at is the place in the message that it comes
// from, which makes its id.
func (c *converter) add(typ, at string) *tree.Resource {
	names := []string{c.o.RecordID, typ, at}
	if n := c.placed[typ+at]; n > 0 {
		names = append(names, strconv.Itoa(n))
	}
	c.placed[typ+at]++
	r := tree.NewResource(typ, tree.NameID(names...))
	c.bundle.Append(r)
	return r
}

// once returns the resource of a type for a content, made by fill the first time: people,
// organisations and places that are named many times become one resource each.
func (c *converter) once(typ, content string, fill func(*tree.Resource)) *tree.Resource {
	key := typ + "\x00" + content
	if r, ok := c.shared[key]; ok {
		return r
	}
	r := c.add(typ, "content:"+content)
	c.shared[key] = r
	fill(r)
	return r
}

// subject returns the reference to the patient; where the message names none, one that
// says so.
func (c *converter) subject() *tree.Object {
	if c.patient == nil {
		return tree.Absent("unknown")
	}
	return c.patient.Ref()
}
