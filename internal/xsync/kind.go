package xsync

// Kind says what an object is.
type Kind uint8

// The kinds of objects.
const (
	KindNone Kind = iota
	KindData      // bytes that nobody waits for
	KindMutex
	KindRecursive // a Mutex that says more
	KindValue     // a Mutex with data behind it
	KindRWMutex
	KindSemaphore
	KindBounded
	KindCond
	KindEvent
	KindBarrier
	KindWaitGroup
	KindOnce
	KindAtomic // a word that nobody waits for
	KindRing
	KindPipe
	KindHeld
	kinds
)

// IsObject reports whether k is a kind of objects. Any byte that came from another process can be a Kind.
func (k Kind) IsObject() bool { return k > KindNone && k < kinds }

// Size is that of the part of an object that Bury looks at, without permits.
func (k Kind) Size() int {
	switch k {
	case KindRWMutex, KindCond, KindBarrier:
		return Large
	case KindRing:
		return RingSize
	case KindPipe:
		return PipeHead
	case KindNone:
		return 0
	}
	return Small
}

// masks is how many of an object's masks Bury clears.
func (k Kind) masks() int {
	switch k {
	case KindNone, KindData, KindAtomic, KindPipe, KindHeld:
		return 0
	case KindRWMutex, KindRing:
		return 3
	}
	return 1
}
