package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/emrbridge/emrbridge/adapters/elide"
	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/index"
)

// Spool takes a body too long for memory as it arrives.
type Spool interface {
	io.Writer
	// Finish makes what was written durable. On an error nothing is left.
	Finish() (index.Body, error)
	// Abort removes what was written; it does nothing after Finish.
	Abort()
}

// content is a resource that a request carries, in memory or in a body.
type content struct {
	*fhir.Resource
	body index.Body
	// skeleton is what the pipeline reads of a body.
	skeleton []byte
	// shown reads the body for the answer: once it was submitted the pipeline may remove it.
	shown io.ReadCloser
}

// released ends the use of a content, with the answer if that reads it.
func (c *content) released(a answer, err error) (answer, error) {
	if c.body == nil {
		return a, err
	}
	c.body.Discard()
	if err == nil && a.stream != nil {
		a.end = func() { _ = c.shown.Close() } // nothing was written to it
		return a, nil
	}
	return a, errors.Join(err, c.shown.Close())
}

// writtenContent is written for content in memory or in a body.
func (h *Handler) writtenContent(req *request, status int, e index.Entry, c *content) (answer, error) {
	if c.body == nil {
		return h.written(req, status, e, c.Resource)
	}
	if req.prefer != "minimal" && req.prefer != "OperationOutcome" {
		minimal := *req
		minimal.prefer = "minimal"
		a, err := h.written(&minimal, status, e, nil)
		shown := fhir.PresentElided(c.Root, identityOf(e))
		a.size, a.stream = shown.Size(), func(w io.Writer) error { return shown.Copy(w, c.shown) }
		return a, err
	}
	return h.written(req, status, e, nil)
}

// take reads and judges the resource that a request carries. One that is long goes into a
// body as it arrives, and what is left without its values in base64 is judged. Where that is
// not enough to take it, it is read back and judged as a whole: an answer or a verdict never
// depends on the way that a resource took.
func (h *Handler) take(req *request) (*content, error) {
	if err := contentType(req.Request); err != nil {
		return nil, err
	}
	head, err := h.head(req)
	if err != nil {
		return nil, err
	}
	if h.cfg.Spool == nil || max(int64(len(head)), req.ContentLength) < h.cfg.SpoolFrom {
		r, err := h.judgeWhole(req, head)
		return &content{Resource: r}, err
	}
	body, skeleton, err := h.spool(req, head)
	if err != nil {
		return nil, err
	}
	if c := h.judgeElided(req.Context(), body, skeleton); c != nil {
		if c.shown, err = body.Reader(); err != nil {
			body.Discard()
			return nil, fmt.Errorf("fhir: read a large body: %w", err)
		}
		return c, nil
	}
	defer body.Discard()
	raw, err := readBack(body)
	if err != nil {
		return nil, err
	}
	r, err := h.judgeWhole(req, raw)
	return &content{Resource: r}, err
}

// head reads a body, or as much of it as is taken without a spool: nothing of one that says
// that it is long.
func (h *Handler) head(req *request) ([]byte, error) {
	in := io.Reader(req.Body)
	if h.cfg.Spool != nil {
		if req.ContentLength >= h.cfg.SpoolFrom {
			return nil, nil
		}
		in = io.LimitReader(in, h.cfg.SpoolFrom)
	}
	raw, err := io.ReadAll(in)
	if err != nil {
		return nil, bodyError(req.Context(), err)
	}
	return raw, nil
}

// spool writes a body as it arrives, after its head.
func (h *Handler) spool(req *request, head []byte) (index.Body, *elide.Skeleton, error) {
	out, err := h.cfg.Spool()
	if err != nil {
		return nil, nil, fmt.Errorf("fhir: take a large body: %w", err)
	}
	defer out.Abort()
	scan := elide.New(elide.Options{})
	both := &spoolWriter{out: out, scan: scan}
	_, err = io.Copy(both, io.MultiReader(bytes.NewReader(head), req.Body))
	switch {
	case both.err != nil:
		return nil, nil, fmt.Errorf("fhir: take a large body: %w", both.err)
	case err != nil:
		return nil, nil, bodyError(req.Context(), err)
	}
	body, err := out.Finish()
	if err != nil {
		return nil, nil, fmt.Errorf("fhir: take a large body: %w", err)
	}
	skeleton, _ := scan.Skeleton()
	return body, skeleton, nil
}

// spoolWriter tells faults of the spool from those of the sender.
type spoolWriter struct {
	out  io.Writer
	scan *elide.Scanner
	err  error
}

func (w *spoolWriter) Write(p []byte) (int, error) {
	n, err := w.out.Write(p)
	if err != nil {
		w.err = err
		return n, err
	}
	return w.scan.Write(p)
}

// judgeElided judges what is left of a body; nil where it takes the whole to judge it.
func (h *Handler) judgeElided(ctx context.Context, body index.Body, s *elide.Skeleton) *content {
	limits := h.cfg.Validator.Limits()
	if s == nil || body.Size() > int64(limits.MaxBytes) {
		return nil
	}
	r, ok := fhir.ParseElided(s, limits)
	if !ok {
		return nil
	}
	issues := h.cfg.Validator.Judge(ctx, r)
	if !issues.Failed() {
		issues = h.cfg.Further(r.Root)
	}
	if issues.Failed() {
		return nil
	}
	c := &content{Resource: r, body: body, skeleton: fhir.Skeleton(r)}
	fhir.Relocate(r.Root, s)
	r.Raw = nil
	return c
}

// readBack reads a body into memory.
func readBack(body index.Body) ([]byte, error) {
	in, err := body.Reader()
	if err != nil {
		return nil, fmt.Errorf("fhir: read a large body: %w", err)
	}
	raw := make([]byte, body.Size())
	_, err = io.ReadFull(in, raw)
	if err := errors.Join(err, in.Close()); err != nil {
		return nil, fmt.Errorf("fhir: read a large body: %w", err)
	}
	return raw, nil
}
