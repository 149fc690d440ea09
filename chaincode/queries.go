package chaincode

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/emrbridge/emrbridge/evidence"
)

// errArguments is the answer to a query with too many or too few arguments.
var errArguments = errors.New("wrong number of arguments")

// answer runs a query and encodes what it found.
func answer(l ledger, handle query, raw [][]byte) ([]byte, error) {
	args := make([]string, len(raw))
	for i, a := range raw {
		args[i] = string(a)
	}
	v, err := handle(l, args)
	if err != nil {
		if errors.Is(err, errArguments) || errors.Is(err, evidence.ErrMalformed) {
			return nil, malformed(err)
		}
		return nil, err
	}
	payload, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("emrbridge contract: encode the answer: %w", err)
	}
	return payload, nil
}

// need checks the number of arguments.
func need(args []string, n int) error {
	if len(args) != n {
		return fmt.Errorf("%w: %d, %d are wanted", errArguments, len(args), n)
	}
	return nil
}

// found turns a missing view into a refusal.
func found[T any](v T, ok bool, err error) (any, error) {
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, refuse(evidence.CodeNotFound, "the ledger does not hold it")
	}
	return v, nil
}

func getAuthority(l ledger, args []string) (any, error) {
	if err := need(args, 0); err != nil {
		return nil, err
	}
	der, err := l.get(keyAuthority)
	return found(evidence.Authority{Certificate: der}, len(der) > 0, err)
}

func getMember(l ledger, args []string) (any, error) {
	if err := need(args, 1); err != nil {
		return nil, err
	}
	if !evidence.ValidMSP(args[0]) {
		return nil, refuse(evidence.CodeMalformed, "not an MSP id")
	}
	return found(getJSON[evidence.Member](l, memberKey(args[0])))
}

func listMembers(l ledger, args []string) (any, error) {
	if err := need(args, 0); err != nil {
		return nil, err
	}
	return listJSON[evidence.Member](l, familyMember)
}

func getPatient(l ledger, args []string) (any, error) {
	if err := need(args, 1); err != nil {
		return nil, err
	}
	tag, err := evidence.ParseTag(args[0])
	if err != nil {
		return nil, err
	}
	return listJSON[evidence.Registration](l, patientPrefix(tag))
}

// listJSON reads a whole short list.
func listJSON[T any](l ledger, prefix string) ([]T, error) {
	list := []T{}
	err := l.all(prefix, func(_ string, value []byte) error {
		var v T
		if err := json.Unmarshal(value, &v); err != nil {
			return damaged(err)
		}
		list = append(list, v)
		return nil
	})
	return list, err
}

func getAnchor(l ledger, args []string) (any, error) {
	if err := need(args, 2); err != nil {
		return nil, err
	}
	tag, err := evidence.ParseTag(args[0])
	if err != nil {
		return nil, err
	}
	id, err := evidence.ParseRecordID(args[1])
	if err != nil {
		return nil, err
	}
	for _, long := range []bool{false, true} {
		key := evidence.AnchorKey(tag, id, long)
		value, err := l.get(key)
		if err != nil {
			return nil, err
		}
		if len(value) == 0 {
			continue
		}
		entry, err := evidence.DecodeAnchor(key, value)
		if err != nil {
			return nil, damaged(err)
		}
		if entry.ID == id {
			return evidence.Anchor{Entry: entry, HospitalNumber: id.HospitalNumber()}, nil
		}
	}
	return nil, refuse(evidence.CodeNotFound, "the record is not anchored under this tag")
}

func listAnchors(l ledger, args []string) (any, error) {
	tag, size, err := tagPage(args)
	if err != nil {
		return nil, err
	}
	page := evidence.Page[evidence.Anchor]{Items: []evidence.Anchor{}}
	page.Bookmark, err = l.page(evidence.AnchorPrefix(tag), size, args[2], func(key string, value []byte) error {
		entry, err := evidence.DecodeAnchor(key, value)
		if err != nil {
			return damaged(err)
		}
		page.Items = append(page.Items, evidence.Anchor{Entry: entry, HospitalNumber: entry.ID.HospitalNumber()})
		return nil
	})
	return page, err
}

