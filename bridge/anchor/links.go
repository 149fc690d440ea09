package anchor

import (
	"context"

	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/patientindex"
)

// Codes of links that the ledger does not take.
const (
	// CodeLinkRefused marks a trail event: the ledger refuses a link of tags for good. The
	// record is anchored all the same, since it is evidence of what was said.
	CodeLinkRefused = "TAG_LINK_REFUSED"
	// CodeLinkOrder: the ledger lacks an earlier statement about these tags.
	CodeLinkOrder = "TAG_LINK_ORDER"
)

// link tells the ledger which tags belong together, in order. refused reports that one of
// them is not taken. Told again, or overtaken by a later statement, a link is no error.
func (h *handler) link(ctx context.Context, links []patientindex.Link) (refused bool, err error) {
	if h.d.Registrar == nil {
		return false, nil
	}
	for _, l := range links {
		var body evidence.Body = evidence.LinkTag{From: l.From, To: l.To, Order: l.Order}
		if l.Undo {
			body = evidence.UnlinkTag{From: l.From, To: l.To, Order: l.Order}
		}
		_, err := h.d.Registrar.Submit(ctx, body)
		r, answered := chainclient.RefusalOf(err)
		switch {
		case err == nil, answered && r.Code == evidence.CodeBadState:
		case answered && r.Code == evidence.CodeConflict:
			// Records are anchored in no order: the end of the link that this one would make a
			// circle with may still be on its way.
			return refused, stage.Retry(CodeLinkOrder, err)
		case answered && (r.Code == evidence.CodeLimit || r.Code == evidence.CodeMalformed):
			refused = true
		default:
			return refused, ledgerError(ctx, err)
		}
	}
	return refused, nil
}
