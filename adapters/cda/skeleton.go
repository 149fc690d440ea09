package cda

import "github.com/emrbridge/emrbridge/adapters/cda/safexml"

// longText is the length from which on text is left out of a skeleton, in bytes.
const longText = 4 << 10

// Skeleton returns a document in UTF-8 without what makes it large: first without long runs
// of text (pictures and attachments in base64), and where that is not enough, without its
// body. It holds the whole header, so that mapping it gives the same patients as mapping the
// document. limit is in bytes.
func Skeleton(d *Document, limit int) []byte {
	if d.source == nil {
		return nil
	}
	out := withoutLongText(d.source)
	if len(out) <= limit {
		return out
	}
	body := d.nodes["component"]
	if body == nil {
		return out
	}
	root := d.source.Root
	return []byte(d.source.Text[root.Start:body.Start] + d.source.Text[body.End:root.End])
}

// withoutLongText copies the text around long text nodes. The declaration of another
// encoding is left out with them: the skeleton is UTF-8.
func withoutLongText(x *safexml.Document) []byte {
	out := make([]byte, 0, min(len(x.Text), 1<<20))
	done := x.Root.Start
	var walk func(n *safexml.Node)
	walk = func(n *safexml.Node) {
		for _, c := range n.Children {
			if !c.IsText() {
				walk(c)
			} else if len(c.Text) > longText {
				out = append(out, x.Text[done:c.Start]...)
				done = c.End
			}
		}
	}
	walk(x.Root)
	return append(out, x.Text[done:x.Root.End]...)
}
