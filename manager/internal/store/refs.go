package store

import (
	"bytes"
	"encoding/binary"
)

// RefSize is the size of a proxy in a value: the number of the manager, and that of the object behind
// it.
const RefSize = IDSize + 8

// AppendRef appends what is found by Refs.
func AppendRef(b []byte, manager ID, object uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, manager[:]...), object)
}

// Refs returns the numbers of the objects of which there are proxies in an encoded value.
func Refs(b []byte, manager ID) (objects []uint64) {
	for len(b) >= RefSize {
		at := bytes.Index(b, manager[:])
		if at < 0 || len(b)-at < RefSize {
			break
		}
		objects = append(objects, binary.LittleEndian.Uint64(b[at+IDSize:]))
		b = b[at+RefSize:]
	}
	return objects
}

// refsIn is Refs for objects that exist.
func (s *Store) refsIn(b []byte) (objects []uint64) {
	for _, id := range Refs(b, s.id) {
		if s.objects[id] != nil {
			objects = append(objects, id)
		}
	}
	return objects
}
