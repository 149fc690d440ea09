package chainclient

import (
	"context"
	"strconv"

	"github.com/emrbridge/emrbridge/evidence"
)

// Institute returns a research institute.
func (c *Client) Institute(ctx context.Context, id string) (evidence.Institute, error) {
	return query[evidence.Institute](ctx, c, evidence.QueryInstitute, id)
}

// Institutes returns all research institutes.
func (c *Client) Institutes(ctx context.Context) ([]evidence.Institute, error) {
	return query[[]evidence.Institute](ctx, c, evidence.QueryInstitutes)
}

// Project returns a research project with what each hospital said about it.
func (c *Client) Project(ctx context.Context, id string) (evidence.Project, error) {
	return query[evidence.Project](ctx, c, evidence.QueryProject, id)
}

// Projects returns a page of the projects of an institute, a proxy or a hospital, newest
// first. A page may be shorter than asked for.
func (c *Client) Projects(ctx context.Context, party string, size int, bookmark string) (evidence.Page[evidence.Project], error) {
	return page[evidence.Project](ctx, c, evidence.QueryProjects, party, size, bookmark)
}

// Release returns one release of a hospital to a project.
func (c *Client) Release(ctx context.Context, project, msp string, sequence uint32) (evidence.Release, error) {
	return query[evidence.Release](ctx, c, evidence.QueryRelease, project, msp, strconv.FormatUint(uint64(sequence), 10))
}

// Releases returns a page of the releases to a project, by hospital and sequence.
func (c *Client) Releases(ctx context.Context, project string, size int, bookmark string) (evidence.Page[evidence.Release], error) {
	return page[evidence.Release](ctx, c, evidence.QueryReleases, project, size, bookmark)
}

// Withdrawals returns a page of the notices of withdrawal to a project with the institute's
// answers, by hospital and sequence.
func (c *Client) Withdrawals(ctx context.Context, project string, size int, bookmark string) (evidence.Page[evidence.Withdrawal], error) {
	return page[evidence.Withdrawal](ctx, c, evidence.QueryWithdrawals, project, size, bookmark)
}

// Reidentifications returns a page of the re-identifications in a project, newest first.
func (c *Client) Reidentifications(ctx context.Context, project string, size int, bookmark string) (evidence.Page[evidence.Reidentification], error) {
	return page[evidence.Reidentification](ctx, c, evidence.QueryReidentifications, project, size, bookmark)
}
