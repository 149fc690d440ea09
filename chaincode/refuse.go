package chaincode

import (
	"fmt"
	"strings"

	"github.com/emrbridge/emrbridge/evidence"
)

// Bounds of what a refusal carries.
const (
	maxMessage    = 300 // bytes
	maxRefusedIDs = 100
)

// refuse makes the answer to a statement that the contract does not accept.
func refuse(code evidence.Code, format string, args ...any) error {
	return &evidence.Refusal{Code: code, Message: clip(fmt.Sprintf(format, args...), maxMessage)}
}

// refuseIDs names the first of the records meant.
func refuseIDs(code evidence.Code, ids []evidence.RecordID, format string, args ...any) error {
	return &evidence.Refusal{
		Code: code, Message: clip(fmt.Sprintf(format, args...), maxMessage),
		IDs: ids[:min(len(ids), maxRefusedIDs)],
	}
}

// malformed passes on what package evidence found wrong.
func malformed(err error) error { return refuse(evidence.CodeMalformed, "%v", err) }

// clip bounds text that came from outside.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
