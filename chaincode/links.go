package chaincode

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/emrbridge/emrbridge/evidence"
)

// tagNode is what one hospital says about one tag: where it leads, and which tags lead to
// it. The links of a hospital form trees: a tag leads to one other at most, and never, by way
// of others, to itself.
type tagNode struct {
	Out *evidence.TagLink `json:"out,omitempty"`
	// Order is that of the last statement about the tag, also of one that ended its link.
	Order uint64         `json:"order"`
	In    []evidence.Tag `json:"in,omitempty"` // ascending
}

// tree reads the nodes of one hospital, each once.
type tree struct {
	ledger
	number uint16
	nodes  map[evidence.Tag]*tagNode
}

func newTree(l ledger, number uint16) *tree {
	return &tree{ledger: l, number: number, nodes: map[evidence.Tag]*tagNode{}}
}

func (g *tree) node(tag evidence.Tag) (*tagNode, error) {
	if n := g.nodes[tag]; n != nil {
		return n, nil
	}
	n, _, err := getJSON[tagNode](g.ledger, linkKey(tag, g.number))
	if err != nil {
		return nil, err
	}
	g.nodes[tag] = &n
	return &n, nil
}

// linkTag links a tag of the speaking hospital to another.
func linkTag(t *tx, s *said, body evidence.LinkTag) (effect, error) {
	g := newTree(t.ledger, s.member.Info.Number)
	from, err := g.node(body.From)
	if err != nil {
		return effect{}, err
	}
	if out := from.Out; out != nil && out.To == body.To && from.Order == body.Order {
		return effect{ref: body.To.String()}, nil // said before
	}
	if err := overtaken(from, body.Order); err != nil {
		return effect{}, err
	}
	if err := g.fits(body.From, body.To); err != nil {
		return effect{}, err
	}
	link := &evidence.TagLink{Hospital: s.Actor, HospitalNumber: g.number, From: body.From, To: body.To, Order: body.Order, Since: t.now, Signed: s.signed}
	return t.setLink(s, g, body.From, body.To, body.Order, link)
}

// unlinkTag ends the link of a tag. It may come before the link that it ends: the order that
// it leaves behind then refuses that link.
func unlinkTag(t *tx, s *said, body evidence.UnlinkTag) (effect, error) {
	g := newTree(t.ledger, s.member.Info.Number)
	from, err := g.node(body.From)
	if err != nil {
		return effect{}, err
	}
	if from.Out == nil && from.Order == body.Order {
		return effect{ref: body.To.String()}, nil // said before
	}
	if err := overtaken(from, body.Order); err != nil {
		return effect{}, err
	}
	return t.setLink(s, g, body.From, body.To, body.Order, nil)
}

// overtaken refuses what a later statement of the hospital has overtaken.
func overtaken(n *tagNode, order uint64) error {
	if n.Order >= order {
		return refuse(evidence.CodeBadState, "a later statement about this tag is on the ledger: order %d, this one has %d", n.Order, order)
	}
	return nil
}

// setLink writes the new link of a tag, or none, at both ends, and the history of both tags.
func (t *tx) setLink(s *said, g *tree, from, to evidence.Tag, order uint64, link *evidence.TagLink) (effect, error) {
	source, err := g.node(from)
	if err != nil {
		return effect{}, err
	}
	changed := []evidence.Tag{from}
	if source.Out != nil {
		old, err := g.node(source.Out.To)
		if err != nil {
			return effect{}, err
		}
		old.In = slices.DeleteFunc(slices.Clone(old.In), func(tag evidence.Tag) bool { return tag == from })
		changed = append(changed, source.Out.To)
	}
	source.Out, source.Order = link, order
	if link != nil {
		target, err := g.node(to)
		if err != nil {
			return effect{}, err
		}
		target.In = append(slices.Clone(target.In), from)
		slices.SortFunc(target.In, func(a, b evidence.Tag) int { return strings.Compare(a.String(), b.String()) })
		if !slices.Contains(changed, to) {
			changed = append(changed, to)
		}
	}
	for _, tag := range changed {
		if err := t.putJSON(linkKey(tag, g.number), g.nodes[tag]); err != nil {
			return effect{}, err
		}
	}
	step := evidence.TagStep{ID: s.Nonce, Kind: s.Kind, Hospital: s.Actor, HospitalNumber: g.number, From: from, To: to, Order: order, At: t.now, Signed: s.signed}
	for _, tag := range []evidence.Tag{from, to} {
		if err := t.putJSON(indexKey(tagPrefix(familyLinkStep, tag), t.now, s.Nonce), step); err != nil {
			return effect{}, err
		}
	}
	return effect{ref: to.String()}, nil
}

