package store

import (
	"bytes"
	"encoding/binary"
)

// RefSize is the size of a reference in a value: the IDs of the manager and of the object.
const RefSize = IDSize + 8

// AppendRef appends a reference that Refs finds.
func AppendRef(b []byte, manager ID, object uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, manager[:]...), object)
}

// Refs returns the IDs of the objects that an encoded value refers to.
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

// refsIn is like Refs, but returns only objects that exist.
func (s *Store) refsIn(b []byte) (objects []uint64) {
	for _, id := range Refs(b, s.id) {
		if s.objects[id] != nil {
			objects = append(objects, id)
		}
	}
	return objects
}
