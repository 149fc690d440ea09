package recordstore

import (
	"encoding/binary"
	"fmt"
)

// PointerOf returns the pointer of a sequence number: big-endian, without leading zeros.
func PointerOf(sequence uint64) []byte {
	var buf [8]byte
	binary.BigEndian.PutUint64(buf[:], sequence)
	i := 0
	for i < 7 && buf[i] == 0 {
		i++
	}
	return buf[i:]
}

// SequenceOf reads a pointer. Only what PointerOf returns for 1 and above is one.
func SequenceOf(pointer []byte) (uint64, error) {
	if len(pointer) == 0 || len(pointer) > 8 || pointer[0] == 0 {
		return 0, fmt.Errorf("%w: not a pointer of a record store", ErrInvalid)
	}
	var buf [8]byte
	copy(buf[8-len(pointer):], pointer)
	return binary.BigEndian.Uint64(buf[:]), nil
}
