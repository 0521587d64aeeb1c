//go:build linux

package link

import "encoding/binary"

// A Word is a word of the segment between a parent and a worker.
type Word struct {
	Name   string
	Offset int
	Size   int // in bytes
}

// Words are the control words of the segment by name, the canaries among them.
// A test that attacks every word learns of a new one here.
func Words() []Word {
	words := []Word{
		{"taskTail", offTaskTail, 8}, {"taskHead", offTaskHead, 8}, {"resTail", offResTail, 8}, {"resHead", offResHead, 8},
		{"asleep", offAsleep, 4}, {"bell", offBell, 4}, {"low", offLow, 4},
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

// Areas are the marks and the rings.
func Areas() []Area {
	return []Area{{"marks", offMarks, slots / 4}, {"task ring", offTaskRing, ringSize}, {"result ring", offResRing, ringSize}}
}

// A Message is a kind of message on the socket.
type Message struct {
	Name string
	Kind uint32
}

// Messages are all kinds of messages. The test of this package compares them
// with what receive accepts.
func Messages() []Message {
	return []Message{
		{"hello", msgHello}, {"ready", msgReady}, {"failed", msgFailed}, {"payload", msgPayload}, {"cancel", msgCancel},
		{"log", msgLog}, {"stacks", msgStacks}, {"go", msgGo}, {"broker", msgBroker}, {"ask", msgAsk},
	}
}

// MessageHead is the head of a message that says that a body of n bytes follows.
func MessageHead(kind, seq uint32, n uint64) []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, headSize), kind)
	b = binary.LittleEndian.AppendUint32(b, seq)
	return binary.LittleEndian.AppendUint64(b, n)
}

// ResultHead is the head of a record in the result ring for an outcome whose
// data was sent over the socket.
func ResultHead(seq uint32, kind uint8) []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, resultHead), uint32(kind)<<resultKindBit|resultExternal)
	return binary.LittleEndian.AppendUint32(b, seq)
}

// SeqOffset is where a record in the task ring has the number of its first task.
const SeqOffset = 16

// RingSize is the size of each ring.
const RingSize = ringSize
