package xsync

// A Kind is the type of an object.
type Kind uint8

// The kinds of objects.
const (
	KindNone Kind = iota
	KindData      // bytes without a wait queue
	KindMutex
	KindRecursive // a Mutex that counts how often its holder has locked it
	KindValue     // a Mutex that guards data
	KindRWMutex
	KindSemaphore
	KindBounded
	KindCond
	KindEvent
	KindBarrier
	KindWaitGroup
	KindOnce
	KindAtomic // a word without a wait queue
	KindRing
	KindPipe
	KindOwnership
	kinds
)

// IsObject reports whether k is the kind of an object. A Kind that another process wrote may be any
// byte.
func (k Kind) IsObject() bool { return k > KindNone && k < kinds }

// Size returns the size of the part of an object that Reap reads, not counting permits.
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

// masks returns how many of an object's masks Reap clears.
func (k Kind) masks() int {
	switch k {
	case KindNone, KindData, KindAtomic, KindPipe, KindOwnership:
		return 0
	case KindRWMutex, KindRing:
		return 3
	}
	return 1
}
