package keystore

import (
	"context"
	"fmt"
	"strings"
)

// projectDomain is that of the keys of research projects.
const projectDomain = "emrbridge/research/project/v1"

// ProjectKey derives the key of a research project from the consortium identity key, so that
// all hospitals call the same person by the same pseudonym within a project and by another
// one in the next. It leaves custody: whoever de-identifies works with it, and it opens no
// record and reveals no tag. It implements the vault of package release.
func (f *File) ProjectKey(ctx context.Context, project string) (key [32]byte, err error) {
	if project = strings.TrimSpace(project); project == "" || len(project) > maxIdentityField {
		return key, fmt.Errorf("%w: the id of a project has 1 to %d bytes", ErrIdentity, maxIdentityField)
	}
	return f.digest(ctx, []byte(projectDomain), lengthPrefixed(project))
}

// ProjectKey derives the key of a research project; see File.ProjectKey.
func (r *Reader) ProjectKey(ctx context.Context, project string) ([32]byte, error) {
	return r.f.ProjectKey(ctx, project)
}
