package hl7

// Cursor steps through the parts of a segment or value without allocating:
//
//	for c := v.Cursor(); c.Next(); {
//		use(c.Value())
//	}
//
// Where the separator of the parts is not declared the value is its only part. To go
// through a whole message down to its smallest parts Message.Walk is faster.
type Cursor struct {
	src        *source
	start, end uint32 // of the current part; end is where the separator stands
	limit      uint32 // end of the whole
	n          uint32
	depth      Depth // of the parts
	stop       marks // what separates the parts
	has        marks // what occurs in the whole, at most
	seen       marks // what occurs in the current part, at most
	header     bool  // in a header segment the first two fields are not split
	done       bool
}

// Cursor returns a cursor over the next smaller parts: the repetitions of a field, the
// components of a repetition, the subcomponents of a component.
func (v Value) Cursor() Cursor { return v.cursor(v.part.depth + 1) }

func (v Value) cursor(d Depth) Cursor {
	return Cursor{src: v.src, end: v.start, limit: v.end, stop: markField << d, has: v.part.has, depth: d,
		done: v.start == v.end || d > AtSubcomponent}
}

// Next goes to the next part and reports whether there is one.
func (c *Cursor) Next() bool {
	if c.done {
		return false
	}
	c.advance()
	return true
}

// advance goes to the next part, which there is. It is apart from Next so that the compiler
// can put the question whether there is one, with which loops end, into the loop itself.
func (c *Cursor) advance() {
	c.n++
	if c.has&c.stop == 0 { // a value without the separator: it is its only part
		c.start, c.end, c.seen, c.done = c.end, c.limit, c.has, true
		return
	}
	if c.header && c.n <= 2 {
		c.nextOfHeader()
		return
	}
	c.start = c.end
	if c.n > 1 || c.depth == AtField {
		c.start++ // the first part of a value begins where the value does, a field behind a separator
	}
	c.scan()
}

// nextOfHeader takes the two fields of a header segment that declare the delimiters.
func (c *Cursor) nextOfHeader() {
	if c.n == 1 {
		c.start, c.end, c.seen = c.end, c.end+1, 0
		c.done = c.end == c.limit
		return
	}
	c.start = c.end
	c.scan()
	c.seen = 0
}

// scan finds the end of the part at start and what occurs in it.
func (c *Cursor) scan() {
	class, stop, seen := &c.src.syn.class, c.stop, marks(0)
	for i, b := range c.src.text[c.start:c.limit] {
		m := class[b]
		if m&stop != 0 {
			c.end, c.seen = c.start+uint32(i), seen
			return
		}
		seen |= m
	}
	c.end, c.seen, c.done = c.limit, seen, true
}

// Value returns the current part.
func (c *Cursor) Value() Value {
	return Value{src: c.src, start: c.start, end: c.end, part: part{c.depth, c.seen}}
}

// Number returns the position of the current part, from 1.
func (c *Cursor) Number() int { return int(c.n) }
