package rest

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/emmansun/gmsm/sm3"
)

// newUUID returns a random UUID (RFC 9562 §5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return formatUUID(b, 4)
}

// partID derives the id of an entry of a Bundle, so that the record and its control id are
// enough to name all that it brought (RFC 9562 §5.8).
func partID(bundle string, part int) string {
	sum := sm3.Sum([]byte("emrbridge/fhir-part/v1\n" + bundle + "\n" + strconv.Itoa(part)))
	return formatUUID([16]byte(sum[:16]), 8)
}

func formatUUID(b [16]byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// isPersonal reports whether a client's choice of an id is the number of a person: ids stand
// in URLs and on the trail, where no such number may be.
func isPersonal(id string) bool {
	if len(id) != 18 || strings.Trim(id[:17], "0123456789") != "" {
		return false
	}
	sum := 0
	for i, w := range [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} { // GB 11643-1999
		sum += int(id[i]-'0') * w
	}
	return strings.ToUpper(id[17:]) == string("10X98765432"[sum%11])
}