func getBatch(l ledger, args []string) (any, error) {
	if err := need(args, 2); err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(clip(args[0], 8), 10, 16)
	if err != nil {
		return nil, refuse(evidence.CodeMalformed, "the hospital number is a decimal number up to 65535")
	}
	nonce, err := evidence.ParseNonce(args[1])
	if err != nil {
		return nil, err
	}
	raw, err := l.get(batchKey(uint16(number), nonce))
	if err != nil || len(raw) == 0 {
		return found(evidence.Batch{}, false, err)
	}
	signed, st, err := evidence.ParseSigned(raw)
	if err != nil {
		return nil, damaged(err)
	}
	batch := evidence.Batch{HospitalNumber: uint16(number), Nonce: nonce, IssuedAt: st.IssuedAt, Signed: signed}
	if err := st.DecodeBody(&batch.Header); err != nil {
		return nil, damaged(err)
	}
	return batch, nil
}

func getConsent(l ledger, args []string) (any, error) {
	id, err := idArgument(args)
	if err != nil {
		return nil, err
	}
	return l.consent(id)
}

func getAccess(l ledger, args []string) (any, error) {
	id, err := idArgument(args)
	if err != nil {
		return nil, err
	}
	return l.access(id)
}

func listConsents(l ledger, args []string) (any, error) {
	tag, size, err := tagPage(args)
	if err != nil {
		return nil, err
	}
	return indexed[evidence.Consent](l, tagPrefix(familyConsentTag, tag), consentKey, size, args[2])
}

func listAccessesByTag(l ledger, args []string) (any, error) {
	tag, size, err := tagPage(args)
	if err != nil {
		return nil, err
	}
	return indexed[evidence.Access](l, tagPrefix(familyAccessTag, tag), accessKey, size, args[2])
}

func listAccesses(l ledger, args []string) (any, error) {
	return partyPage(l, args, familyAccessParty)
}

func listEmergencies(l ledger, args []string) (any, error) {
	return partyPage(l, args, familyEmergency)
}

func listDestructions(l ledger, args []string) (any, error) {
	tag, size, err := tagPage(args)
	if err != nil {
		return nil, err
	}
	page := evidence.Page[evidence.Destruction]{Items: []evidence.Destruction{}}
	page.Bookmark, err = l.page(tagPrefix(familyDestruction, tag), size, args[2], func(_ string, value []byte) error {
		var d evidence.Destruction
		if err := json.Unmarshal(value, &d); err != nil {
			return damaged(err)
		}
		page.Items = append(page.Items, d)
		return nil
	})
	return page, err
}

func partyPage(l ledger, args []string, family string) (any, error) {
	if err := need(args, 3); err != nil {
		return nil, err
	}
	if !evidence.ValidMSP(args[0]) {
		return nil, refuse(evidence.CodeMalformed, "not an MSP id")
	}
	size, err := pageSize(args[1])
	if err != nil {
		return nil, err
	}
	return indexed[evidence.Access](l, partyPrefix(family, args[0]), accessKey, size, args[2])
}

// indexed reads one page of an index and the views that it names.
func indexed[T any](l ledger, prefix string, keyOf func(evidence.Nonce) string, size int32, bookmark string) (any, error) {
	page := evidence.Page[T]{Items: []T{}}
	var keys []string
	next, err := l.page(prefix, size, bookmark, func(key string, _ []byte) error {
		id, err := indexID(key)
		if err != nil {
			return damaged(err)
		}
		keys = append(keys, keyOf(id))
		return nil
	})
	if err != nil {
		return nil, err
	}
	values, err := l.getAll(keys)
	if err != nil {
		return nil, err
	}
	for _, value := range values {
		var v T
		if err := json.Unmarshal(value, &v); err != nil {
			return nil, damaged(err)
		}
		page.Items = append(page.Items, v)
	}
	page.Bookmark = next
	return page, nil
}

func idArgument(args []string) (evidence.Nonce, error) {
	if err := need(args, 1); err != nil {
		return evidence.Nonce{}, err
	}
	return evidence.ParseNonce(args[0])
}

// tagPage reads the arguments tag, page size and bookmark.
func tagPage(args []string) (evidence.Tag, int32, error) {
	if err := need(args, 3); err != nil {
		return evidence.Tag{}, 0, err
	}
	tag, err := evidence.ParseTag(args[0])
	if err != nil {
		return tag, 0, err
	}
	size, err := pageSize(args[1])
	return tag, size, err
}

// pageSize reads a page size and lowers it to the largest page there is.
func pageSize(s string) (int32, error) {
	n, err := strconv.ParseInt(clip(s, 16), 10, 32)
	if err != nil || n <= 0 {
		return 0, refuse(evidence.CodeMalformed, "the page size is a number from 1 to %d", evidence.MaxPageSize)
	}
	return int32(min(n, evidence.MaxPageSize)), nil
}
