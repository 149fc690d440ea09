package hip

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
)

// Namespaces of SOAP.
const (
	soap11 = "http://schemas.xmlsoap.org/soap/envelope/"
	soap12 = "http://www.w3.org/2003/05/soap-envelope"
	hl7v3  = "urn:hl7-org:v3"
)

// operation is the name of the one operation.
const operation = "HIPMessageServer"

// envelope is what a SOAP call says.
type envelope struct {
	soap      string // namespace: the version
	namespace string // of the operation element
	qualified bool   // the parameters are in that namespace
	action    string
	message   string // text of the message
}

// fault is an error that is answered with a SOAP fault: the call itself is wrong, so that
// there is no message to acknowledge.
type fault struct {
	soap   string // version to answer in
	server bool   // whose fault it is
	reason string
}

func (f *fault) Error() string { return "hip: " + f.reason }

// readEnvelope reads a SOAP request. Errors are *fault.
func readEnvelope(body, charset string, l safexml.Limits) (*envelope, error) {
	x, err := safexml.ParseString(body, safexml.Encoding{Default: charset}, l)
	if err != nil {
		return nil, &fault{soap: soap11, reason: "the envelope is no XML that is taken: " + err.Error()}
	}
	root := x.Root
	if root.Name.Local != "Envelope" || root.Name.Space != soap11 && root.Name.Space != soap12 {
		return nil, &fault{soap: soap11, reason: "the root element is not a SOAP 1.1 or 1.2 Envelope"}
	}
	e := &envelope{soap: root.Name.Space}
	wrong := func(reason string) (*envelope, error) { return nil, &fault{soap: e.soap, reason: reason} }
	if h := root.Child("Header"); h != nil {
		for _, block := range h.Elements() {
			if v, _ := block.Lookup(root.Name.Space, "mustUnderstand"); v == "1" || v == "true" {
				return wrong("a header block must be understood, but none is")
			}
		}
	}
	calls := root.Child("Body").Elements()
	if len(calls) != 1 {
		return wrong("the body does not hold exactly one call")
	}
	call := calls[0]
	if call.Name.Local != operation {
		return wrong("the operation is not " + operation)
	}
	e.namespace = call.Name.Space
	return e, e.parameters(x, call)
}

// parameters reads action and message. Clients that know no names send arg0 and arg1.
func (e *envelope) parameters(x *safexml.Document, call *safexml.Node) error {
	found := false
	for _, p := range call.Elements() {
		switch strings.ToLower(p.Name.Local) {
		case "action", "arg0":
			e.action = strings.TrimSpace(p.Content())
		case "message", "arg1":
			if found {
				return &fault{soap: e.soap, reason: "two messages in one call"}
			}
			found = true
			e.qualified = p.Name.Space != ""
			e.message = messageText(x, p)
		}
	}
	if !found || strings.TrimSpace(e.message) == "" {
		return &fault{soap: e.soap, reason: "the call has no message"}
	}
	return nil
}

// messageText returns the message: the text of the parameter (CDATA or escaped), or the
// markup of the element that stands in it unescaped.
func messageText(x *safexml.Document, p *safexml.Node) string {
	if children := p.Elements(); len(children) == 1 && strings.TrimSpace(textOf(p)) == "" {
		return x.Text[children[0].Start:children[0].End]
	}
	return strings.TrimLeft(p.Content(), " \t\r\n\ufeff")
}

func textOf(n *safexml.Node) string {
	var b strings.Builder
	for _, c := range n.Children {
		if c.IsText() {
			b.WriteString(c.Text)
		}
	}
	return b.String()
}

// answer wraps the text of an answer into the response of the same version and namespace.
func (e *envelope) answer(text []byte, element string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<soap:Envelope xmlns:soap="%s"><soap:Body>`, e.soap)
	space := e.namespace
	if space == "" {
		space = hl7v3
	}
	if e.qualified {
		b.WriteString(`<` + operation + `Response xmlns="` + escape(space) + `"><` + element + `>`)
	} else {
		b.WriteString(`<h:` + operation + `Response xmlns:h="` + escape(space) + `"><` + element + `>`)
	}
	b.WriteString(escape(string(text)))
	b.WriteString(`</` + element + `></`)
	if !e.qualified {
		b.WriteString("h:")
	}
	b.WriteString(operation + `Response></soap:Body></soap:Envelope>`)
	return b.Bytes()
}

// envelope returns the fault as a SOAP message.
func (f *fault) envelope() []byte {
	who11, who12 := "Client", "Sender"
	if f.server {
		who11, who12 = "Server", "Receiver"
	}
	if f.soap == soap12 {
		return []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<soap:Envelope xmlns:soap="` + soap12 + `"><soap:Body><soap:Fault><soap:Code><soap:Value>soap:` +
			who12 + `</soap:Value></soap:Code><soap:Reason><soap:Text xml:lang="en">` + escape(f.reason) + `</soap:Text></soap:Reason></soap:Fault></soap:Body></soap:Envelope>`)
	}
	return []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<soap:Envelope xmlns:soap="` + soap11 + `"><soap:Body><soap:Fault><faultcode>soap:` + who11 +
		`</faultcode><faultstring>` + escape(f.reason) + `</faultstring></soap:Fault></soap:Body></soap:Envelope>`)
}

// escape makes text safe between tags and in attributes.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\r", "&#13;").Replace(
		strings.Map(func(r rune) rune {
			if r < 0x20 && r != '\n' && r != '\t' && r != '\r' || r == 0xfffe || r == 0xffff {
				return '\uFFFD'
			}
			return r
		}, s))
}
