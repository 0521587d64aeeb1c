//go:build linux

package sys_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/go-multiprocessing/mp/internal/sys"
)

// ReadAtOnce must read from the beginning each time.
func TestReadAtOnce(t *testing.T) {
	f, err := os.Open("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var buf [128]byte
	for range 3 {
		if n, err := sys.ReadAtOnce(int(f.Fd()), buf[:]); err != nil || len(strings.Fields(string(buf[:n]))) != 7 {
			t.Fatalf("%q, %v", buf[:max(n, 0)], err)
		}
	}
	if n, err := sys.ReadAtOnce(-1, buf[:]); n != 0 || !errors.Is(err, syscall.EBADF) {
		t.Fatal(n, err)
	}
}
