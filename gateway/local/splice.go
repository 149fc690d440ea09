package local

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// splices are the long contents of an answer. encoding/json builds the whole answer in
// memory, with several copies of each content; so a token stands for each of them there,
// and the content is written in its place, in base64 as it goes.
type splices struct{ parts []splice }

type splice struct{ token, content []byte }

// spliceFrom is the length from which a content is spliced, in bytes.
const spliceFrom = 64 << 10

// tokenSize is the length of a token: 32 characters of base64.
const tokenSize = 24

// take returns what stands for a content: itself if it is short, else a token.
func (s *splices) take(content []byte) []byte {
	if len(content) < spliceFrom {
		return content
	}
	token := make([]byte, tokenSize)
	_, _ = rand.Read(token) // never fails
	s.parts = append(s.parts, splice{token: []byte(base64.StdEncoding.EncodeToString(token)), content: content})
	return token
}

// write encodes v, into which the tokens were put in their order.
func (s *splices) write(w io.Writer, v any) error {
	rest, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("gateway/local: encode: %w", err)
	}
	for _, p := range s.parts {
		before, after, ok := bytes.Cut(rest, p.token)
		if !ok {
			return fmt.Errorf("gateway/local: encode: a content has lost its place")
		}
		if _, err := w.Write(before); err != nil {
			return err
		}
		enc := base64.NewEncoder(base64.StdEncoding, w)
		if _, err := enc.Write(p.content); err != nil {
			return err
		}
		if err := enc.Close(); err != nil {
			return err
		}
		rest = after
	}
	_, err = w.Write(append(rest, '\n'))
	return err
}

// replySpliced is reply for an answer with long contents.
func replySpliced(w http.ResponseWriter, status int, v any, s *splices) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = s.write(w, v) // the caller sees an answer that is cut off
}