// fits refuses a circle, and trees larger than readers follow.
func (g *tree) fits(from, to evidence.Tag) error {
	up, top := 1, to
	for tag := to; ; up++ {
		if tag == from {
			return refuse(evidence.CodeConflict, "the tag would be linked to itself by way of others")
		}
		if up > evidence.MaxLinkDepth {
			return refuse(evidence.CodeLimit, "more than %d links would follow one another", evidence.MaxLinkDepth)
		}
		n, err := g.node(tag)
		if err != nil {
			return err
		}
		top = tag
		if n.Out == nil {
			break
		}
		tag = n.Out.To
	}
	below, err := g.below(from)
	if err != nil {
		return err
	}
	all, err := g.below(top)
	if err != nil {
		return err
	}
	switch {
	case up+below.height > evidence.MaxLinkDepth:
		return refuse(evidence.CodeLimit, "more than %d links would follow one another", evidence.MaxLinkDepth)
	case len(all.links)+len(below.links)+2 > evidence.MaxLinkedTags && !slices.ContainsFunc(all.links, func(l evidence.TagLink) bool { return l.From == from }):
		return refuse(evidence.CodeLimit, "more than %d tags would stand for one patient", evidence.MaxLinkedTags)
	}
	return nil
}

// branch is what leads to a tag.
type branch struct {
	links  []evidence.TagLink // nearest first
	height int
}

// below lists the links that lead to a tag, directly or by way of others.
func (g *tree) below(tag evidence.Tag) (branch, error) {
	var b branch
	level := []evidence.Tag{tag}
	for height := 0; len(level) > 0; height++ {
		if height > evidence.MaxLinkDepth || len(b.links) > evidence.MaxLinkedTags {
			return b, damaged(fmt.Errorf("the links of hospital %d form no tree", g.number))
		}
		b.height = height
		var next []evidence.Tag
		for _, at := range level {
			n, err := g.node(at)
			if err != nil {
				return b, err
			}
			for _, from := range n.In {
				source, err := g.node(from)
				if err != nil {
					return b, err
				}
				if source.Out == nil || source.Out.To != at {
					return b, damaged(fmt.Errorf("a link of hospital %d has one end only", g.number))
				}
				b.links = append(b.links, *source.Out)
				next = append(next, from)
			}
		}
		level = next
	}
	return b, nil
}

// linksTo lists the links of all hospitals that lead to a tag, by hospital number.
func (l ledger) linksTo(tag evidence.Tag) ([]evidence.TagLink, error) {
	var numbers []uint16
	prefix := linkPrefix(tag)
	err := l.all(prefix, func(key string, _ []byte) error {
		n, err := strconv.ParseUint(key[len(prefix):], 16, 16)
		if err != nil {
			return damaged(fmt.Errorf("key of a link: %w", err))
		}
		numbers = append(numbers, uint16(n))
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []evidence.TagLink
	for _, n := range numbers {
		b, err := newTree(l, n).below(tag)
		if err != nil {
			return nil, err
		}
		out = append(out, b.links...)
	}
	return out, nil
}

func listTagLinks(l ledger, args []string) (any, error) {
	tag, size, err := tagPage(args)
	if err != nil {
		return nil, err
	}
	links, err := l.linksTo(tag)
	if err != nil {
		return nil, err
	}
	from, err := position(args[2], len(links))
	if err != nil {
		return nil, err
	}
	to := min(from+int(size), len(links))
	page := evidence.Page[evidence.TagLink]{Items: append([]evidence.TagLink{}, links[from:to]...)}
	if to < len(links) {
		page.Bookmark = strconv.Itoa(to)
	}
	return page, nil
}

// position reads the bookmark of a list that is made anew for each page.
func position(bookmark string, length int) (int, error) {
	if bookmark == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(clip(bookmark, 16))
	if err != nil || n < 0 || n > length {
		return 0, refuse(evidence.CodeMalformed, "the bookmark belongs to another list")
	}
	return n, nil
}

// listLinkedAnchors pages through the anchors under the tags linked to a tag, one tag after
// the other, and of each those of the hospital that made the link. A page may be shorter
// than its size, or empty, and have a bookmark all the same: it ends with a tag.
func listLinkedAnchors(l ledger, args []string) (any, error) {
	tag, size, err := tagPage(args)
	if err != nil {
		return nil, err
	}
	links, err := l.linksTo(tag)
	if err != nil {
		return nil, err
	}
	page := evidence.Page[evidence.Anchor]{Items: []evidence.Anchor{}}
	first, within, _ := strings.Cut(args[2], "@")
	at, err := position(first, len(links))
	if err != nil || at == len(links) {
		return page, err
	}
	link := links[at]
	next, err := l.page(evidence.AnchorPrefix(link.From), size, within, func(key string, value []byte) error {
		entry, err := evidence.DecodeAnchor(key, value)
		if err != nil {
			return damaged(err)
		}
		if entry.ID.HospitalNumber() == link.HospitalNumber {
			page.Items = append(page.Items, evidence.Anchor{Entry: entry, HospitalNumber: link.HospitalNumber})
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case next != "":
		page.Bookmark = strconv.Itoa(at) + "@" + next
	case at+1 < len(links):
		page.Bookmark = strconv.Itoa(at + 1)
	}
	return page, nil
}

func listTagHistory(l ledger, args []string) (any, error) {
	tag, size, err := tagPage(args)
	if err != nil {
		return nil, err
	}
	page := evidence.Page[evidence.TagStep]{Items: []evidence.TagStep{}}
	page.Bookmark, err = l.page(tagPrefix(familyLinkStep, tag), size, args[2], func(_ string, value []byte) error {
		var step evidence.TagStep
		if err := json.Unmarshal(value, &step); err != nil {
			return damaged(err)
		}
		page.Items = append(page.Items, step)
		return nil
	})
	return page, err
}
