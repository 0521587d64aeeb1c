package ipc

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-multiprocessing/mp/internal/objects"
	"github.com/go-multiprocessing/mp/internal/xsync"
)

// unreleased lists the messages that this process has sent and stored outside an object, and whose
// memory no receiver has released, as far as this process knows. A corrupt receiver can take a
// message without releasing it. Only this list, which is not in shared memory, limits the memory of
// those messages.
type unreleased struct {
	mu   sync.Mutex // the holder of mu never blocks
	all  []sentSpill
	many int // length of the list at which to search for released messages
	cap  int // capacity of the queue; 0 for a pipe
	over bool
}

// sentSpill is a message that was sent.
type sentSpill struct {
	block  *block // nil if the message lies in a segment of its own
	claims int
	ref    [8]byte // id of that segment
	size   int
	at     time.Time
}

const (
	// maxUnreleased is how many messages of a pipe may be unreleased when another message is stored
	// outside. There may be several because several goroutines may be receiving.
	maxUnreleased = 3
	// fewUnreleased is how many messages the list may have before it is searched for released
	// messages.
	fewUnreleased = 8
	// maxReaders is the minimum number of elements that may be unreleased in addition to the
	// elements in the queue.
	maxReaders = 64
)

// longRead is how long a consumer may take to read an element that it has taken out of a queue, if
// too many elements are unreleased. Since it is not known which process has taken the element, the
// sender waits equally long for a consumer that died while it read.
var longRead = 10 * time.Second

// most returns how many messages may be unreleased when another message is stored outside.
func (u *unreleased) most() int {
	if u.cap == 0 {
		return maxUnreleased
	}
	return u.cap + max(u.cap/2, maxReaders)
}

// await waits until another message may be stored outside. If ctx is nil, await returns ErrFull
// instead of waiting.
func (u *unreleased) await(ctx context.Context, ring *xsync.Ring) error {
	switch {
	case u.hasRoom():
		return nil
	case ctx == nil:
		return ErrFull
	}
	err := ring.AwaitReleased(ctx, u.hasRoom)
	if err == nil && ring.Ended() && !u.hasRoom() {
		err = ErrClosed
	}
	return err // nil does not promise room: another goroutine may have sent a message meanwhile
}

func (u *unreleased) hasRoom() bool {
	if u.atMost(u.most()) {
		return true
	}
	if u.cap == 0 {
		return false
	}
	u.giveUp(longRead, u.cap) // the last u.cap may still be in the queue
	return u.atMost(u.most())
}

func (s *sentSpill) released() bool {
	if s.block != nil {
		return s.block.returned(s.claims)
	}
	return objects.SpillEnded(s.ref[:])
}

func (s *sentSpill) giveUp() {
	if s.block != nil {
		blocks.giveUp(s.block, s.claims)
	} else {
		objects.EndSpill(s.ref[:])
	}
}

// add adds a message that was sent.
func (u *unreleased) add(s sentSpill) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.all) >= max(u.many, fewUnreleased) {
		u.forgetReleased()
		u.many = 2 * len(u.all)
	}
	u.all = append(u.all, s)
	if u.over {
		go u.giveUp(0, 0)
	}
}

// forgetReleased removes released messages. The caller holds the lock.
func (u *unreleased) forgetReleased() {
	u.all = slices.DeleteFunc(u.all, func(s sentSpill) bool { return s.released() })
}

// atMost reports whether at most n messages are unreleased.
func (u *unreleased) atMost(n int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.all) > n {
		u.forgetReleased()
	}
	return len(u.all) <= n
}

// bytes returns the total size of the unreleased messages, and the time when the oldest of them was
// sent.
func (u *unreleased) bytes() (n int, since time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forgetReleased()
	for i, s := range u.all {
		n += s.size
		if i == 0 || s.at.Before(since) {
			since = s.at
		}
	}
	return n, since
}

// end gives all memory back, because no process will read the messages.
func (u *unreleased) end() {
	u.mu.Lock()
	u.over = true
	u.mu.Unlock()
	u.giveUp(0, 0)
}

// giveUp gives back the memory of messages that were sent at least age ago, except for the last n.
// A receiver that has not read one of these messages loses it.
func (u *unreleased) giveUp(age time.Duration, n int) {
	u.mu.Lock()
	u.forgetReleased()
	old := 0
	for old < len(u.all)-n && time.Since(u.all[old].at) >= age {
		old++
	}
	lost := slices.Clone(u.all[:old])
	u.all = slices.Delete(u.all, 0, old)
	u.mu.Unlock()
	for i := range lost {
		lost[i].giveUp()
	}
}
