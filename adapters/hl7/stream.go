package hl7

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// ItemKind says what a part of a stream is.
type ItemKind uint8

// Parts of a stream. Junk is whatever belongs to no message and no wrapper.
const (
	ItemMessage ItemKind = iota
	ItemFileHeader
	ItemBatchHeader
	ItemBatchTrailer
	ItemFileTrailer
	ItemJunk
)

// Item is one part of a stream: raw bytes in their own charset, sharing memory with the
// stream. Messages are not parsed: one that is broken does not hide the others.
type Item struct {
	Kind   ItemKind
	Raw    []byte
	Offset int // in bytes, from the beginning of the stream
	Line   int // from 1
}

// Problem is a fault of a stream as a whole, free of message content.
type Problem struct {
	Offset int
	Text   string
}

// Error implements error.
func (p Problem) Error() string { return fmt.Sprintf("hl7: stream at byte %d: %s", p.Offset, p.Text) }

// Stream is a file or other run of bytes cut into its parts, in order.
type Stream struct {
	Items    []Item
	Problems []Problem
}

// Messages returns the raw messages in order.
func (s *Stream) Messages() [][]byte {
	var out [][]byte
	for _, it := range s.Items {
		if it.Kind == ItemMessage {
			out = append(out, it.Raw)
		}
	}
	return out
}

// DefaultStreamLimit is what ReadMessages reads at most where no other limit is given.
const DefaultStreamLimit = 1 << 30

