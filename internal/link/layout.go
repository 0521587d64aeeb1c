//go:build linux

package link

import "encoding/binary"

// A Word is a word of the segment between a parent and a worker.
type Word struct {
	Name   string
	Offset int
	Size   int // in bytes
}

// Words returns the control words of the segment, including the canaries. A test that attacks every
// word in the result also covers words that are added later.
func Words() []Word {
	words := []Word{
		{"taskTail", offTaskTail, 8}, {"taskHead", offTaskHead, 8}, {"resTail", offResTail, 8}, {"resHead", offResHead, 8},
		{"asleep", offAsleep, 4}, {"bell", offDoorbell, 4}, {"low", offLow, 4},
		{"busy", offBusy, 8}, {"tasks", offTasks, 8}, {"slow", offSlow, 8},
	}
	for _, off := range canaries {
		words = append(words, Word{"canary", off, 8})
	}
	return words
}

// An Area is a part of the segment that has too many words to name.
type Area struct {
	Name         string
	Offset, Size int
}

// Areas returns the marks and the rings.
func Areas() []Area {
	return []Area{{"marks", offMarks, marksSize}, {"task ring", offTaskRing, ringSize}, {"result ring", offResRing, ringSize}}
}

// A Message is a kind of message on the socket.
type Message struct {
	Name string
	Kind uint32
}

// Messages returns all kinds of messages. A test of this package compares them with the kinds that
// receive accepts.
func Messages() []Message {
	return []Message{
		{"hello", msgHello}, {"ready", msgReady}, {"failed", msgFailed}, {"payload", msgPayload}, {"cancel", msgCancel},
		{"log", msgLog}, {"stacks", msgStacks}, {"go", msgGo}, {"broker", msgBroker}, {"ask", msgAsk},
	}
}

// MessageHead returns the head of a message with a body of n bytes.
func MessageHead(kind, seq uint32, n uint64) []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, headSize), kind)
	b = binary.LittleEndian.AppendUint32(b, seq)
	return binary.LittleEndian.AppendUint64(b, n)
}

// ResultHead returns the head of a record in the result ring. The record is for an outcome whose
// data was sent over the socket.
func ResultHead(seq uint32, kind uint8) []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, resultHead), uint32(kind)<<resultKindBit|resultExternal)
	return binary.LittleEndian.AppendUint32(b, seq)
}

// Prepare initializes a segment as New does, for tests that implement a parent.
func Prepare(segment []byte) { memory(segment).release() }

// SealChunk sets the checksum in a chunk's record, which is to be written at position pos of the
// task ring. Tests that write records by hand use it. The length in the record may be invalid.
func SealChunk(pos uint64, record []byte) {
	body := record[taskHead:]
	body = body[:min(uint64(len(body)), uint64(binary.LittleEndian.Uint32(record[20:])))]
	binary.LittleEndian.PutUint64(record[sumOffset:], chunkSum(pos, record[:sumOffset], body))
}

// TaskHead is the size of the head of a record in the task ring.
const TaskHead = taskHead

// SeqOffset is the offset, within a record in the task ring, of the number of the record's first
// task.
const SeqOffset = 16

// RingSize is the size of each ring.
const RingSize = ringSize
