//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/go-multiprocessing/mp/ipc"
)

// If a worker that processes untrusted input receives only this Mutex, it cannot overwrite other
// objects.
func ExampleIsolated() {
	m, err := ipc.NewMutex(ipc.Isolated())
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()

	fmt.Println(m.Lock(context.Background()), m.Unlock())
	// Output: <nil> <nil>
}

func ExampleCapacity() {
	q, err := ipc.NewQueue[string](ipc.Capacity(2))
	if err != nil {
		log.Fatal(err)
	}
	defer q.Discard()

	fmt.Println(q.TryPut("a"), q.TryPut("b"), errors.Is(q.TryPut("c"), ipc.ErrFull))
	// Output: <nil> <nil> true
}

func ExampleMaxElement() {
	q, err := ipc.NewQueue[[]byte](ipc.MaxElement(1 << 20))
	if err != nil {
		log.Fatal(err)
	}
	defer q.Discard()

	err = q.Put(context.Background(), make([]byte, 2<<20))
	fmt.Println(errors.Is(err, ipc.ErrTooLong))
	// Output: true
}

func ExampleOneWay() {
	receiver, sender, err := ipc.NewPipe[string](ipc.OneWay())
	if err != nil {
		log.Fatal(err)
	}
	defer receiver.Close()
	defer sender.Close()

	fmt.Println(errors.Is(receiver.Send(context.Background(), "hello"), ipc.ErrDirection))
	// Output: true
}

func ExampleBuffer() {
	small, peer, err := ipc.NewPipe[int](ipc.Buffer(4 << 10))
	if err != nil {
		log.Fatal(err)
	}
	defer small.Close()
	defer peer.Close()

	for i := 0; ; i++ {
		if err := small.TrySend(i); err != nil {
			fmt.Println(i > 0, errors.Is(err, ipc.ErrFull))
			return
		}
	}
	// Output: true true
}

func ExampleMaxMessage() {
	a, b, err := ipc.NewPipe[[]byte](ipc.MaxMessage(1 << 20))
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	defer b.Close()

	err = a.Send(context.Background(), make([]byte, 2<<20))
	fmt.Println(errors.Is(err, ipc.ErrTooLong))
	// Output: true
}

// Two Values that change together share a Mutex.
func ExampleGuardedBy() {
	m, err := ipc.NewMutex()
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	from, err1 := ipc.NewValue(100, ipc.GuardedBy(m))
	to, err2 := ipc.NewValue(0, ipc.GuardedBy(m))
	if err := errors.Join(err1, err2); err != nil {
		log.Fatal(err)
	}
	defer from.Close()
	defer to.Close()

	ctx := context.Background()
	err = from.Update(ctx, func(v *int) error { *v -= 30; return nil })
	fmt.Println(err, from.Mutex() == to.Mutex())
	// Output: <nil> true
}

// The Value is stored before other processes can load it, so it needs no lock.
func ExampleUnlocked() {
	ctx := context.Background()
	settings, err := ipc.NewValue([2]int{640, 480}, ipc.Unlocked())
	if err != nil {
		log.Fatal(err)
	}
	defer settings.Close()

	fmt.Println(settings.Load(ctx))
	// Output: [640 480] <nil>
}

func ExampleNamed() {
	name := fmt.Sprintf("mp-named-%d", os.Getpid())
	m, err := ipc.NewSharedMemory(5, ipc.Named(name))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	copy(m.Bytes(), "hello")

	other, err := ipc.OpenSharedMemory(name)
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()
	fmt.Println(string(other.Bytes()))
	// Output: hello
}