// ReadMessages reads r to its end and cuts it with SplitMessages. More than limit bytes
// are refused; 0 means DefaultStreamLimit.
func ReadMessages(r io.Reader, limit int64) (*Stream, error) {
	if limit <= 0 {
		limit = DefaultStreamLimit
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("hl7: read messages: %w", err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("hl7: read messages: more than %d bytes; split the file: %w", limit, ErrTooLarge)
	}
	return SplitMessages(data), nil
}

// SplitMessages cuts bytes into messages: one after another with any line ends and blank
// lines between, in MLLP frames or not, inside FHS/BHS/BTS/FTS wrappers or not. It works on
// raw bytes, before any charset is known: line ends, framing bytes and a segment name at
// the head of a line are the same in every supported charset.
//
// Wrappers are checked: nesting, and the counts of BTS-1 and FTS-1. Faults are in
// Problems; the messages are returned all the same.
func SplitMessages(data []byte) *Stream {
	c := &cutter{data: data, start: -1}
	for pos, line := 0, 1; pos < len(data); line++ {
		end := pos
		for end < len(data) && !lineBreak(data[end]) {
			end++
		}
		next := end
		if next < len(data) {
			next++
			if data[end] == '\r' && next < len(data) && data[next] == '\n' {
				next++
			}
		}
		c.line(pos, end, next, line)
		pos = next
	}
	c.closeMessage()
	c.finish()
	return &c.out
}

// lineBreak reports the bytes that end a line: CR, LF and the framing bytes of MLLP.
func lineBreak(b byte) bool { return b == '\r' || b == '\n' || b == 0x0b || b == 0x1c }

// cutter holds the state of SplitMessages.
type cutter struct {
	data  []byte
	out   Stream
	start int // first byte of the open item, -1 if none
	stop  int // end of its last line, terminator included
	at    int // its line number
	kind  ItemKind

	inFile, inBatch   bool
	messages, batches int
	loose             int // messages of the file that stand in no batch
	wrapped           bool
}

var wrapperKinds = map[string]ItemKind{
	"MSH": ItemMessage, "FHS": ItemFileHeader, "BHS": ItemBatchHeader,
	"BTS": ItemBatchTrailer, "FTS": ItemFileTrailer,
}

// line takes one line: data[pos:end], with its end at next.
func (c *cutter) line(pos, end, next, number int) {
	text := c.data[pos:end]
	framing := end < len(c.data) && (c.data[end] == 0x0b || c.data[end] == 0x1c)
	body := bytes.TrimPrefix(text, utf8BOM)
	kind, known := ItemJunk, false
	if len(body) >= 3 {
		kind, known = wrapperKinds[string(body[:3])]
	}
	switch {
	case known:
		c.closeMessage()
		c.start, c.stop, c.kind, c.at = pos, next, kind, number
		if kind != ItemMessage {
			c.stop = end
			c.closeMessage()
		}
	case len(text) == 0:
	case c.start >= 0:
		c.stop = next
	default:
		c.start, c.stop, c.kind, c.at = pos, end, ItemJunk, number
	}
	if framing {
		c.stop = min(c.stop, end)
		c.closeMessage()
	}
}

// closeMessage ends the open item.
func (c *cutter) closeMessage() {
	if c.start < 0 {
		return
	}
	it := Item{Kind: c.kind, Raw: c.data[c.start:c.stop], Offset: c.start, Line: c.at}
	c.start = -1
	c.out.Items = append(c.out.Items, it)
	switch it.Kind {
	case ItemMessage:
		c.messages++
		if c.inFile && !c.inBatch {
			c.loose++
		}
		if c.wrapped && !c.inBatch && !c.inFile {
			c.problem(it, "a message after the end of the batch")
		}
	case ItemJunk:
		c.problem(it, "bytes that belong to no message")
	default:
		c.wrapper(it)
	}
}

// wrapper follows the nesting of file and batch headers and checks the counts.
func (c *cutter) wrapper(it Item) {
	c.wrapped = true
	switch it.Kind {
	case ItemFileHeader:
		if c.inFile || c.inBatch {
			c.problem(it, "FHS inside a file or batch that is not closed")
		}
		c.inFile, c.batches, c.loose = true, 0, 0
	case ItemBatchHeader:
		if c.inBatch {
			c.problem(it, "BHS inside a batch that is not closed by BTS")
		}
		c.inBatch, c.messages = true, 0
		c.batches++
	case ItemBatchTrailer:
		if !c.inBatch {
			c.problem(it, "BTS without BHS")
		}
		c.checkCount(it, "BTS-1", "messages", c.messages)
		c.inBatch = false
	case ItemFileTrailer:
		if !c.inFile {
			c.problem(it, "FTS without FHS")
		}
		c.checkFileCount(it)
		c.inFile = false
	}
}

// checkFileCount checks FTS-1. BHS and BTS may be left out (HL7 v2 chapter 2, §2.10.3):
// messages without them are one batch, and senders that know no batches count messages.
func (c *cutter) checkFileCount(it Item) {
	switch {
	case c.loose > 0 && c.batches == 0:
		c.checkCount(it, "FTS-1", "batches", 1, c.loose)
	case c.loose > 0:
		c.checkCount(it, "FTS-1", "batches", c.batches+1)
	default:
		c.checkCount(it, "FTS-1", "batches", c.batches)
	}
}

// checkCount compares a trailer's count, which may be empty, with what was there; any of
// the numbers will do.
func (c *cutter) checkCount(it Item, field, what string, have ...int) {
	raw := bytes.TrimPrefix(it.Raw, utf8BOM)
	if len(raw) < 5 {
		return
	}
	first, _, _ := bytes.Cut(raw[4:], raw[3:4])
	first = bytes.TrimSpace(first)
	if len(first) == 0 {
		return
	}
	want, err := strconv.Atoi(string(first))
	switch {
	case err != nil:
		c.problem(it, field+" is not a number")
	case !slices.Contains(have, want):
		c.problem(it, fmt.Sprintf("%s says %d %s, there are %d", field, want, what, have[0]))
	}
}

func (c *cutter) problem(it Item, text string) {
	c.out.Problems = append(c.out.Problems, Problem{Offset: it.Offset, Text: text})
}

// finish reports wrappers that were never closed.
func (c *cutter) finish() {
	end := Item{Offset: len(c.data)}
	if c.inBatch {
		c.problem(end, "the batch is not closed by BTS; the file may be cut short")
	}
	if c.inFile {
		c.problem(end, "the file is not closed by FTS; it may be cut short")
	}
}
