package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/config"
)

// takeFHIR opens the FHIR service of a site to this machine, with room for large documents.
func takeFHIR(c *config.Config) {
	c.FHIR.Addr, c.FHIR.AllowAnonymous, c.FHIR.MaxBody = "127.0.0.1:0", true, 64<<20
	if l, err := net.Listen("tcp", c.FHIR.Addr); err == nil { //nolint:noctx // a free port, at once
		c.FHIR.Addr = l.Addr().String()
		_ = l.Close() // it is only asked which one is free
	}
	c.FHIR.BaseURL = "http://" + c.FHIR.Addr
}

// largeFHIR measures a DocumentReference of 50 MB, sent and answered over HTTP.
func (p *pair) largeFHIR(ctx context.Context, r *Results, o Options) error {
	const group = "FHIR resources of 50 MB"
	for _, at := range []int{1, 4} {
		fmt.Fprintf(o.Progress, "large FHIR resources: %d at a time\n", at)
		documents := make([][]byte, at)
		for i := range documents {
			documents[i] = p.fhirDocument(fmt.Sprintf("F%d-%d", at, i))
		}
		m, err := p.watched(ctx, documents, p.postFHIR)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%d at a time", at)
		r.add(group, name+", peak memory above idle", m.peak, "MiB", "target: under 64 for one; the answer holds the resource")
		r.add(group, name+", acknowledged", float64(at*largeSize>>20)/m.acked.Seconds(), "MiB/s", "after fsync, the answer read")
		fmt.Fprintf(o.Progress, "  %.0f MiB idle, %.1f MiB above at most; acknowledged in %.1f s, on the ledger in %.1f s\n", m.idle, m.peak, m.acked.Seconds(), m.anchored.Seconds())
	}
	return nil
}

// fhirDocument makes a DocumentReference about the patient, of about largeSize bytes.
func (p *pair) fhirDocument(id string) []byte {
	message := p.document(id)
	at := bytes.Index(message, []byte("^Base64^")) + len("^Base64^")
	data := message[at : len(message)-len("||||||F\r")]
	data = data[:len(data)/4*4]
	head := `{"resourceType":"DocumentReference","status":"current","identifier":[{"system":"urn:bench","value":"` + id +
		`"}],"subject":{"identifier":{"system":"urn:oid:2.16.156.10011.1.3","value":"` + p.patient.ResidentID +
		`"}},"content":[{"attachment":{"contentType":"application/dicom","data":"`
	return bytes.Join([][]byte{[]byte(head), data, []byte(`"}}]}`)}, nil)
}

func (p *pair) postFHIR(ctx context.Context, raw []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.sites[0].Config.FHIR.BaseURL+"/DocumentReference", bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	req.Header.Set("Content-Type", fhir.MediaType)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("bench: send a large resource: %w", err)
	}
	n, err := io.Copy(io.Discard, answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return fmt.Errorf("bench: the answer to a large resource: %w", err)
	}
	if answer.StatusCode != http.StatusCreated || n < int64(len(raw)) {
		return fmt.Errorf("bench: a large resource was answered %d, %d bytes", answer.StatusCode, n)
	}
	return nil
}
