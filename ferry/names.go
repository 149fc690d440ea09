package ferry

import (
	"fmt"
	"strconv"
	"strings"
)

// What a file is. The letters are chosen so that files sorted by name are in the order of
// their priority, which is the order in which many gatekeepers take them.
const (
	codeControl = "0"
	codeUrgent  = "1"
	codeBulk    = "2"

	kindData     = "d"
	kindManifest = "m"
)

// fileName is the parsed name of a file: CHANNEL-CODE-NUMBER-KIND.EXTENSION, such as
// his-out-2-000000000041-m.dat.
type fileName struct {
	channel string
	control bool
	lane    Lane
	number  uint64
	kind    string
}

func (n fileName) text(extension string) string {
	code := codeBulk
	switch {
	case n.control:
		code = codeControl
	case n.lane == Urgent:
		code = codeUrgent
	}
	return fmt.Sprintf("%s-%s-%012d-%s.%s", n.channel, code, n.number, n.kind, extension)
}

func parseName(s, extension string) (fileName, bool) {
	stem, ok := strings.CutSuffix(s, "."+extension)
	if !ok {
		return fileName{}, false
	}
	parts := strings.Split(stem, "-")
	if len(parts) < 4 {
		return fileName{}, false
	}
	last := len(parts)
	n := fileName{channel: strings.Join(parts[:last-3], "-"), kind: parts[last-1]}
	var err error
	if n.number, err = strconv.ParseUint(parts[last-2], 10, 64); err != nil || n.number == 0 {
		return fileName{}, false
	}
	switch parts[last-3] {
	case codeControl:
		n.control = true
	case codeUrgent:
		n.lane = Urgent
	case codeBulk:
		n.lane = Bulk
	default:
		return fileName{}, false
	}
	if n.kind != kindManifest && (n.kind != kindData || n.control) {
		return fileName{}, false
	}
	return n, n.text(extension) == s
}
