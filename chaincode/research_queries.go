package chaincode

import (
	"encoding/json"
	"strconv"

	"github.com/emrbridge/emrbridge/evidence"
)

func getInstitute(l ledger, args []string) (any, error) {
	if err := need(args, 1); err != nil {
		return nil, err
	}
	if !evidence.ValidInstitute(args[0]) {
		return nil, refuse(evidence.CodeMalformed, "not an institute's id")
	}
	return found(getJSON[evidence.Institute](l, instituteKey(args[0])))
}

func listInstitutes(l ledger, args []string) (any, error) {
	if err := need(args, 0); err != nil {
		return nil, err
	}
	return listJSON[evidence.Institute](l, familyInstitute)
}

// whole is a project with the parts of all hospitals that said something.
func (l ledger) whole(id string) (evidence.Project, error) {
	project, err := l.project(id)
	if err != nil {
		return project, err
	}
	project.Parts, err = listJSON[evidence.ProjectPart](l, partyPrefix(familyPart, id))
	for i, part := range project.Parts {
		n, err := l.counts(id, part.Number)
		if err != nil {
			return project, err
		}
		project.Parts[i].Releases, project.Parts[i].Notices = n.Releases, n.Notices
	}
	return project, err
}

func projectArgument(args []string, n int) error {
	if err := need(args, n); err != nil {
		return err
	}
	if !evidence.ValidProject(args[0]) {
		return refuse(evidence.CodeMalformed, "not a project's id")
	}
	return nil
}

func getProject(l ledger, args []string) (any, error) {
	if err := projectArgument(args, 1); err != nil {
		return nil, err
	}
	return l.whole(args[0])
}

// maxProjectPage bounds a page of projects, each of which is read with its parts.
const maxProjectPage = 50

// listProjects lists the projects of an institute, a proxy or a hospital, newest first.
func listProjects(l ledger, args []string) (any, error) {
	if err := need(args, 3); err != nil {
		return nil, err
	}
	if !evidence.ValidMSP(args[0]) {
		return nil, refuse(evidence.CodeMalformed, "not the id of an institute or a member")
	}
	size, err := pageSize(args[1])
	if err != nil {
		return nil, err
	}
	prefix := partyPrefix(familyProjectParty, args[0])
	page := evidence.Page[evidence.Project]{Items: []evidence.Project{}}
	var ids []string
	page.Bookmark, err = l.page(prefix, min(size, maxProjectPage), args[2], func(key string, _ []byte) error {
		ids = append(ids, key[len(prefix)+timeDigits:])
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		project, err := l.whole(id)
		if err != nil {
			return nil, err
		}
		page.Items = append(page.Items, project)
	}
	return page, nil
}

func getRelease(l ledger, args []string) (any, error) {
	if err := projectArgument(args, 3); err != nil {
		return nil, err
	}
	if !evidence.ValidMSP(args[1]) {
		return nil, refuse(evidence.CodeMalformed, "not an MSP id")
	}
	sequence, err := strconv.ParseUint(clip(args[2], 16), 10, 32)
	if err != nil || sequence == 0 {
		return nil, refuse(evidence.CodeMalformed, "the sequence is a number from 1 on")
	}
	member, ok, err := getJSON[evidence.Member](l, memberKey(args[1]))
	if err != nil || !ok {
		return found(member, ok, err)
	}
	return found(getJSON[evidence.Release](l, releaseKey(args[0], member.Info.Number, uint32(sequence))))
}

func listReleases(l ledger, args []string) (any, error) {
	return projectPage[evidence.Release](l, args, familyRelease)
}

func listWithdrawals(l ledger, args []string) (any, error) {
	return projectPage[evidence.Withdrawal](l, args, familyWithdrawal)
}

func listReidentifications(l ledger, args []string) (any, error) {
	return projectPage[evidence.Reidentification](l, args, familyReidentification)
}

// projectPage reads one page of what stands under a project in a family.
func projectPage[T any](l ledger, args []string, family string) (any, error) {
	if err := projectArgument(args, 3); err != nil {
		return nil, err
	}
	size, err := pageSize(args[1])
	if err != nil {
		return nil, err
	}
	page := evidence.Page[T]{Items: []T{}}
	page.Bookmark, err = l.page(partyPrefix(family, args[0]), size, args[2], func(_ string, value []byte) error {
		var v T
		if err := json.Unmarshal(value, &v); err != nil {
			return damaged(err)
		}
		page.Items = append(page.Items, v)
		return nil
	})
	return page, err
}
