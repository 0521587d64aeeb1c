//go:build linux

package ipc_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/ipc"
	"github.com/go-multiprocessing/mp/mptest"
)

// V10 V11 V13 V14 V16: any program can open named memory by its name, until the name is removed.
func TestNamedMemory(t *testing.T) {
	mptest.NoLeaks(t)
	name := fmt.Sprintf("mp-test-%d", os.Getpid())
	m, err := ipc.NewSharedMemory(5000, ipc.Named(name))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()

	if m.Name() != name || m.Size() != 5000 || len(m.Bytes()) != 5000 {
		t.Error(m.Name(), m.Size())
	}
	if _, err := ipc.NewSharedMemory(1, ipc.Named(name)); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}

	o, err := ipc.OpenSharedMemory(name)
	if err != nil {
		t.Fatal(err)
	}
	copy(m.Bytes(), "hello")
	if string(o.Bytes()[:5]) != "hello" || o.Size() != 5000 {
		t.Error("two see different memory")
	}
	if err := o.Close(); err != nil { // does not remove the name
		t.Error(err)
	}

	pool := newPool(t, mp.PoolConfig{Workers: 1})
	if back, err := mp.Call(t.Context(), pool, openNamed, name); back != "hello" || err != nil {
		t.Error(back, err)
	}
	python(t, name)
	if err := m.View(func([]byte) error {
		if err := os.Truncate("/dev/shm/"+name, 0); err != nil {
			return err
		}
		m.Bytes()[4096]++
		return nil
	}); err == nil || !strings.Contains(err.Error(), "smaller") {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := ipc.OpenSharedMemory(name); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := ipc.RemoveSharedMemory(name); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}

	for _, bad := range []string{"a/b", "..", strings.Repeat("x", 300), "a\x00"} {
		if _, err := ipc.NewSharedMemory(1, ipc.Named(bad)); err == nil {
			t.Errorf("%q is a name", bad)
		}
	}
}

// Close removes a name only if the name still belongs to the memory that is being closed.
func TestCloseOfOldMemory(t *testing.T) {
	mptest.NoLeaks(t)
	name := fmt.Sprintf("mp-test-old-%d", os.Getpid())
	old := must(ipc.NewSharedMemory(100, ipc.Named(name)))
	defer old.Close()
	if err := ipc.RemoveSharedMemory(name); err != nil {
		t.Fatal(err)
	}

	fresh := must(ipc.NewSharedMemory(100, ipc.Named(name)))
	defer fresh.Close()
	if err := old.Close(); err != nil {
		t.Error(err)
	}

	again, err := ipc.OpenSharedMemory(name)
	if err != nil {
		t.Fatal("the name of other memory was removed: ", err)
	}
	_ = again.Close()
	if err := ipc.RemoveSharedMemory(name); err != nil {
		t.Error(err)
	}
	if err := fresh.Close(); err != nil {
		t.Errorf("its name was removed before: %v", err)
	}
	last := must(ipc.NewSharedMemory(100, ipc.Named(name)))
	if err := last.Close(); err != nil {
		t.Error(err)
	}
	if _, err := ipc.OpenSharedMemory(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its own name is there: %v", err)
	}
}

var openNamed = mp.Register("openNamed", func(_ context.Context, name string) (string, error) {
	m, err := ipc.OpenSharedMemory(name)
	if err != nil {
		return "", err
	}
	defer m.Close()
	return string(m.Bytes()[:5]), nil
})

// python uses Python's SharedMemory to read named memory, if python3 is installed.
func python(t *testing.T, name string) {
	if _, err := exec.LookPath("python3"); err != nil {
		return
	}
	out, err := exec.Command("python3", "-c", `
import sys
from multiprocessing import shared_memory, resource_tracker
m = shared_memory.SharedMemory(name=sys.argv[1])
resource_tracker.unregister(m._name, "shared_memory")
print(bytes(m.buf[:5]).decode(), m.size)`, name).CombinedOutput()
	if got := strings.TrimSpace(string(out)); got != "hello 5000" || err != nil {
		t.Errorf("Python reads %s, %v", got, err)
	}
}
