package engine

import (
	"context"
	"errors"
	"math/big"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/attach"
)

// attachments de-identifies what records carry with them.
type attachments struct{ engine *Engine }

// inputKey carries the Input and the depth of nesting through the walkers, for documents
// within attachments.
type inputKey struct{}

type nested struct {
	input Input
	depth int
}

func withInput(ctx context.Context, in Input) context.Context {
	n, _ := ctx.Value(inputKey{}).(nested)
	n.input = in
	return context.WithValue(ctx, inputKey{}, n)
}

// Scrub implements desensitize.Attachments.
func (a attachments) Scrub(ctx context.Context, mediaType string, data []byte, clean func(string) string) (desensitize.Content, error) {
	n, _ := ctx.Value(inputKey{}).(nested)
	project := a.engine.config.Project
	r, err := attach.Convert(mediaType, data, n.depth, attach.Options{
		Images: a.engine.config.Images, Genomic: a.engine.config.Genomic, MaxBytes: a.engine.config.MaxRecord,
		Scrub: func(text string) (string, error) { return clean(text), nil },
		UID:   func(value string) string { return uid(project, value) },
		Document: func(kind attach.Kind, doc []byte, depth int) ([]byte, error) {
			return a.document(ctx, kind, doc, nested{n.input, depth})
		},
	})
	var refused *attach.Refused
	switch {
	case errors.As(err, &refused):
		return desensitize.Content{What: string(refused.Kind) + " refused"}, nil
	case err != nil:
		return desensitize.Content{}, err
	}
	return desensitize.Content{Data: r.Data, MediaType: r.MediaType, What: string(r.Kind)}, nil
}

// document de-identifies a record within an attachment, for the same patient.
func (a attachments) document(ctx context.Context, kind attach.Kind, data []byte, n nested) ([]byte, error) {
	f := desensitize.Format(kind) // the kinds of records are named like their formats
	do := a.engine.walks[f]
	if do == nil {
		return nil, ErrFormat
	}
	return do(context.WithValue(ctx, inputKey{}, n), data, n.input, &desensitize.Report{})
}

// uid is the replacement of a DICOM UID: a number of 128 bits below 2.25 (PS3.5 annex B.2).
func uid(p *desensitize.Project, value string) string {
	d := p.Digest("dicom-uid", value)
	return "2.25." + new(big.Int).SetBytes(d[:16]).String()
}
