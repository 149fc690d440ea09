package integration_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// residentOfADT is the resident number in messages of adt; its area code is of no place.
const residentOfADT = "990101199003071237"

// adt is an ADT^A08 message of an invented patient. marker stands in the name and in an
// address, as patient data that must not be seen anywhere. changes alter the message.
func adt(control, marker string, changes ...func(*header)) []byte {
	h := header{sender: "IT|WARD", kind: "ADT^A08", control: control, version: "2.5", charset: "UNICODE UTF-8"}
	for _, c := range changes {
		c(&h)
	}
	return []byte(strings.Join([]string{
		fmt.Sprintf(`MSH|^~\&|%s|EMRBRIDGE||20260302101500+0800||%s|%s|P|%s||||||%s`, h.sender, h.kind, h.control, h.version, h.charset),
		"EVN|A08|20260302101500+0800",
		"PID|1||" + residentOfADT + "^^^GA^NNCHN~L-77^^^IT^PI||" + marker + "||19900307|F|||" + marker + "大街1号",
		"PV1|1|O",
		h.extra,
	}, "\r"))
}

type header struct{ sender, kind, control, version, charset, extra string }

// frame puts a message between the bytes of MLLP.
func frame(raw []byte) []byte { return append(append([]byte{0x0b}, raw...), 0x1c, 0x0d) }

// bareConn is a bare connection to a listener, for what no decent client does.
type bareConn struct {
	t testing.TB
	net.Conn
}

func (s *site) wire(t testing.TB) *bareConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.mllp(), 10*time.Second)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return &bareConn{t: t, Conn: c}
}

func (c *bareConn) put(b []byte) {
	c.t.Helper()
	require.NoError(c.t, c.SetWriteDeadline(time.Now().Add(30*time.Second)))
	_, err := c.Write(b)
	require.NoError(c.t, err)
}

// answer reads one framed answer.
func (c *bareConn) answer() []byte {
	c.t.Helper()
	require.NoError(c.t, c.SetReadDeadline(time.Now().Add(patience)))
	var out []byte
	for b := make([]byte, 1); !bytes.HasSuffix(out, []byte{0x1c, 0x0d}); {
		_, err := io.ReadFull(c, b)
		require.NoError(c.t, err, "after %q", out)
		out = append(out, b...)
	}
	require.Equal(c.t, byte(0x0b), out[0])
	return out[1 : len(out)-2]
}
